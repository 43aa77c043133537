"""Forget sets in one graph: what is forgotten also leaves the neighbourhood of what stays."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Pool
from erasure.core.seeding import branch
from erasure.core.splits import SplitIndices, View
from erasure.core.trial_data import TrialData, plain_data
from erasure.data.pools.nodes import NodePool
from erasure.data.splits.drawn import amount, check_amount
from erasure.data.splits.forgetting import Forgetting

Unit = Literal["label", "node", "feature"]
GraphState = Literal["full", "cut"]


@dataclass(frozen=True, kw_only=True)
class NodeForget(Forgetting):
    """Forget nodes drawn at random from the training nodes of one graph.

    The original sees the full graph. Gold is trained on the other training nodes, in the graph
    that is left; a method gets the forget set in the full graph, and the retain set in what is
    left of it.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        unit: What goes: ``node``, with its features and all its edges; ``feature``, whose values
            become zero while the edges stay; ``label``, which leaves the graph as it is.
        fraction: Share of the training nodes, in (0, 1); give this or ``count``.
        count: Number of nodes.
        evaluate_on: The graph in which all models are evaluated. In the ``full`` one a node that
            was forgotten is asked about as whoever knows it would ask. In the ``cut`` one it has
            neither edges nor features, which no model can tell from a stranger.

    References:
        J. Cheng et al., "GNNDelete: A General Strategy for Unlearning in Graph Neural Networks",
        ICLR 2023, arXiv:2302.13406. M. Chen et al., "Graph Unlearning", CCS 2022,
        arXiv:2103.14991.
    """

    unit: Unit = "node"
    fraction: float | None = 0.1
    count: int | None = None
    evaluate_on: GraphState = "full"

    def validate(self) -> None:
        """Refuse unknown words, both or neither of fraction and count, and what is no cut."""
        check_amount(self.fraction, self.count)
        _check_word("unit", self.unit, get_args(Unit))
        _check_word("evaluate_on", self.evaluate_on, get_args(GraphState))
        if self.unit == "label" and self.evaluate_on == "cut":
            raise ConfigError(
                "evaluate_on must be full with unit=label, which leaves the graph as it is, "
                "got 'cut'"
            )

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Draw from the training nodes; a larger fraction contains a smaller one."""
        _one_graph(pool, "nodes")
        size = amount(self.fraction, self.count, len(train))
        return train[torch.randperm(len(train), generator=generator)][:size]

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Divide the nodes, then take out of the graph what is forgotten."""
        data = plain_data(pool, self(pool, generator))
        return _deleted_data(data, self._cut(data.pool, data.indices), "retain", self.evaluate_on)

    def _cut(self, pool: Pool, indices: SplitIndices) -> Pool:
        graph = _one_graph(pool, "nodes")
        if self.unit == "node":
            return graph.without_nodes(indices.forget)
        return graph.without_features(indices.forget) if self.unit == "feature" else graph


@dataclass(frozen=True, kw_only=True)
class EdgeForget(Forgetting):
    """Forget edges drawn at random from those that touch a training node, in both directions.

    The forget set are the training nodes at the ends of these edges, as they look in the full
    graph; no label is forgotten. Gold is trained on all training nodes without the edges, and
    that is also the retain set a method gets. In metrics ``retain`` are the training nodes that
    lose no edge.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        fraction: Share of the edges that touch a training node, in (0, 1); give this or
            ``count``. In a dense graph a small share already touches most nodes.
        count: Number of edges, an undirected one counting once.
        evaluate_on: The graph in which all models are evaluated: the ``full`` one, or the
            ``cut`` one that lacks the edges.

    References:
        J. Cheng et al., "GNNDelete: A General Strategy for Unlearning in Graph Neural Networks",
        ICLR 2023, arXiv:2302.13406.
    """

    fraction: float | None = 0.01
    count: int | None = None
    evaluate_on: GraphState = "full"

    def validate(self) -> None:
        """Refuse unknown words, and both or neither of fraction and count."""
        check_amount(self.fraction, self.count)
        _check_word("evaluate_on", self.evaluate_on, get_args(GraphState))

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split ``pool``; the scenario lists the edges as pairs of ids."""
        indices = super().__call__(pool, generator)
        edges = self._drawn(pool, indices.train, generator)
        return replace(indices, scenario={"edges": edges.T.tolist()})

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Return the training nodes at the ends of the edges that are drawn."""
        return train[torch.isin(train, self._drawn(pool, train, generator))]

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Divide the nodes, then take the edges out of the graph."""
        data = plain_data(pool, self(pool, generator))
        cut = self._cut(data.pool, data.indices.scenario)
        return _deleted_data(data, cut, "train", self.evaluate_on)

    def _drawn(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Return the ends ``(2, m)`` of the edges: the same ones however often it is asked."""
        graph = _one_graph(pool, "edges")
        edges = torch.stack(list(_undirected(graph)))
        touching = edges[:, torch.isin(edges, train).any(dim=0)]
        if not touching.shape[1]:
            raise ConfigError("no edge of this graph touches a training node")
        size = _number(self, touching.shape[1])
        # of the seed alone: choose and __call__ both ask, whatever was drawn in between
        order = torch.randperm(touching.shape[1], generator=branch(generator, "edges"))
        return touching[:, order[:size]]

    def _cut(self, pool: Pool, scenario: Mapping[str, list[list[int]]]) -> Pool:
        graph = _one_graph(pool, "edges")
        low, high = torch.tensor(scenario["edges"]).T
        ends = graph.edge_index.cpu().sort(dim=0).values
        size = len(graph.targets)
        # an edge as one number, lower end first: both directions have the same
        return graph.without_edges(torch.isin(ends[0] * size + ends[1], low * size + high))


def _one_graph(pool: Pool, split: str) -> NodePool:
    if not isinstance(pool, NodePool) or pool.rows is not None:
        raise UnsupportedError(
            f"split={split} needs a data set that is one graph, such as dataset=cora or "
            f"dataset=sbm, got samples of another kind; use split=random"
        )
    return pool


def _undirected(graph: NodePool) -> tuple[Tensor, Tensor]:
    """Return the lower and the higher end of every edge once, without loops, on the CPU."""
    low, high = graph.edge_index.cpu().sort(dim=0).values
    size = len(graph.targets)
    # an edge as one number; both directions have the same, and unique leaves one
    keys = (low * size + high)[low != high].unique()
    return keys // size, keys % size


def _number(split: EdgeForget, available: int) -> int:
    """Return how many of ``available`` edges to forget, at least one."""
    size = split.count or round((split.fraction or 0.0) * available)
    if not 0 < size <= available:
        request = f"count={split.count}" if split.count else f"fraction={split.fraction}"
        raise ConfigError(
            f"{request} forgets {size} of the {available} edges that touch a training node; it "
            f"must be at least one of them"
        )
    return size


def _deleted_data(
    data: TrialData, cut: Pool, retained: Literal["retain", "train"], evaluate_on: GraphState
) -> TrialData:
    """Return ``data`` with the graph that is left once the forget set is gone.

    Args:
        data: As they were divided.
        cut: The graph that is left.
        retained: The samples of it that gold is trained on.
        evaluate_on: The graph in which models are evaluated.
    """
    return replace(
        data,
        retain=View(cut, getattr(data.indices, retained)),
        evaluated=data.pool if evaluate_on == "full" else cut,
    )


def _check_word(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
