"""The attack of U-LiRA on two tables of margins: AUC, accuracy and low false-positive rates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from erasure.core.seeding import stream
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.likelihood_ratio import FEWEST, Scores, likelihood_ratios
from erasure.evaluation.attacks.values import LOW_FPRS, RELIABLE_ALARMS
from erasure.evaluation.statistics.clustered import (
    GROUPS,
    Observed,
    above,
    clustered_proportion,
    jackknife_errors,
    rate_interval,
    two_way_error,
)

JACKKNIFED = 500
"""Samples on which the jackknife over models is carried out, if there are more."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Of the accuracy per sample: the attack may be useless on most and sure of some."""


@dataclass(frozen=True)
class UnlearningAttack:
    """Tells models that unlearned a sample from models that never saw it.

    Args:
        ours: Margins of models that unlearned a sample, ``(N, n)`` float64, NaN elsewhere.
        theirs: Margins of models that never saw it, ``(N, n)``; row k of both shares a seed.
        seed: Seed of the choice of samples for the jackknife.
        fewest: Models that a sample needs on either side, at least 3.

    Raises:
        NotComputableError: If fewer than two samples have enough models.
    """

    ours: Tensor
    theirs: Tensor
    seed: int
    fewest: int = FEWEST

    def __post_init__(self) -> None:
        there = [(~side.isnan()).sum(dim=0) >= self.fewest for side in (self.ours, self.theirs)]
        enough = there[0] & there[1]
        if int(enough.sum()) < 2:
            raise NotComputableError("degenerate", "too_few")
        if not enough.all():
            object.__setattr__(self, "ours", self.ours[:, enough])
            object.__setattr__(self, "theirs", self.theirs[:, enough])

    def values(self, extras: Mapping[str, Any]) -> dict[str, MetricValue]:
        """Return every value by the last part of its name.

        Args:
            extras: What else to note.
        """
        noted = {
            "models": len(self.ours),
            "samples": self.ours.shape[1],
            "floored": self.scores.floored,
            "constant_score": self._constant,
            **extras,
        }
        rates = {name: self._caught(name, fpr, noted) for name, fpr in LOW_FPRS.items()}
        return {"auc": self.auc(noted), "balanced_accuracy": self._accuracy(noted), **rates}

    def auc(self, extras: Mapping[str, Any]) -> MetricValue:
        """Return the area under the ROC curve over all models and samples."""
        ours, theirs = self._observed
        wins, losses = above(ours.values, theirs.values), above(theirs.values, ours.values)
        value = wins.mean().item()
        error = two_way_error(
            [(ours, (wins - value) / len(wins)), (theirs, (1 - losses - value) / len(losses))]
        )
        return self._rate(value, max(error, self._jackknifed["auc"]), extras)

    @cached_property
    def scores(self) -> Scores:
        """Scores of all models and samples."""
        return likelihood_ratios(self.ours, self.theirs)

    def _accuracy(self, extras: Mapping[str, Any]) -> MetricValue:
        ours, theirs = (
            Observed(right, seen.samples, seen.models)
            for seen, right in zip(self._observed, self._right, strict=True)
        )
        rates = [side.values.mean().item() for side in (ours, theirs)]
        error = two_way_error(
            [
                (side, (side.values - rate) / (2 * len(side)))
                for side, rate in zip((ours, theirs), rates, strict=True)
            ]
        )
        error = max(error, self._jackknifed["balanced_accuracy"])
        shown = {"tpr": rates[0], "tnr": rates[1], "per_sample": self._by_sample()}
        return self._rate(sum(rates) / 2, error, {**extras, **shown})

    def _caught(self, name: str, fpr: float, extras: Mapping[str, Any]) -> MetricValue:
        ours, theirs = self._observed
        noted = {**extras, "unreliable": fpr * len(theirs) < RELIABLE_ALARMS}
        if self._constant:
            return MetricValue(value=fpr, n=len(ours), extras=noted)
        caught = _caught(ours.values, theirs.values, fpr)
        hits = Observed(caught, ours.samples, ours.models)
        error = two_way_error([(hits, (caught - caught.mean()) / len(hits))])
        found = clustered_proportion(hits, max(error, self._jackknifed[name]))
        return replace(found, extras={**noted, **found.extras})

    def _rate(self, value: float, error: float, extras: Mapping[str, Any]) -> MetricValue:
        clusters = min(GROUPS, len(self.ours), self.ours.shape[1])
        low, high = rate_interval(value, error, clusters)
        n = sum(len(side) for side in self._observed)
        return MetricValue(
            value=value, ci_low=low, ci_high=high, n=n, extras={**extras, "error": error}
        )

    def _by_sample(self) -> dict[str, float]:
        rows = [
            torch.where(side.isnan(), torch.nan, right.double()).nanmean(dim=0)
            for side, right in (
                (self.scores.ours, self.scores.ours > 0),
                (self.scores.theirs, self.scores.theirs <= 0),
            )
        ]
        found = (rows[0] + rows[1]) / 2
        points = found.quantile(found.new_tensor(QUANTILES)).tolist()
        return {f"{q:g}": point for q, point in zip(QUANTILES, points, strict=True)}

    @cached_property
    def _observed(self) -> tuple[Observed, Observed]:
        return Observed.of(self.scores.ours), Observed.of(self.scores.theirs)

    @cached_property
    def _right(self) -> tuple[Tensor, Tensor]:
        ours, theirs = self._observed
        return (ours.values > 0).double(), (theirs.values <= 0).double()

    @cached_property
    def _constant(self) -> bool:
        ours, theirs = self._observed
        return bool((torch.cat([ours.values, theirs.values]) == ours.values[0]).all())

    @cached_property
    def _jackknifed(self) -> dict[str, float]:
        """Standard errors by name, of what is measured on some samples if there are many.

        With fewer samples they are too large rather than too small.
        """
        size = self.ours.shape[1]
        order = torch.randperm(size, generator=stream(self.seed, "ulira", "jackknife"))
        some = order[:JACKKNIFED]
        ours, theirs = self.ours[:, some], self.theirs[:, some]

        def statistics(kept: Tensor) -> Tensor:
            # With four models leaving one out leaves three; that will do for a spread.
            fewest = self.fewest - 1
            return _statistics(UnlearningAttack(ours[kept], theirs[kept], self.seed, fewest))

        names = ("auc", "balanced_accuracy", *LOW_FPRS)
        errors = jackknife_errors(statistics, len(ours)).tolist()
        return dict(zip(names, errors, strict=True))


def _statistics(attack: UnlearningAttack) -> Tensor:
    ours, theirs = (side.values for side in attack._observed)
    rates = [_caught(ours, theirs, fpr).mean() for fpr in LOW_FPRS.values()]
    right = torch.stack([side.mean() for side in attack._right]).mean()
    return torch.stack([above(ours, theirs).mean(), right, *rates])


def _caught(ours: Tensor, theirs: Tensor, fpr: float) -> Tensor:
    """Return 1 where ours are above all but a share ``fpr`` of theirs, else 0, ``(n,)``."""
    allowed = int(fpr * len(theirs) + 1e-9)
    threshold = theirs.topk(allowed + 1).values[-1]
    return (ours > threshold).double()
