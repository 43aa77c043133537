"""Layers of PyTorch Geometric, by the numbers of features before and after them, and of an edge.

What stays ours is that a layer which cannot use features of edges refuses them instead of leaving
them out or, like GCN, taking them for weights; and that sizes are checked with the names that the
settings have here. Weights are drawn from the global generator as by every layer of torch, so
that a model is built inside :func:`erasure.core.seeding.isolated`.

Loops of the data: GCN keeps them and adds one only where there is none, GAT replaces them.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.geometric_import import geometric

Norm = Literal["batch", "layer", "none"]

NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "none": lambda _: nn.Identity(),
}


def gcn_layer(wide: int, narrow: int, edge: int = 0) -> nn.Module:
    """Return a layer that weighs every edge, and a loop at every node, by the root of degrees.

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
    _refuse_edge_features(edge, "gcn")
    layer: nn.Module = geometric("nn").GCNConv(wide, narrow)
    return layer


def sage_layer(wide: int, narrow: int, edge: int = 0) -> nn.Module:
    """Return a layer that adds a map of the node to a map of the mean of its neighbours.

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
    _refuse_edge_features(edge, "sage")
    layer: nn.Module = geometric("nn").SAGEConv(wide, narrow)
    return layer


def gin_layer(wide: int, narrow: int, edge: int = 0, norm: Norm = "batch") -> nn.Module:
    """Return a layer that applies a small network to the sum of a node and its neighbours.

    The node itself weighs ``1 + epsilon``, which is learned. With features of edges, what is sent
    is the ReLU of the sum of node and edge.

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
    if norm not in NORMS:
        raise ConfigError(f"layer.norm must be one of {', '.join(NORMS)}, got {norm!r}")
    network = nn.Sequential(
        nn.Linear(wide, narrow), NORMS[norm](narrow), nn.ReLU(), nn.Linear(narrow, narrow)
    )
    if not edge:
        layer: nn.Module = geometric("nn").GINConv(network, train_eps=True)
        return layer
    layer = geometric("nn").GINEConv(network, train_eps=True, edge_dim=edge)
    # methods count layers in module order, and the library registers the map of the edges behind
    # the network although it is applied before it
    del layer.nn
    layer.nn = network
    return layer


def gat_layer(wide: int, narrow: int, edge: int = 0, heads: int = 4) -> nn.Module:
    """Return a layer in which every node weighs its neighbours and itself by attention.

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
    if heads < 1 or narrow % heads:
        raise ConfigError(f"layer.heads must divide hidden={narrow}, got {heads}")
    layer: nn.Module = geometric("nn").GATConv(
        wide, narrow // heads, heads=heads, edge_dim=edge or None, fill_value="mean"
    )
    return layer


def _refuse_edge_features(edge: int, name: str) -> None:
    if edge:
        raise UnsupportedError(
            f"model {name} cannot use features of edges; use model=gin or model=gat, or "
            f"dataset.edge_features=false"
        )
