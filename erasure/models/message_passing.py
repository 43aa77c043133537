"""Graph layers in plain torch: each maps nodes to nodes by what their neighbours send.

Maps are linear before anything is sent wherever that is the same thing, because messages are as
many as there are edges. Sums over neighbours are made in float32 at least. On a CPU they are
made in the order of the edges, so that equal inputs have equal bits.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError

Norm = Literal["batch", "layer", "none"]

NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "none": lambda _: nn.Identity(),
}

NEGATIVE_SLOPE = 0.2
"""Slope of the leaky ReLU in front of the softmax of attention."""


class GCNLayer(nn.Module):
    """Weigh every edge, and a loop at every node, by one over the root of both degrees.

    Args:
        wide: Features of a node.
        narrow: Features of a node after the layer.
        edge: Number of features of an edge; it can use none.

    Raises:
        UnsupportedError: If edges have features.

    References:
        T. Kipf and M. Welling, "Semi-Supervised Classification with Graph Convolutional
        Networks", ICLR 2017, arXiv:1609.02907.
    """

    def __init__(self, wide: int, narrow: int, edge: int = 0) -> None:
        super().__init__()
        _refuse(edge, "gcn")
        self.linear = nn.Linear(wide, narrow, bias=False)
        self.bias = nn.Parameter(torch.zeros(narrow))

    def forward(self, x: Tensor, edges: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Map ``(V, wide)`` along edges ``(2, E)`` to ``(V, narrow)``."""
        del edge_attr  # refused when the layer was made
        source, target = edges
        scale = (1.0 + _received(target, len(x), x)).rsqrt()
        hidden = scale * self.linear(x)
        around = summed(hidden.index_select(0, source), target, len(x))
        mixed: Tensor = scale * (around + hidden) + self.bias
        return mixed


class SAGELayer(nn.Module):
    """Add a map of the node to a map of the mean of its neighbours.

    Args:
        wide: Features of a node.
        narrow: Features of a node after the layer.
        edge: Number of features of an edge; it can use none.

    Raises:
        UnsupportedError: If edges have features.

    References:
        W. Hamilton, R. Ying and J. Leskovec, "Inductive Representation Learning on Large
        Graphs", NeurIPS 2017, arXiv:1706.02216.
    """

    def __init__(self, wide: int, narrow: int, edge: int = 0) -> None:
        super().__init__()
        _refuse(edge, "sage")
        self.neighbours = nn.Linear(wide, narrow, bias=False)
        self.own = nn.Linear(wide, narrow)

    def forward(self, x: Tensor, edges: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Map ``(V, wide)`` along edges ``(2, E)`` to ``(V, narrow)``."""
        del edge_attr  # refused when the layer was made
        source, target = edges
        sent = self.neighbours(x).index_select(0, source)
        count = _received(target, len(x), x).clamp(min=1.0)
        mixed: Tensor = summed(sent, target, len(x)) / count + self.own(x)
        return mixed


class GINLayer(nn.Module):
    """Add up the neighbours and, a little heavier, the node itself, and apply a small network.

    With features of edges, what is sent is the ReLU of the sum of node and edge.

    Args:
        wide: Features of a node.
        narrow: Features of a node after the layer.
        edge: Number of features of an edge.
        norm: Normalizes the hidden layer of the network: ``batch``, ``layer`` or ``none``.

    Raises:
        ConfigError: If there is no such normalization.

    References:
        K. Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, arXiv:1810.00826.
        W. Hu et al., "Strategies for Pre-training Graph Neural Networks", ICLR 2020,
        arXiv:1905.12265, for edges.
    """

    def __init__(self, wide: int, narrow: int, edge: int = 0, norm: Norm = "batch") -> None:
        super().__init__()
        if norm not in NORMS:
            raise ConfigError(f"layer.norm must be one of {', '.join(NORMS)}, got {norm!r}")
        self.edge = nn.Linear(edge, wide) if edge else None
        self.epsilon = nn.Parameter(torch.zeros(1))
        self.first = nn.Linear(wide, narrow, bias=False)
        self.bias = nn.Parameter(torch.zeros(narrow))
        self.norm = NORMS[norm](narrow)
        self.second = nn.Linear(narrow, narrow)

    def forward(self, x: Tensor, edges: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Map ``(V, wide)`` along edges ``(2, E)`` to ``(V, narrow)``."""
        source, target = edges
        if self.edge is None or edge_attr is None:
            sent = hidden = self.first(x)
            around = summed(sent.index_select(0, source), target, len(x))
            mixed = (1.0 + self.epsilon) * hidden + around
        else:
            sent = F.relu(x.index_select(0, source) + self.edge(edge_attr))
            around = summed(sent, target, len(x))
            mixed = self.first((1.0 + self.epsilon) * x + around)
        result: Tensor = self.second(F.relu(self.norm(mixed + self.bias)))
        return result


class GATLayer(nn.Module):
    """Let every node weigh its neighbours and itself by attention, several times in parallel.

    Args:
        wide: Features of a node.
        narrow: Features of a node after the layer, a multiple of ``heads``.
        edge: Number of features of an edge; the loop at a node has the mean of its edges'.
        heads: Number of attentions, each for its own share of the features.

    Raises:
        ConfigError: If the features cannot be shared out among the heads.

    References:
        P. Velickovic et al., "Graph Attention Networks", ICLR 2018, arXiv:1710.10903.
    """

    def __init__(self, wide: int, narrow: int, edge: int = 0, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or narrow % heads:
            raise ConfigError(f"layer.heads must divide hidden={narrow}, got {heads}")
        self.heads = heads
        self.linear = nn.Linear(wide, narrow, bias=False)
        self.attention = Attention(heads, narrow // heads)
        self.edge = nn.Linear(edge, heads, bias=False) if edge else None
        self.bias = nn.Parameter(torch.zeros(narrow))

    def forward(self, x: Tensor, edges: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Map ``(V, wide)`` along edges ``(2, E)`` to ``(V, narrow)``."""
        size = len(x)
        own = torch.arange(size, device=x.device)
        source, target = torch.cat([edges[0], own]), torch.cat([edges[1], own])
        hidden = self.linear(x).reshape(size, self.heads, -1)
        sends, receives = self.attention(hidden)
        scores = sends.index_select(0, source) + receives.index_select(0, target)
        if self.edge is not None and edge_attr is not None:
            count = _received(edges[1], size, x).clamp(min=1.0)
            loops = summed(edge_attr, edges[1], size) / count
            scores = scores + self.edge(torch.cat([edge_attr, loops]))
        weights = shares(F.leaky_relu(scores, NEGATIVE_SLOPE), target, size)
        sent = weights.unsqueeze(-1) * hidden.index_select(0, source)
        return summed(sent.flatten(1), target, size) + self.bias


class Attention(nn.Module):
    """How much each node sends and receives, by head.

    Args:
        heads: Number of attentions.
        width: Features each looks at.
    """

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.source = nn.Parameter(torch.empty(heads, width))
        self.target = nn.Parameter(torch.empty(heads, width))
        nn.init.xavier_uniform_(self.source)
        nn.init.xavier_uniform_(self.target)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(V, heads, width)`` to two scores ``(V, heads)``."""
        return (hidden * self.source).sum(dim=-1), (hidden * self.target).sum(dim=-1)


def summed(messages: Tensor, target: Tensor, size: int) -> Tensor:
    """Return the sum of the messages ``(E, D)`` to each of ``size`` targets ``(size, D)``."""
    wide = messages.to(torch.promote_types(messages.dtype, torch.float32))
    return wide.new_zeros(size, *wide.shape[1:]).index_add(0, target, wide)


def shares(scores: Tensor, target: Tensor, size: int) -> Tensor:
    """Return the softmax of ``scores`` (E, H) over the messages to the same target."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    place = target.unsqueeze(-1).expand_as(scores)
    highest = scores.new_full((size, scores.shape[1]), float("-inf"))
    highest = highest.scatter_reduce(0, place, scores.detach(), "amax")
    powers = (scores - highest.index_select(0, target)).exp()
    return powers / summed(powers, target, size).index_select(0, target)


def _received(target: Tensor, size: int, like: Tensor) -> Tensor:
    """Return how many messages each of ``size`` nodes gets, ``(size, 1)``, in the dtype of x."""
    ones = torch.ones(len(target), dtype=like.dtype, device=like.device)
    return summed(ones, target, size).unsqueeze(-1)


def _refuse(edge: int, name: str) -> None:
    if edge:
        raise UnsupportedError(
            f"model {name} cannot use features of edges; use model=gin or model=gat, or "
            f"dataset.edge_features=false"
        )
