"""The pool whose samples are the nodes of one graph."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from erasure.core.errors import DataError
from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.data.pools.colour_refinement import refined
from erasure.data.pools.labelled import Labelled


@dataclass(frozen=True, kw_only=True)
class NodePool(Labelled):
    """One graph; a sample is one of its N nodes, and its inputs are the whole graph.

    What is cut out of the graph keeps its id. Whoever asks for a removed node gets it back
    without features and without edges, next to the nodes that are there.

    Args:
        x: Features ``(M, F)`` of the nodes that are there.
        edge_index: From and to ``(2, E)`` int64, rows of ``x``; an undirected edge is there in
            both directions.
        rows: Row of each node in ``x``, -1 for a removed one, ``(N,)`` int64; None where every
            node is in the row of its id.

    Raises:
        DataError: If lengths differ, an edge leads nowhere, or a feature is not finite.
    """

    x: Tensor
    edge_index: Tensor
    rows: Tensor | None = None

    def __post_init__(self) -> None:
        self.check(len(self.x if self.rows is None else self.rows))
        if self.edge_index.numel():
            low, high = (int(bound) for bound in self.edge_index.aminmax())
            if low < 0 or high >= len(self.x):
                raise DataError(f"edge_index must be in [0, {len(self.x) - 1}], got {low}, {high}")
        if not bool(self.x.isfinite().all()):
            raise DataError("x holds features that are not finite (NaN or infinite)")
        properties = {"level": "node", "num_edge_features": 0}
        object.__setattr__(self, "properties", {**self.properties, **properties})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Features of a node."""
        return (self.x.shape[1],)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the graph and of all labels; not of the device."""
        rows = [] if self.rows is None else [self.rows]
        graph = tensor_fingerprint(self.x, self.edge_index, *rows)
        return combine([fingerprint(["nodes", len(rows)]), graph, self.labels_fingerprint])

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> dict[str, Tensor]:
        """Return the graph, ``x`` and ``edge_index``, and in ``readout`` (B,) the rows of ids."""
        del augment  # graphs have no augmentation
        if self.rows is None:
            return {"x": self.x, "edge_index": self.edge_index, "readout": index}
        readout = self.rows.index_select(0, index)
        removed = (readout < 0).nonzero().flatten()
        if not len(removed):
            return {"x": self.x, "edge_index": self.edge_index, "readout": readout}
        # each removed node gets a row of its own behind the graph: two of them must not be one
        alone = self.x.new_zeros((len(removed), self.x.shape[1]))
        behind = len(self.x) + torch.arange(len(removed), device=index.device)
        return {
            "x": torch.cat([self.x, alone]),
            "edge_index": self.edge_index,
            "readout": readout.index_copy(0, removed, behind),
        }

    def without_nodes(self, ids: Tensor) -> "NodePool":
        """Return the pool without the nodes ``ids`` (n,), their features and all their edges."""
        rows = self._rows
        leaving = rows.index_select(0, ids.to(rows.device))
        stays = torch.ones(len(self.x), dtype=torch.bool, device=rows.device)
        stays[leaving[leaving >= 0]] = False
        # new row = number of staying rows before it; -1 marks the ends of edges that leave
        renumbered = torch.where(stays, stays.long().cumsum(0) - 1, -1)
        edges = renumbered[self.edge_index]
        return replace(
            self,
            x=self.x[stays],
            edge_index=edges[:, (edges >= 0).all(dim=0)],
            # -1 reads the last row as well, but then where does not take what was read
            rows=torch.where(rows < 0, -1, renumbered[rows]),
        )

    def without_edges(self, removed: Tensor) -> "NodePool":
        """Return the pool without the edges where ``removed`` (E,) is true."""
        return replace(self, edge_index=self.edge_index[:, ~removed.to(self.edge_index.device)])

    def without_features(self, ids: Tensor) -> "NodePool":
        """Return the pool in which the features of the nodes ``ids`` (n,) are zero."""
        rows = self._rows.index_select(0, ids.to(self._rows.device))
        return replace(self, x=self.x.index_fill(0, rows[rows >= 0], 0))

    @property
    def _rows(self) -> Tensor:
        if self.rows is not None:
            return self.rows
        return torch.arange(len(self.x), device=self.x.device)

    def digests(self, index: Tensor) -> Tensor:
        """Return a hash (B,) that nodes share if no message-passing network tells them apart."""
        # rows behind the graph are removed nodes, which all look alike: the last hash
        return self._hashes[self.fetch(index)["readout"].clamp(max=len(self.x))]

    @cached_property
    def _hashes(self) -> Tensor:
        """Colours of the nodes, and behind them that of a node without anything."""
        *_, last = refined(
            torch.cat([self.x, self.x.new_zeros(1, self.x.shape[1])]), self.edge_index
        )
        return last

    def sketch(self, index: Tensor) -> Tensor:
        """Return each node's features next to the mean of its neighbours', ``(B, 2 F)``.

        Both halves have length one, or zero where there is nothing.
        """
        source, target = self.edge_index
        around = torch.zeros_like(self.x).index_add(0, target, self.x.index_select(0, source))
        # normalized, the sum over neighbours has the direction of their mean
        both = torch.cat([F.normalize(self.x, dim=1), F.normalize(around, dim=1)], dim=1)
        nothing = both.new_zeros((1, both.shape[1]))
        return torch.cat([both, nothing])[self.fetch(index)["readout"].clamp(max=len(self.x))]
