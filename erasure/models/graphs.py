"""One network for packed graphs and for the nodes of one graph, as our pools give them.

Its layers are those of PyTorch Geometric. The network stays ours because the library's
(``BasicGNN``) read out neither graphs nor chosen nodes and know no features of edges for GIN; so
does pooling, because ``global_max_pool`` warns on every GPU that has no ``torch_scatter``.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.models.graph_layers import NORMS, Norm

Level = Literal["graph", "node"]
Pooling = Literal["mean", "sum", "max"]

POOLINGS = ("mean", "sum", "max")


class GraphNetwork(nn.Module):
    """Graph layers, each with normalization, ReLU and dropout; then a linear head.

    The head sees one vector per sample: of a node, what the last layer says of it; of a graph,
    the pooled vectors of its nodes.

    Args:
        input_shape: Shape of the features of a node, (features,).
        num_classes: Number of logits.
        layer: Builds a graph layer from the numbers of features of a node before and after it,
            and of an edge: those of :mod:`erasure.models.graph_layers`, or one of your own. It
            is called with ``x``, ``edge_index`` and, if edges have features, ``edge_attr``.
        level: Whether a sample is a ``graph`` or a ``node``, as the data set says.
        num_edge_features: Number of features of an edge, as the data set says.
        hidden: Features of a node after each layer.
        depth: Number of layers, and so how many edges far a node sees.
        norm: ``batch``, ``layer`` or ``none``.
        dropout: Share of the features that is dropped after each layer in training.
        pooling: How the nodes of a graph become one vector: ``mean``, ``sum`` or ``max``.

    Raises:
        UnsupportedError: If the samples are not graphs or nodes, or the edges have features that
            the layer cannot use.
        ConfigError: If a setting is out of range.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        layer: Callable[..., nn.Module],
        level: Level | None = None,
        num_edge_features: int = 0,
        hidden: int = 64,
        depth: int = 2,
        norm: Norm = "batch",
        dropout: float = 0.0,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        if level is None:
            raise UnsupportedError(
                f"graph models need graphs, the data set has samples of shape "
                f"{tuple(input_shape)}; use model=mlp, or a data set such as mutag or cora"
            )
        _check(hidden, depth, norm, dropout, pooling)
        widths = [input_shape[0], *[hidden] * depth]
        self.level = level
        self.pooling = pooling
        self.blocks = nn.ModuleList(
            Block(layer(wide, narrow, num_edge_features), NORMS[norm](narrow), dropout)
            for wide, narrow in pairwise(widths)
        )
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map graphs, or nodes of a graph, to logits ``(B, classes)``.

        Args:
            inputs: ``x`` (V, F) and ``edge_index`` (2, E); the edges' ``edge_attr`` (E, D) if
                they have features; for graphs ``batch`` (V,) and ``ptr`` (B + 1,), for nodes
                ``readout`` (B,).
        """
        dtype = self.head.weight.dtype
        edges, bonds = inputs["edge_index"], inputs.get("edge_attr")
        bonds = None if bonds is None else bonds.to(dtype)
        hidden = inputs["x"].to(dtype)
        for block in self.blocks:
            hidden = block(hidden, edges, bonds)
        if self.level == "node":
            hidden = hidden.index_select(0, inputs["readout"])
        else:
            hidden = pooled(hidden, inputs["batch"], inputs["ptr"], self.pooling)
        logits: Tensor = self.head(hidden)
        return logits


class Block(nn.Module):
    """A layer, normalization, ReLU and dropout.

    Args:
        layer: A graph layer.
        norm: Normalizes what it returns.
        dropout: Share that is dropped in training.
    """

    def __init__(self, layer: nn.Module, norm: nn.Module, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edges: Tensor, edge_attr: Tensor | None) -> Tensor:
        """Map ``(V, wide)`` to ``(V, narrow)``, in the dtype of ``x``."""
        # layers such as GCN have no third argument, or give it another meaning
        mixed = self.layer(x, edges) if edge_attr is None else self.layer(x, edges, edge_attr)
        activations: Tensor = self.dropout(F.relu(self.norm(mixed)))
        # autocast returns bfloat16, and layers sum over neighbours in the dtype they are given:
        # a hub of 300 neighbours would lose the last of them
        return activations.to(x.dtype)


def pooled(nodes: Tensor, batch: Tensor, ptr: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector per graph.

    Args:
        nodes: Vectors of the nodes of all graphs ``(V, D)``.
        batch: Index of each node's graph ``(V,)``.
        ptr: Where the nodes of each graph start and the last end ``(B + 1,)``.
        pooling: ``mean``, ``sum`` or ``max``.

    Returns:
        Shape ``(B, D)``.
    """
    zeros = nodes.new_zeros(len(ptr) - 1, nodes.shape[1])
    if pooling == "max":
        graph_of_entry = batch.unsqueeze(-1).expand_as(nodes)
        # without zeros themselves: the maximum of a graph may be below them
        return zeros.scatter_reduce(0, graph_of_entry, nodes, "amax", include_self=False)
    total = zeros.index_add(0, batch, nodes)
    return total if pooling == "sum" else total / ptr.diff().unsqueeze(-1)


def _check(hidden: int, depth: int, norm: str, dropout: float, pooling: str) -> None:
    for name, value in (("hidden", hidden), ("depth", depth)):
        if value < 1:
            raise ConfigError(f"{name} must be >= 1, got {value}")
    if norm not in NORMS:
        raise ConfigError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"dropout must be in [0, 1), got {dropout}")
    if pooling not in POOLINGS:
        raise ConfigError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
