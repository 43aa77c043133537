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
    wanted, candidates = samples.to(device), among.to(device)
    is_duplicate = torch.isin(pool.digests(candidates), pool.digests(wanted))
    if near is not None and len(candidates):
        is_duplicate |= _similar(pool.sketch(wanted), pool.sketch(candidates), near)
    return among[is_duplicate.cpu()]


def _similar(wanted: Tensor, candidates: Tensor, near: float) -> Tensor:
    """Return which ``candidates`` (m, D) have a cosine >= near to one of ``wanted`` (n, D)."""
    wanted, candidates = F.normalize(wanted, dim=1), F.normalize(candidates, dim=1)
    best = [
        # (blocks, rows): the whole matrix of cosines is never in memory
        torch.stack([(rows @ block.T).amax(dim=1) for block in wanted.split(BLOCK)]).amax(dim=0)
        for rows in candidates.split(BLOCK)
    ]
    # the float32 cosine of a vector with itself may round to a little less than one
    return torch.cat(best) >= near - 1e-6
