"""One row per sample, for whoever wants to look behind an average."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.metric import NotComputableError
from erasure.evaluation.evaluator import SUBJECTS
from erasure.evaluation.signals import log_probs, losses, margins, predictions

if TYPE_CHECKING:
    from pandas import DataFrame

SIGNALS = {"loss": "float32", "confidence": "float32", "margin": "float32", "predicted": "Int64"}
"""Columns per role, each prefixed with the role, and their types; all can be missing."""


def per_sample(ctx: EvalContext) -> "DataFrame":
    """Return every evaluated sample with what each role makes of it.

    Returns:
        One row per sample: ``id``, ``part``, ``target``, and per role such as ``unlearned_loss``
        the loss, the confidence ``p_y``, the margin ``z_y - max z_other`` and the predicted
        class. The columns of a role with non-finite logits are missing values.
    """
    import pandas as pd

    return pd.concat([_rows(ctx, part) for part in ctx.parts], ignore_index=True)


def _rows(ctx: EvalContext, part: str) -> "DataFrame":
    import pandas as pd

    ids, targets = ctx.ids(part).numpy(), ctx.targets(part).numpy()
    columns: dict[str, Any] = {"id": ids, "part": part, "target": targets}
    for who in SUBJECTS:
        if who in ctx.models:
            columns |= _columns(ctx, part, who)
    return pd.DataFrame(columns)


def _columns(ctx: EvalContext, part: str, who: Who) -> dict[str, Any]:
    import pandas as pd

    try:
        values: dict[str, Any] = {name: t.numpy() for name, t in _signals(ctx, part, who).items()}
    except NotComputableError:
        values = dict.fromkeys(SIGNALS, [None] * len(ctx.ids(part)))
    return {f"{who}_{name}": pd.array(values[name], dtype=SIGNALS[name]) for name in SIGNALS}


def _signals(ctx: EvalContext, part: str, who: Who) -> dict[str, Tensor]:
    targets = ctx.targets(part)
    own = log_probs(ctx, part, who).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return {
        "loss": losses(ctx, part, who),
        "confidence": own.exp(),
        "margin": margins(ctx.logits(part, who).double(), targets),
        "predicted": predictions(ctx, part, who),
    }
