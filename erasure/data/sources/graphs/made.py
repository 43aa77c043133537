"""Graphs that are made, not loaded: a graph of communities, and graphs with planted motifs."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.pools.graphs import GraphPool, pointers
from erasure.data.pools.nodes import NodePool

MOTIFS = ("star", "ring", "clique")
SIZE = 6
"""Nodes of a motif."""


@dataclass(frozen=True, kw_only=True)
class StochasticBlockModel:
    """One graph of equal communities; a node's class is its community.

    Two nodes are connected with probability ``inside`` if they are of the same community, else
    ``across``. Features are Gaussian around a mean of the community's own.

    Args:
        num_nodes: Number of nodes, at least ``num_classes``.
        num_classes: Number of communities, at least 2.
        inside: Probability of an edge within a community, in [0, 1].
        across: Probability of an edge between communities, in [0, 1].
        num_features: Features per node.
        signal: Standard deviation of the means; that of the noise is one.
        seed: Seed of the graph; part of the data set, not of the trial.

    References:
        P. Holland, K. Laskey and S. Leinhardt, "Stochastic blockmodels: First steps", Social
        Networks, 1983.
    """

    num_nodes: int = 600
    num_classes: int = 4
    inside: float = 0.04
    across: float = 0.01
    num_features: int = 16
    signal: float = 0.5
    seed: int = 7

    def __post_init__(self) -> None:
        if not 2 <= self.num_classes <= self.num_nodes:
            raise ConfigError(
                f"num_classes must be in [2, {self.num_nodes}], got {self.num_classes}"
            )
        for name in ("inside", "across"):
            _check_share(name, getattr(self, name))
        if self.num_features < 1:
            raise ConfigError(f"num_features must be >= 1, got {self.num_features}")
        if self.signal < 0:
            raise ConfigError(f"signal must be >= 0, got {self.signal}")

    def __call__(self, data_config: DataConfig) -> NodePool:
        """Draw the graph."""
        generator = Generator().manual_seed(self.seed)
        targets = torch.arange(self.num_nodes) % self.num_classes
        same = targets[:, None] == targets
        drawn = torch.rand((self.num_nodes, self.num_nodes), generator=generator)
        # above the diagonal: each pair is drawn once, and nobody is connected to itself
        upper = (drawn < torch.where(same, self.inside, self.across)).triu(1)
        means = self.signal * torch.randn(
            (self.num_classes, self.num_features), generator=generator
        )
        noise = torch.randn((self.num_nodes, self.num_features), generator=generator)
        return NodePool(
            x=(means[targets] + noise).to(data_config.device),
            edge_index=(upper | upper.T).nonzero().T.contiguous().to(data_config.device),
            targets=targets.to(data_config.device),
            class_names=tuple(f"community {number}" for number in range(self.num_classes)),
        )


@dataclass(frozen=True, kw_only=True)
class SyntheticGraphs:
    """Random graphs into each of which a star, a ring or a clique of six nodes is planted.

    The class is the motif. Nodes have one of four types that mean nothing, but let a network
    tell graphs apart and so memorize those whose label was drawn anew.

    Args:
        num_graphs: Number of graphs, at least 3.
        smallest: Fewest nodes of a graph, at least 6.
        largest: Most nodes of a graph.
        density: Probability of an edge besides the motif, in [0, 1].
        noise: Share of the graphs whose label is drawn anew, over all graphs and before any
            split, in [0, 1].
        seed: Seed of the graphs; part of the data set, not of the trial.
    """

    num_graphs: int = 600
    smallest: int = 10
    largest: int = 20
    density: float = 0.1
    noise: float = 0.1
    seed: int = 7

    def __post_init__(self) -> None:
        if self.num_graphs < len(MOTIFS):
            raise ConfigError(f"num_graphs must be >= {len(MOTIFS)}, got {self.num_graphs}")
        if not SIZE <= self.smallest <= self.largest:
            raise ConfigError(
                f"smallest must be in [{SIZE}, largest={self.largest}], got {self.smallest}"
            )
        for name in ("density", "noise"):
            _check_share(name, getattr(self, name))

    def __call__(self, data_config: DataConfig) -> GraphPool:
        """Draw the graphs; the attribute ``motif`` has what was planted in them."""
        generator = Generator().manual_seed(self.seed)
        count = self.num_graphs
        planted = torch.arange(count) % len(MOTIFS)
        sizes = torch.randint(self.smallest, self.largest + 1, (count,), generator=generator)
        edges = self._edges(sizes, planted, generator)
        types = torch.randint(4, (int(sizes.sum()),), generator=generator)
        anew = torch.rand(count, generator=generator) < self.noise
        drawn = torch.randint(len(MOTIFS), (count,), generator=generator)
        return GraphPool(
            x=torch.eye(4)[types].to(data_config.device),
            edge_index=edges[1:].contiguous().to(data_config.device),
            node_ptr=pointers(sizes).to(data_config.device),
            # edges are sorted by graph, so that counts say where those of each begin
            edge_ptr=pointers(edges[0].bincount(minlength=count)).to(data_config.device),
            targets=torch.where(anew, drawn, planted).to(data_config.device),
            class_names=MOTIFS,
            attributes={"motif": Column(planted, MOTIFS)},
        )

    def _edges(self, sizes: Tensor, planted: Tensor, generator: Generator) -> Tensor:
        """Return graph, from and to of every edge, ``(3, E)``, sorted."""
        widest = int(sizes.max())
        drawn = torch.rand((len(sizes), widest, widest), generator=generator)
        there = torch.arange(widest) < sizes[:, None]
        upper = (drawn < self.density).triu(1) & there[:, :, None] & there[:, None, :]
        # on the first six nodes, which every graph has
        upper[:, :SIZE, :SIZE] |= _motifs()[planted].triu(1)
        return (upper | upper.transpose(1, 2)).nonzero().T


def _motifs() -> Tensor:
    """Return the adjacency of each motif, ``(3, 6, 6)`` bool."""
    # an edge from each node to the next
    ring = torch.roll(torch.eye(SIZE, dtype=torch.bool), 1, dims=1)
    star = torch.zeros_like(ring)
    star[0, 1:] = True
    return torch.stack([star | star.T, ring | ring.T, torch.ones_like(ring)])


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name} must be in [0, 1], got {value}")
