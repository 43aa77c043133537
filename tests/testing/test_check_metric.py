"""Our metrics keep to the contract; wrong metrics on purpose are caught by the right check."""

import math
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from erasure.config.build import build
from erasure.core.values import Meaning, MetricValue, missing
from erasure.metrics.privacy.loss_mia import LossMIA
from erasure.metrics.to_gold.gap import Gap
from erasure.metrics.utility.accuracy import Accuracy
from erasure.testing import check_metric, metric_checks

pytestmark = pytest.mark.slow


CONF = Path(__file__).parents[2] / "conf"
METRICS = sorted(path.stem for path in (CONF / "metric").glob("*.yaml"))
SHORTER = {"relearn": ("metric.max_steps=5", "metric.horizon=5", "metric.repeats=1")}
"""Settings without which a metric would train for a minute here."""


def test_no_metric_is_skipped():
    assert len(METRICS) >= 8


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_keeps_to_the_contract(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(overrides=[f"+metric={name}", *SHORTER.get(name, ())])
    check_metric(build(cfg.metric, "metric"), after=[Accuracy(), LossMIA()])


class Steady:
    """A correct metric, for faults to be put into."""

    value = 0.5

    def schema(self, heldout):
        return {"forget/steady": Meaning(direction="max", low=0.0, high=1.0, description="One.")}

    def __call__(self, ctx):
        return {"forget/steady": MetricValue(value=self.value)}


class OtherName(Steady):
    def __call__(self, ctx):
        return {"forget/stead": MetricValue(value=0.5)}


class Silent(Steady):
    def __call__(self, ctx):
        return {}


class OutOfRange(Steady):
    value = 1.5


class NoReason(Steady):
    def __call__(self, ctx):
        return {"forget/steady": missing("degenerate", "")}


class ImpossibleInterval(Steady):
    def __call__(self, ctx):
        return {"forget/steady": MetricValue(value=0.5, ci_low=0.4, ci_high=1.2)}


class IdealOutOfRange(Steady):
    def schema(self, heldout):
        meaning = Meaning(direction="max", low=0.0, high=1.0, ideal=2.0, description="One.")
        return {"forget/steady": meaning}


class Draws(Steady):
    def __call__(self, ctx):
        return {"forget/steady": MetricValue(value=torch.rand(()).item())}


class LeavesTrainMode(Steady):
    def __call__(self, ctx):
        ctx.models[ctx.subject].train(not ctx.models[ctx.subject].training)
        return super().__call__(ctx)


class MovesStatistics(Steady):
    """Runs a network in train mode, which moves its running statistics."""

    def __call__(self, ctx):
        part = ctx.splits.forget
        ctx.models["unlearned"](part.pool.fetch(part.index)).sum()
        return super().__call__(ctx)


class RunsAgain(Steady):
    def __call__(self, ctx):
        ctx.logits("forget")
        part = ctx.splits.forget
        with torch.inference_mode():
            ctx.models[ctx.subject](part.pool.fetch(part.index))
        return super().__call__(ctx)


class RunsTest(Steady):
    """Needs more forward passes than there are samples to evaluate."""

    def __call__(self, ctx):
        for view in (ctx.splits.train, ctx.splits.val, ctx.splits.test):
            ctx.models["original"](view.pool.fetch(view.index))
        return super().__call__(ctx)


class DisablesGradients(Steady):
    def __call__(self, ctx):
        torch.set_grad_enabled(False)
        return super().__call__(ctx)


ONCE, MODELS = "runs_models_once", "leaves_models"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Steady(), set()),
        (OtherName(), {"returns_its_schema", "stays_in_range"}),
        (Silent(), {"returns_its_schema"}),
        (OutOfRange(), {"stays_in_range"}),
        (NoReason(), {"stays_in_range"}),
        (ImpossibleInterval(), {"stays_in_range"}),
        (IdealOutOfRange(), {"describes_its_values"}),
        (Draws(), {"is_reproducible", "leaves_surroundings"}),
        (LeavesTrainMode(), {MODELS}),
        (MovesStatistics(), {MODELS, ONCE}),
        (RunsAgain(), {ONCE, MODELS}),
        (RunsTest(), {ONCE, MODELS}),
        (DisablesGradients(), {"leaves_surroundings"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Steady) else "",
)
def test_faults_are_caught_by_the_check_that_is_meant_to(metric, expected):
    assert {str(check) for check in metric_checks() if check.reason(metric)} == expected


def test_the_message_names_the_metric_and_the_check():
    with pytest.raises(
        AssertionError, match=r"OutOfRange object .* fails 1 of 7 checks\n  stays_"
    ):
        check_metric(OutOfRange())


def test_what_a_metric_raises_is_passed_on_with_the_name_of_the_check():
    class Crashes(Steady):
        def __call__(self, ctx):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        check_metric(Crashes())
    assert caught.value.__notes__ == ["in the check returns_its_schema of erasure.testing"]


def test_metrics_that_build_upon_others_need_them_measured_before():
    seen = []

    class Watched(Gap):
        def __call__(self, ctx):
            found = super().__call__(ctx)
            seen.append(math.isfinite(found["gap/avg"].value))
            return found

    gap = Watched(of=["forget/accuracy"])
    check_metric(gap)
    assert seen
    assert not any(seen)
    check_metric(gap, after=[Accuracy()])
    assert any(seen)
