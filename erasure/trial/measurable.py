"""Whether there are samples enough to measure an objective, asked before anything is trained."""

from contextlib import suppress
from typing import NoReturn

from torch import nn

from erasure.core.context import EvalContext, Who
from erasure.core.metric import Metric
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.evaluator import SUBJECTS
from erasure.evaluation.measure import meanings, measure
from erasure.trial.trial import Trial

SOME_VALUE = MetricValue(value=0.5)
"""Stands for a value that is measured once there are models."""


class Untrained(nn.Module):
    """Stands for a model that is not there yet."""

    def forward(self, *_: object) -> NoReturn:
        """Refuse to be looked at."""
        raise NotComputableError("skipped", "untrained")


def too_few_samples(trial: Trial) -> dict[str, str]:
    """Return which values of the objective no model would have, and the counts that are why.

    Every metric is asked as it will be, with models that nobody can look at. Only what it says of
    the number of samples counts, which it says before it looks; a metric that fails in any other
    way says nothing. So nothing is refused that could be measured, and no forward pass is made.
    """
    models: dict[Who, nn.Module] = {"original": Untrained(), "unlearned": Untrained()}
    if trial.evaluator.needs_gold:
        models["gold"] = Untrained()
    ctx = trial.context(models)
    subjects = [who for who in SUBJECTS if who in ctx.models]
    ctx.results.update({who: {} for who in subjects})
    for metric in trial.evaluator.metrics.values():
        for who in subjects:
            ctx.results[who].update(_measured(metric, ctx.of(who)))
    unlearned, names = ctx.results["unlearned"], trial.objective.names
    without = {name: unlearned[name] for name in names if unlearned.get(name, SOME_VALUE).counts}
    return {name: f"{value.reason}: {value.counts}" for name, value in without.items()}


def _measured(metric: Metric, ctx: EvalContext) -> dict[str, MetricValue]:
    """Return what a metric says of counts, and some value for everything else."""
    names = meanings(metric, ctx.heldout)
    measured: dict[str, MetricValue] = {}
    if not getattr(metric, "runs_models", False):
        with suppress(Exception):  # without models a metric may fail in any way
            measured = measure(metric, ctx)
    values = {name: measured.get(name, SOME_VALUE) for name in names}
    return {name: value if value.counts else SOME_VALUE for name, value in values.items()}
