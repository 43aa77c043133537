"""Who belongs to the pool of reference models of a trial: seeds and training samples."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch

from erasure.core.context import ReferenceRole
from erasure.core.seeding import stream
from erasure.core.splits import SplitIndices, View
from erasure.trial.references.many import ReferenceRequest
from erasure.trial.references.settings import FIRST_SEED
from erasure.trial.trial import Trial


def members(
    parts: Trial, heldout: Literal["val", "test"]
) -> Mapping[ReferenceRole, Sequence[ReferenceRequest]]:
    """Return the models that the whole pool has to train, by role.

    Args:
        parts: The trial.
        heldout: The held-out part that shadows may be trained on.
    """
    views: dict[ReferenceRole, View] = {
        "original": View(parts.pool, parts.indices.train),
        "gold": parts.remaining,
    }
    wanted = {
        role: [ReferenceRequest(seed=seed, view=view) for seed in parts.reference.seeds]
        for role, view in views.items()
    }
    wanted["shadow"] = [
        ReferenceRequest(
            seed=FIRST_SEED + number,
            view=View(parts.pool, shadow_half(parts, heldout, number).train),
        )
        for number in range(parts.reference.shadows)
    ]
    return wanted


def shadow_half(parts: Trial, heldout: Literal["val", "test"], number: int) -> SplitIndices:
    """Return the random half that a shadow is trained on; forget is the part that it unlearns.

    Both halves are of the training set and the held-out part together, so that each sample is
    in about half of the shadows. The share that is unlearned is that of the trial.
    """
    ours = parts.indices
    every = torch.cat([ours.train, getattr(ours, heldout)]).sort().values
    generator = stream(FIRST_SEED + number, "shadow")
    order = every[torch.randperm(len(every), generator=generator)]
    half = len(every) // 2
    size = max(1, round(half * len(ours.forget) / len(ours.train)))
    forget, retain, rest = order.split([size, half - size, len(every) - half])
    if heldout == "val":
        return SplitIndices(forget=forget, retain=retain, val=rest, test=ours.test)
    return SplitIndices(forget=forget, retain=retain, val=ours.val, test=rest)
