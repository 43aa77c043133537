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
    ClusteredValues,
    above,
    clustered_proportion,
    error_near_null,
    jackknife_errors,
    rate_interval,
    two_way_error,
)
from erasure.evaluation.statistics.low_fpr import allowed_alarms, null_rate

JACKKNIFED = 500
"""Samples on which models are left out or swapped, if there are more."""

SWAPS = 100
"""Random swaps of models by which the spread under the null is estimated."""

STATISTICS = ("auc", "balanced_accuracy", *LOW_FPRS)
"""Names of what errors are estimated of."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Of the accuracy per sample: the attack may be useless on most and sure of some."""


@dataclass(frozen=True)
class UnlearningAttack:
    """Tells models that unlearned a sample from models that never saw it.

    Args:
        members: Margins of models that unlearned a sample, ``(N, n)`` float64, NaN elsewhere.
        nonmembers: Margins of models that never saw it, ``(N, n)``; row k of both shares a seed.
        seed: Seed of the choice of samples for the jackknife.
        fewest: Models that a sample needs on either side, at least 3.

    Raises:
        NotComputableError: If fewer than two samples have enough models.
    """

    members: Tensor
    nonmembers: Tensor
    seed: int
    fewest: int = FEWEST

    def __post_init__(self) -> None:
        sides = (self.members, self.nonmembers)
        counts = torch.stack([(~side.isnan()).sum(dim=0) for side in sides])
        enough = (counts >= self.fewest).all(dim=0)
        if int(enough.sum()) < 2:
            raise NotComputableError("degenerate", "too_few")
        if not enough.all():
            object.__setattr__(self, "members", self.members[:, enough])
            object.__setattr__(self, "nonmembers", self.nonmembers[:, enough])

    def values(self, extras: Mapping[str, Any]) -> dict[str, MetricValue]:
        """Return every value by the last part of its name.

        Args:
            extras: What else to note.
        """
        noted = {
            "models": len(self.members),
            "samples": self.members.shape[1],
            "floored": self.scores.floored,
            "constant_score": self._constant,
            **extras,
        }
        rates = {name: self._caught(name, fpr, noted) for name, fpr in LOW_FPRS.items()}
        return {"auc": self.auc(noted), "balanced_accuracy": self._accuracy(noted), **rates}

    def auc(self, extras: Mapping[str, Any]) -> MetricValue:
        """Return the area under the ROC curve over all models and samples."""
        members, nonmembers = self._sides
        # Members above each nonmember are 1 - losses: both sides have the AUC as their mean.
        wins, losses = (
            above(members.values, nonmembers.values),
            above(nonmembers.values, members.values),
        )
        value = wins.mean().item()
        error = two_way_error(
            [
                (members, (wins - value) / len(wins)),
                (nonmembers, (1 - losses - value) / len(losses)),
            ]
        )
        nulls = self.nulls
        noted = {**extras, "null_error": nulls["auc"].std().item()} if nulls else extras
        return self._rate(value, self._error("auc", value, error), noted)

    @cached_property
    def scores(self) -> Scores:
        """Scores of all models and samples."""
        return likelihood_ratios(self.members, self.nonmembers)

    @cached_property
    def nulls(self) -> Mapping[str, Tensor]:
        """What models that are alike would give, by name ``(SWAPS,)``, of some samples if many.

        Row k of both sides shares a seed, and if unlearning is perfect nothing tells which of the
        two is which: so at random they are swapped. Nothing where models miss samples.
        """
        members, nonmembers = self._drawn
        if bool(torch.stack([members, nonmembers]).isnan().any()):
            return {}
        generator = stream(self.seed, "ulira", "swaps")
        swaps = torch.rand(SWAPS, len(members), 1, generator=generator) < 0.5
        rows = [
            _statistics(
                UnlearningAttack(
                    nonmembers.where(swap, members), members.where(swap, nonmembers), self.seed
                )
            )
            for swap in swaps
        ]
        return dict(zip(STATISTICS, torch.stack(rows).T, strict=True))

    def _accuracy(self, extras: Mapping[str, Any]) -> MetricValue:
        members, nonmembers = (
            ClusteredValues(right, side.samples, side.models)
            for side, right in zip(self._sides, self._right, strict=True)
        )
        rates = [side.values.mean().item() for side in (members, nonmembers)]
        error = two_way_error(
            [
                (side, (side.values - rate) / (2 * len(side)))
                for side, rate in zip((members, nonmembers), rates, strict=True)
            ]
        )
        error = self._error("balanced_accuracy", sum(rates) / 2, error)
        rates_of_sides = {"tpr": rates[0], "tnr": rates[1], "per_sample": self._by_sample()}
        return self._rate(sum(rates) / 2, error, {**extras, **rates_of_sides})

    def _caught(self, name: str, fpr: float, extras: Mapping[str, Any]) -> MetricValue:
        members, nonmembers = self._sides
        noted = {**extras, "unreliable": fpr * len(nonmembers) < RELIABLE_ALARMS}
        null = null_rate(fpr, len(nonmembers))
        if self._constant:
            return MetricValue(value=null, n=len(members), ideal=null, extras=noted)
        caught = _caught(members.values, nonmembers.values, fpr)
        hits = ClusteredValues(caught, members.samples, members.models)
        error = two_way_error([(hits, (caught - caught.mean()) / len(hits))])
        rate = clustered_proportion(hits, self._error(name, caught.mean().item(), error))
        return replace(rate, ideal=null, extras={**noted, **rate.extras})

    def _error(self, name: str, value: float, clustered: float) -> float:
        # Clustering does not see that models are part of each other's fits; leaving them out does.
        error = max(clustered, self._jackknifed[name])
        nulls = self.nulls
        return error_near_null(value, error, nulls[name]) if nulls else error

    def _rate(self, value: float, error: float, extras: Mapping[str, Any]) -> MetricValue:
        clusters = min(GROUPS, len(self.members), self.members.shape[1])
        low, high = rate_interval(value, error, clusters)
        n = sum(len(side) for side in self._sides)
        return MetricValue(
            value=value, ci_low=low, ci_high=high, n=n, extras={**extras, "error": error}
        )

    def _by_sample(self) -> dict[str, float]:
        rows = [
            # A comparison with NaN is False, not missing: it is made missing again.
            torch.where(side.isnan(), torch.nan, right.double()).nanmean(dim=0)
            for side, right in (
                (self.scores.members, self.scores.members > 0),
                (self.scores.nonmembers, self.scores.nonmembers <= 0),
            )
        ]
        accuracies = (rows[0] + rows[1]) / 2
        points = accuracies.quantile(accuracies.new_tensor(QUANTILES)).tolist()
        return {f"{q:g}": point for q, point in zip(QUANTILES, points, strict=True)}

    @cached_property
    def _sides(self) -> tuple[ClusteredValues, ClusteredValues]:
        return ClusteredValues.of(self.scores.members), ClusteredValues.of(self.scores.nonmembers)

    @cached_property
    def _right(self) -> tuple[Tensor, Tensor]:
        members, nonmembers = self._sides
        return (members.values > 0).double(), (nonmembers.values <= 0).double()

    @cached_property
    def _constant(self) -> bool:
        members, nonmembers = self._sides
        return bool((torch.cat([members.values, nonmembers.values]) == members.values[0]).all())

    @cached_property
    def _jackknifed(self) -> dict[str, float]:
        """Standard errors by name, of what is measured on some samples if there are many.

        With fewer samples they are too large rather than too small.
        """
        members, nonmembers = self._drawn

        def statistics(kept: Tensor) -> Tensor:
            # With four models leaving one out leaves three; that will do for a spread.
            fewest = self.fewest - 1
            return _statistics(
                UnlearningAttack(members[kept], nonmembers[kept], self.seed, fewest)
            )

        errors = jackknife_errors(statistics, len(members)).tolist()
        return dict(zip(STATISTICS, errors, strict=True))

    @cached_property
    def _drawn(self) -> tuple[Tensor, Tensor]:
        """Both sides on the samples that errors are estimated with."""
        size = self.members.shape[1]
        order = torch.randperm(size, generator=stream(self.seed, "ulira", "jackknife"))
        drawn = order[:JACKKNIFED]
        return self.members[:, drawn], self.nonmembers[:, drawn]


def _statistics(attack: UnlearningAttack) -> Tensor:
    members, nonmembers = (side.values for side in attack._sides)
    rates = [_caught(members, nonmembers, fpr).mean() for fpr in LOW_FPRS.values()]
    right = torch.stack([side.mean() for side in attack._right]).mean()
    return torch.stack([above(members, nonmembers).mean(), right, *rates])


def _caught(members: Tensor, nonmembers: Tensor, fpr: float) -> Tensor:
    """Return 1 for members above all but a share ``fpr`` of the nonmembers, else 0, ``(n,)``."""
    threshold = nonmembers.topk(allowed_alarms(fpr, len(nonmembers)) + 1).values[-1]
    return (members > threshold).double()
