"""One row per sample, for whoever wants to look behind an average."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.values import NotComputableError
from erasure.evaluation.evaluator import SUBJECTS
from erasure.evaluation.signals import losses, margins, predictions

if TYPE_CHECKING:
    from pandas import DataFrame

SIGNALS = ("loss", "confidence", "margin", "predicted")
"""Columns per role, each prefixed with the role; all can be missing."""


def per_sample(ctx: EvalContext) -> "DataFrame":
    """Return every evaluated sample with what each role makes of it.

    Returns:
        One row per sample: ``id``, ``part``, ``target``, and per role such as ``unlearned_loss``
        the loss, the confidence ``p_y``, the margin ``z_y - max z_other`` and the predicted
        class. The columns of a role with non-finite logits are missing values.

        Where a sample has several labels, ``target`` and the prediction are texts of one digit
        per label, such as ``0110``; the confidence is the geometric mean of the probabilities of
        the true states of all labels, and the margin that of the label with the smallest:
        positive where all are right.
    """
    import pandas as pd

    return pd.concat([_rows(ctx, part) for part in ctx.parts], ignore_index=True)


def _rows(ctx: EvalContext, part: str) -> "DataFrame":
    import pandas as pd

    targets = _column(ctx.targets(part))
    columns: dict[str, Any] = {"id": ctx.ids(part).numpy(), "part": part, "target": targets}
    for who in SUBJECTS:
        if who in ctx.models:
            columns |= _columns(ctx, part, who)
    return pd.DataFrame(columns)


def _columns(ctx: EvalContext, part: str, who: Who) -> dict[str, Any]:
    import pandas as pd

    multilabel = ctx.task_type.name == "multilabel"
    # "Int64" of pandas can be missing, int64 cannot.
    kinds = dict.fromkeys(SIGNALS, "float32") | {"predicted": "string" if multilabel else "Int64"}
    try:
        values: dict[str, Any] = {n: _column(t) for n, t in _signals(ctx, part, who).items()}
    except NotComputableError:
        values = dict.fromkeys(SIGNALS, [None] * len(ctx.ids(part)))
    return {f"{who}_{name}": pd.array(values[name], dtype=kinds[name]) for name in SIGNALS}


def _signals(ctx: EvalContext, part: str, who: Who) -> dict[str, Tensor]:
    loss = losses(ctx, part, who)
    return {
        "loss": loss,
        "confidence": (-loss).exp(),
        "margin": _margins(ctx, part, who),
        "predicted": predictions(ctx, part, who),
    }


def _margins(ctx: EvalContext, part: str, who: Who) -> Tensor:
    logits, targets = ctx.logits(part, who).double(), ctx.targets(part)
    if ctx.task_type.name == "multilabel":
        return ((2 * targets.double() - 1) * logits).amin(dim=-1)
    return margins(logits, targets)


def _column(values: Tensor) -> Any:
    """Return values ``(n,)`` as they are, and rows of zeros and ones ``(n, C)`` as texts."""
    if values.ndim == 1:
        return values.numpy()
    # Rows of ASCII digits are read as one text each: no loop over samples.
    digits = (values + ord("0")).to(torch.uint8).contiguous().numpy()
    return digits.view(f"S{digits.shape[1]}").squeeze(-1).astype(str).astype(object)
