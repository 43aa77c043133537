"""How often each label occurs, for losses that weigh samples by it."""

import torch
from torch import Tensor

from erasure.core.splits import View


def label_counts(view: View) -> Tensor:
    """Return how many samples of ``view`` have the same label as each, by sample id ``(N,)``.

    Samples with several labels count as equal if all of these are. Ids outside the view get 0.
    """
    targets = view.targets
    _, label, counts = targets.unique(dim=0, return_inverse=True, return_counts=True)
    counts_by_id = torch.zeros(len(view.pool.targets), device=targets.device)
    counts_by_id[view.index] = counts[label].to(counts_by_id)
    return counts_by_id
