"""The pool of many graphs, packed once and gathered by index arithmetic."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from erasure.core.errors import DataError
from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.data.pools.colour_refinement import ROUNDS, mixed, refined
from erasure.data.pools.labelled import Labelled

BUCKETS = 256
"""Length of a sketch."""

SKETCHED_ROUNDS = 3
"""Rounds of colour refinement that a sketch looks at."""


@dataclass(frozen=True, kw_only=True)
class GraphPool(Labelled):
    """N graphs in a few long tensors; a sample is a graph.

    Args:
        x: Features ``(V, F)`` of the nodes of all graphs, one graph after the other.
        edge_index: From and to ``(2, E)`` int64, numbered from 0 within each graph, one graph
            after the other.
        node_ptr: Where the nodes of each graph start and the last end, ``(N + 1,)`` int64.
        edge_ptr: The same for edges.
        edge_attr: Features of the edges ``(E, D)``, if they have any.

    The fields may be on another device than ``targets``: batches are sent there.

    Raises:
        DataError: If lengths differ, an edge leaves its graph, a graph has no node, or a feature
            is not finite.
    """

    x: Tensor
    edge_index: Tensor
    node_ptr: Tensor
    edge_ptr: Tensor
    edge_attr: Tensor | None = None

    def __post_init__(self) -> None:
        self.check(len(self.node_ptr) - 1)
        _check_packing(self)
        properties = {"level": "graph", "num_edge_features": self.num_edge_features}
        object.__setattr__(self, "properties", {**self.properties, **properties})

    @property
    def num_edge_features(self) -> int:
        """Number of features of an edge, 0 without any."""
        return 0 if self.edge_attr is None else self.edge_attr.shape[1]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Features of a node; graphs differ in their number of nodes."""
        return (self.x.shape[1],)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all graphs and labels; not of the device."""
        edges = [] if self.edge_attr is None else [self.edge_attr]
        packed = [self.x, self.edge_index, self.node_ptr, self.edge_ptr, *edges]
        kind = fingerprint(["graphs", len(packed)])
        return combine([kind, tensor_fingerprint(*packed), self.labels_fingerprint])

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> dict[str, Tensor]:
        """Return the graphs ``index`` (B,) as one graph of B parts that nothing connects.

        It is what ``torch_geometric.data.Batch.from_data_list`` makes of them: ``x`` (v, F),
        ``edge_index`` (2, e), ``batch`` (v,) with the number in the batch of each node's graph,
        ``ptr`` (B + 1,) with where each graph starts, and ``edge_attr`` (e, D) if there is one.
        """
        del augment  # graphs have no augmentation
        index = index.to(self.x.device)
        nodes, node_sizes, starts = _spans(self.node_ptr, index)
        edges, edge_sizes, _ = _spans(self.edge_ptr, index)
        # edges are numbered from 0 within each graph; in the batch from where its nodes start.
        # output_size spares a GPU the wait for the sum of the sizes
        shift = torch.repeat_interleave(starts[:-1], edge_sizes, output_size=len(edges))
        positions = torch.arange(len(index), device=index.device)
        graphs = {
            "x": self.x.index_select(0, nodes),
            "edge_index": self.edge_index.index_select(1, edges) + shift,
            "batch": torch.repeat_interleave(positions, node_sizes, output_size=len(nodes)),
            "ptr": starts,
        }
        if self.edge_attr is not None:
            graphs["edge_attr"] = self.edge_attr.index_select(0, edges)
        return {name: value.to(self.targets.device) for name, value in graphs.items()}

    def digests(self, index: Tensor) -> Tensor:
        """Return a hash (B,) that graphs share if no message-passing network tells them apart.

        Graphs that differ only in how their nodes are numbered share it, and such copies are
        frequent in collections of molecules (Ivanov et al., "Understanding Isomorphism Bias in
        Graph Data Sets", 2019, arXiv:1910.12091).
        """
        return self._hashes[index]

    @cached_property
    def _hashes(self) -> Tensor:
        parts = torch.arange(len(self.targets)).split(4096)
        return torch.cat([self._digested(part) for part in parts]).to(self.targets.device)

    def _digested(self, index: Tensor) -> Tensor:
        graphs = self.fetch(index)
        *_, last = refined(graphs["x"], graphs["edge_index"], graphs.get("edge_attr"), ROUNDS)
        # a sum does not depend on the numbers of nodes; mixed before it, because sums of colours
        # that are not scrambled collide
        total = torch.zeros_like(graphs["ptr"][1:]).index_add(0, graphs["batch"], mixed(last))
        return mixed(total + graphs["ptr"].diff())

    def sketch(self, index: Tensor) -> Tensor:
        """Return histograms of colours, hashed to ``(B, 256)`` float32.

        Their cosine is, but for hashing, the normalized subtree kernel of Shervashidze et al.,
        "Weisfeiler-Lehman Graph Kernels", JMLR 2011. Features count as equal or different.
        """
        histograms = [self._sketched(part) for part in index.split(4096)]
        return (
            torch.cat(histograms) if histograms else torch.zeros((0, BUCKETS), device=index.device)
        )

    def _sketched(self, index: Tensor) -> Tensor:
        graphs = self.fetch(index)
        x, edges, bonds = graphs["x"], graphs["edge_index"], graphs.get("edge_attr")
        histogram = torch.zeros(len(index) * BUCKETS, device=x.device)
        for colour in refined(x, edges, bonds, SKETCHED_ROUNDS):
            # low bits choose the bucket, bit 32 the sign: collisions then cancel on average
            bucket = graphs["batch"] * BUCKETS + colour % BUCKETS
            sign = 1.0 - 2.0 * ((colour >> 32) % 2).float()
            histogram.index_add_(0, bucket, sign)
        return histogram.reshape(-1, BUCKETS)


def pointers(sizes: Tensor) -> Tensor:
    """Return where each of N parts of ``sizes`` (N,) starts and the last ends, ``(N + 1,)``."""
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def _spans(ptr: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what of a packed tensor belongs to samples.

    Args:
        ptr: Where each sample starts in the packed tensor, ``(N + 1,)``.
        index: The samples ``(B,)``.

    Returns:
        Positions in the packed tensor ``(v,)``, how many each sample has ``(B,)``, and where each
        starts in the batch ``(B + 1,)``.
    """
    first = ptr.index_select(0, index)
    sizes = ptr.index_select(0, index + 1) - first
    starts = pointers(sizes)
    total = int(starts[-1])
    # position in the packed tensor = position in the batch + (start there - start here)
    shift = torch.repeat_interleave(first - starts[:-1], sizes, output_size=total)
    return torch.arange(total, device=ptr.device) + shift, sizes, starts


def _check_packing(pool: GraphPool) -> None:
    sizes, edges = pool.node_ptr.diff(), pool.edge_ptr.diff()
    if len(pool.edge_ptr) != len(pool.node_ptr):
        raise DataError(f"edges of {len(edges)} graphs for {len(sizes)} graphs")
    ends = (int(pool.node_ptr[-1]), int(pool.edge_ptr[-1]))
    if ends != (len(pool.x), pool.edge_index.shape[1]):
        raise DataError(f"graphs of {ends} nodes and edges, packed ones have {len(pool.x)}")
    if len(sizes) and int(sizes.min()) < 1:
        raise DataError(f"graph {int(sizes.argmin())} has no node")
    if pool.edge_attr is not None and len(pool.edge_attr) != ends[1]:
        raise DataError(f"features of {len(pool.edge_attr)} edges for {ends[1]} edges")
    # (E,): how many nodes the graph of each edge has
    limit = torch.repeat_interleave(sizes, edges)
    if bool(((pool.edge_index < 0) | (pool.edge_index >= limit)).any()):
        raise DataError("edge_index must stay within each graph")
    if not bool(pool.x.isfinite().all()):
        raise DataError("x holds features that are not finite (NaN or infinite)")
