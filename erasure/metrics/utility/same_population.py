"""Accuracy and loss on held-out samples of the forgotten population, and on the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
from erasure.metrics.utility.accuracy import accuracy
from erasure.metrics.utility.loss import mean_loss


@dataclass(frozen=True, kw_only=True)
class SamePopulation:
    """Accuracy and loss on both sides of the held-out part, where the request divides it.

    After the removal of a class or a person ``test_forget`` has the held-out samples of it and
    ``test_retain`` all others. The accuracy on ``test_forget`` is what is meant by the forget
    accuracy in papers on class removal, and that on ``test_retain`` by the test accuracy. Where
    the forget set is a sample of everything there is no such division, and every value is
    skipped with the reason ``no_population``.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        found = {}
        for side in ("forget", "retain"):
            gold = side == "forget"
            of = f"{heldout} samples {'' if gold else 'not '}of the forgotten population"
            found[f"{heldout}_{side}/accuracy"] = Meaning(
                direction="closer_to_gold" if gold else "max",
                low=0.0,
                high=1.0,
                description=f"Share of correct predictions on {of}.",
            )
            found[f"{heldout}_{side}/loss"] = Meaning(
                direction="closer_to_gold" if gold else "min",
                low=0.0,
                high=float("inf"),
                description=f"Mean negative log-likelihood of the labels of {of}.",
                unit="nats",
            )
        return found

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        compute: dict[str, Callable[[EvalContext, str], MetricValue]] = {
            "accuracy": accuracy,
            "loss": mean_loss,
        }
        return {
            f"{ctx.heldout}_{side}/{name}": measure(partial(_on_side, ctx, side, each))
            for side in ("forget", "retain")
            for name, each in compute.items()
        }


def _on_side(
    ctx: EvalContext, side: str, compute: Callable[[EvalContext, str], MetricValue]
) -> MetricValue:
    if not ctx.population_parts:
        raise NotComputableError("skipped", "no_population")
    return compute(ctx, f"{ctx.heldout}_{side}")
