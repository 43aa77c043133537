"""How hard a forget set is: how much its features are mixed with those that stay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.metric import Parts, Value, amount
from erasure.core.values import NotComputableError


@dataclass(frozen=True, kw_only=True)
class Entanglement:
    r"""Spread of forget and retain set over their distance, in the features of the original.

    With features :math:`\phi` that go into the head of the original, and means :math:`\mu_R`,
    :math:`\mu_F` of both sets and :math:`\mu` of all samples, it is
    :math:`(E_R ||\phi - \mu_R||^2 + E_F ||\phi - \mu_F||^2) /
    \frac{1}{2} (||\mu_R - \mu||^2 + ||\mu_F - \mu||^2)`. The larger, the harder it is to forget
    one set and keep the other. It describes the task, not a method, and is measured once, with
    the unlearned model.

    References:
        K. Zhao et al., "What Makes Unlearning Hard and What to Do About It", NeurIPS 2024,
        arXiv:2406.01257; M. Goldblum et al., "Unraveling Meta-Learning", ICML 2020,
        arXiv:2002.06753.
    """

    needs_features = True
    subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)

    def values(self, parts: Parts) -> Mapping[str, Value]:
        score = amount(
            "info",
            "Spread of forget and retain features of the original over the distance of their "
            "means.",
        )
        return {"entanglement/score": Value(score, _score)}


def _score(ctx: EvalContext) -> float:
    forget, retain = (ctx.features(part, "original").double() for part in ("forget", "retain"))
    return entanglement(retain, forget)


def entanglement(retain: Tensor, forget: Tensor) -> float:
    """Return the score of features ``(n, D)`` and ``(m, D)``.

    Raises:
        NotComputableError: If both have the same mean.
    """
    # Over samples: nearer to the mean of the larger set, not halfway between both.
    centre = torch.cat([retain, forget]).mean(dim=0)
    means = [side.mean(dim=0) for side in (retain, forget)]
    within = sum(
        (side - side_mean).square().sum(dim=1).mean()
        for side, side_mean in zip((retain, forget), means, strict=True)
    )
    between = torch.stack([(each - centre).square().sum() for each in means]).mean().item()
    if between == 0:
        raise NotComputableError("degenerate", "equal_means")
    return float(within) / between
