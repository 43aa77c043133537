"""Short vectors by which near duplicates are found.

Two samples count as near duplicates when the cosine of their sketches reaches a threshold that
the split names. A sketch ignores what a copy usually changes: brightness, contrast, a shift of a
pixel, compression.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

THUMBNAIL = 8
"""Side in pixels of the thumbnail that stands for a large image."""


def tensor_sketch(inputs: Tensor, index: Tensor) -> Tensor:
    """Return the samples ``index`` (B,) of ``inputs`` as centred vectors ``(B, D)`` float32.

    Images ``(C, H, W)`` larger than the thumbnail are averaged down to it first.
    """
    chunks = []
    for ids in index.split(4096):
        rows = inputs.index_select(0, ids).float()
        if is_sketched_small(rows.shape[1:]):
            rows = F.adaptive_avg_pool2d(rows, THUMBNAIL)
        flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
        chunks.append(flat - flat.mean(dim=1, keepdim=True))
    return torch.cat(chunks)


def is_sketched_small(shape: Sequence[int]) -> bool:
    """Tell whether samples of ``shape`` are images larger than the thumbnail."""
    return len(shape) == 3 and min(shape[1:]) > THUMBNAIL
