"""Guards around a trial: nothing was changed that must not change, and what changed is known."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from erasure.core.context import EvalContext, Who
from erasure.core.errors import DivergedError, ErasureError, NoOpError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.splits import DataSplits
from erasure.core.task import Unlearner
from erasure.core.values import NotComputableError
from erasure.unlearners.identity import Identity


@contextmanager
def untouched(models: Mapping[Who, nn.Module], culprit: str) -> Iterator[None]:
    """Hash ``models`` before and after a block.

    Raises:
        ErasureError: If one of them is not what it was.
    """
    before = {who: model_fingerprint(model) for who, model in models.items()}
    yield
    for who, model in models.items():
        if model_fingerprint(model) != before[who]:
            raise ErasureError(f"{culprit} changed the {who} model, which it must not touch")


def require_effect(unlearner: Unlearner, original: nn.Module, unlearned: nn.Module) -> None:
    """Refuse a model that diverged or is the original.

    Raises:
        DivergedError: If a weight is not finite.
        NoOpError: If no weight changed, unless the method is ``identity``.
    """
    for name, value in unlearned.state_dict().items():
        if not value.isfinite().all():
            raise DivergedError(f"{name} of the unlearned model is not finite")
    # None stands for other parameters, which are a change
    unchanged = relative_change(original, unlearned) == 0.0
    if unchanged and not isinstance(unlearner, Identity):
        raise NoOpError(
            "the unlearner returned the original model with no weight changed, whatever happened "
            "to its buffers: the learning rate may be 0, "
            "the number of epochs 0, or nothing was selected; unlearner=identity does this on "
            "purpose"
        )


def relative_change(before: nn.Module, after: nn.Module) -> float | None:
    """Return the L2 distance of the parameters over the norm of the first, or None.

    There is none when the models have different parameters, or the first has none that is not 0.
    """
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    if {n: p.shape for n, p in old.items()} != {n: p.shape for n, p in new.items()}:
        return None
    moved = sum(_squared(new[name].detach() - old[name].detach()) for name in old)
    size = sum(_squared(weight.detach()) for weight in old.values())
    return math.sqrt(moved / size) if size > 0 else None


def output_change(ctx: EvalContext) -> dict[str, float]:
    """Return how far the predictions on the forget set moved: mean total variation, in [0, 1]."""
    roles: tuple[Who, Who] = ("original", "unlearned")
    try:
        old, new = (ctx.task_type.log_probs(ctx.logits("forget", who)).exp() for who in roles)
    except NotComputableError:
        return {}  # logits that are not finite; every metric of theirs says so
    return {"forget_output_change": 0.5 * (old - new).abs().sum(dim=-1).mean().item()}


def duplicates(splits: DataSplits, heldout: str) -> dict[str, float]:
    """Count the forget samples that occur, with equal contents, in other parts as well."""

    def hashes(part: str) -> Tensor:
        view = splits.part(part)
        return view.pool.digests(view.index)

    forget = hashes("forget")
    return {
        f"duplicates_forget_{name}": float(torch.isin(forget, hashes(part)).sum())
        for name, part in (("retain", "retain"), ("heldout", heldout))
    }


def _squared(values: Tensor) -> float:
    # float32 would lose small squares in a sum over millions
    return float(values.double().square().sum())
