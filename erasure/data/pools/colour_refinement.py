"""Colour refinement: what a message-passing network can tell apart, as hashes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from erasure.data.pools.hashing import row_hashes

ROUNDS = 8
"""More rounds than any network here has layers, so that what it tells apart has two colours."""

# as signed numbers, which is all that torch has; odd, so that multiplying can be undone
_FIRST, _SECOND, _NODE = -0x61C8864680B583EB, -0x4019AFC3BC1A2B57, 0x2545F4914F6CDD1D


def refined(
    x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, rounds: int = ROUNDS
) -> Iterator[Tensor]:
    """Yield the colours ``(V,)`` int64 of the nodes before and after each of ``rounds``.

    The first colour of a node is a hash of its features; each round replaces it by a hash of
    itself and of the colours of its neighbours, in whatever order they come. Nodes that look the
    same to every message-passing network of ``rounds`` layers have equal colours, and others
    collide about once in 2**63 (Weisfeiler and Leman 1968; Xu et al., "How Powerful are Graph
    Neural Networks?", 2019, arXiv:1810.00826).

    Args:
        x: Features ``(V, F)``.
        edge_index: From and to ``(2, E)`` int64.
        edge_attr: Features of the edges ``(E, D)``, if they have any.
        rounds: How far a node sees.
    """
    source, target = edge_index
    bond = 0 if edge_attr is None else mixed(_hashes(edge_attr))
    colour = mixed(_hashes(x))
    yield colour
    for _ in range(rounds):
        # scrambled before the sum: plain colours a + d and b + c could have one sum
        seen = mixed(colour.index_select(0, source) + bond)
        around = torch.zeros_like(colour).index_add(0, target, seen)
        # an odd factor sets the node apart from its neighbours and loses no bit modulo 2**64
        colour = mixed(colour * _NODE + around)
        yield colour


def mixed(values: Tensor) -> Tensor:
    """Return a one-to-one scrambling of int64 ``values``.

    The steps are those of the finalizer of SplitMix64, with other odd factors.
    """
    values = (values ^ _shifted(values, 30)) * _FIRST
    values = (values ^ _shifted(values, 27)) * _SECOND
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros; torch fills with the sign."""
    # the mask clears the copies of the sign that the shift brought in from the left
    return (values >> by) & ((1 << (64 - by)) - 1)


def _hashes(rows: Tensor) -> Tensor:
    hashes = [row_hashes(some) for some in rows.split(4096)]
    return torch.cat(hashes) if hashes else row_hashes(rows)
