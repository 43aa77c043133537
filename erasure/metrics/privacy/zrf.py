"""How close the predictions on the forget set are to those of networks that learned nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, share
from erasure.core.values import MetricValue
from erasure.evaluation.outputs import compared
from erasure.evaluation.statistics.divergences import LN2, jensen_shannon
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class ZRF:
    """Zero-retrain forgetting: one minus the divergence from networks with random weights.

    The Jensen-Shannon divergence on the forget set is taken to base 2, so that the score is in
    [0, 1], and averaged over several random networks, whose logits are computed once per
    evaluation. A score of 1 means predictions as random as theirs; what to aim at is the score
    of the retrained model.

    Args:
        teachers: Number of random networks, at least 5.

    Notes:
        The released code divides by samples times classes and takes the divergence the other way
        around, which gives scores close to 1 for everything; they cannot be compared with these.

    References:
        V. Chundawat et al., "Can Bad Teaching Induce Forgetting?", AAAI 2023, arXiv:2205.08096.
    """

    teachers: int = 5

    def __post_init__(self) -> None:
        if self.teachers < 5:
            raise ConfigError(f"teachers must be >= 5, got {self.teachers}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        score = share(
            "closer_to_gold",
            "One minus the divergence, to base 2, of the predictions on the forget set from "
            "those of random networks.",
        )
        return {"zrf/score": Value(score, self._score)}

    def _score(self, ctx: EvalContext) -> MetricValue:
        logits = ctx.logits("forget")
        divergences = torch.stack(
            [
                compared(
                    jensen_shannon, ctx.task_type, logits, ctx.random_logits("forget", number)
                )
                for number in range(self.teachers)
            ]
        )
        scores = (1 - divergences / LN2).clamp(0.0, 1.0)  # over ln 2 a divergence is to base 2
        extras = {"by_teacher": scores.mean(dim=1).tolist()}
        return replace(mean(scores.mean(dim=0), low=0.0, high=1.0), extras=extras)
