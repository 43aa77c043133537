"""The per-example attack of unlearning: was this sample unlearned, or never seen?"""

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.evaluation.estimates import normal_interval
from erasure.evaluation.roc import auc, delong_error, roc


def ulira_interval(ctx: EvalContext) -> tuple[float, float]:
    """Return the interval of the attack's AUC on the forget set with the models there are."""
    unlearned, gold = (
        _phi(ctx.stack(role, "forget"), ctx.targets("forget")) for role in ("unlearned", "gold")
    )
    ours, theirs = _scores(unlearned, gold)
    found = auc(roc(ours.flatten(), theirs.flatten()))
    error = delong_error(ours.flatten(), theirs.flatten())
    return normal_interval(found, error, 0.0, 1.0)


def _phi(logits: Tensor, targets: Tensor) -> Tensor:
    own = targets.expand(len(logits), -1).unsqueeze(-1)
    values = logits.double()
    rest = values.scatter(-1, own, -torch.inf).logsumexp(dim=-1)
    return (values.gather(-1, own).squeeze(-1) - rest).clamp(-100, 100)


def _scores(unlearned: Tensor, gold: Tensor) -> tuple[Tensor, Tensor]:
    (mean_u, var_u), (mean_g, var_g) = _others(unlearned), _others(gold)
    var_u, var_g = (v.mean(dim=-1, keepdim=True).clamp(min=1e-12) for v in (var_u, var_g))

    def score(x: Tensor) -> Tensor:
        return 0.5 * (
            (x - mean_g) ** 2 / var_g + var_g.log() - (x - mean_u) ** 2 / var_u - var_u.log()
        )

    return score(unlearned), score(gold)


def _others(values: Tensor) -> tuple[Tensor, Tensor]:
    count = len(values)
    centre = values.mean(dim=0)
    off = values - centre
    first, second = off.sum(dim=0), off.square().sum(dim=0)
    mean = (first - off) / (count - 1)
    return mean + centre, ((second - off.square() - (count - 1) * mean**2) / (count - 2)).clamp(
        min=0
    )
