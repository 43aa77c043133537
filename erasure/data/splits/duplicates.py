"""Copies of some samples among others."""

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.pool import Pool

BLOCK = 2048
"""Samples per side whose sketches are compared at once."""


def copies(pool: Pool, samples: Tensor, among: Tensor, near: float | None) -> Tensor:
    """Return which ids of ``among`` (m,) are copies of one of ``samples`` (n,), ``(k,)``.

    Copies are equal byte for byte or, with ``near``, have a sketch whose cosine to that of one
    of the samples is at least ``near``.
    """
    device = pool.targets.device
    ours, theirs = samples.to(device), among.to(device)
    found = torch.isin(pool.digests(theirs), pool.digests(ours))
    if near is not None and len(theirs):
        found |= _similar(pool.sketch(ours), pool.sketch(theirs), near)
    return among[found.cpu()]


def _similar(ours: Tensor, theirs: Tensor, near: float) -> Tensor:
    """Return which rows of ``theirs`` (m, D) have a cosine >= near to a row of ``ours`` (n, D)."""
    ours, theirs = F.normalize(ours, dim=1), F.normalize(theirs, dim=1)
    best = [
        torch.stack([(rows @ block.T).amax(dim=1) for block in ours.split(BLOCK)]).amax(dim=0)
        for rows in theirs.split(BLOCK)
    ]
    return torch.cat(best) >= near - 1e-6
