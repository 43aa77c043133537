"""Accuracy and loss on held-out samples of the forgotten population, and on the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, amount, gold_if_forget, share
from erasure.core.values import MetricValue, NotComputableError
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

    References:
        A. Tarun et al., "Fast Yet Effective Machine Unlearning", TNNLS 2023, arXiv:2111.08947:
        accuracies on forgotten and other classes, both of unseen samples.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        values = {}
        for side in parts.population:
            which = "of" if side.endswith("_forget") else "not of"
            samples = f"{parts.heldout} samples {which} the forgotten population."
            right = share(
                gold_if_forget(side, "max"), f"Share of correct predictions on {samples}"
            )
            loss = amount(
                gold_if_forget(side, "min"),
                f"Mean negative log-likelihood of the labels of {samples}",
                unit="nats",
            )
            values[f"{side}/accuracy"] = Value(right, partial(_on_side, accuracy, side=side))
            values[f"{side}/loss"] = Value(loss, partial(_on_side, mean_loss, side=side))
        return values


def _on_side(
    compute: Callable[[EvalContext, str], MetricValue], ctx: EvalContext, side: str
) -> MetricValue:
    if not ctx.population_parts:
        raise NotComputableError("skipped", "no_population")
    return compute(ctx, side)
