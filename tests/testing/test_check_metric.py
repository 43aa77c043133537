"""Our metrics keep to the contract; wrong metrics on purpose are caught by the right check."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from erasure.config.build import build
from erasure.core.metric import Value, Values, share
from erasure.core.values import MetricValue, not_computed
from erasure.metrics.privacy.loss_mia import LossMIA
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

    def values(self, parts):
        return {"forget/steady": Value(share("max", "One."), self.compute)}

    def compute(self, ctx):
        return self.value


class Together(Steady):
    """The same with values that come out of one computation."""

    def values(self, parts):
        return Values({"forget/steady": share("max", "One.")}, self.together)

    def together(self, ctx):
        return {"forget/steady": self.value}


class OtherName(Together):
    def together(self, ctx):
        return {"forget/stead": 0.5}


class OneMore(Together):
    def together(self, ctx):
        return {"forget/steady": 0.5, "forget/more": 0.5}


class Silent(Together):
    def together(self, ctx):
        return {}


class OfGoldOnly(Steady):
    subjects = ("gold",)


class OfUnlearnedOnly(Steady):
    subjects = ("unlearned",)


class OutOfRange(Steady):
    value = 1.5


class NoReason(Steady):
    def compute(self, ctx):
        return not_computed("degenerate", "")


class ImpossibleInterval(Steady):
    def compute(self, ctx):
        return MetricValue(value=0.5, ci_low=0.4, ci_high=1.2)


class IdealOutOfRange(Steady):
    def values(self, parts):
        return {"forget/steady": Value(share("max", "One.", ideal=2.0), self.compute)}


class Nothing(Steady):
    def values(self, parts):
        return {}


class Draws(Steady):
    def compute(self, ctx):
        return torch.rand(()).item()


class LeavesTrainMode(Steady):
    def compute(self, ctx):
        ctx.models[ctx.subject].train(not ctx.models[ctx.subject].training)
        return self.value


class MovesStatistics(Steady):
    """Runs a network in train mode, which moves its running statistics."""

    def compute(self, ctx):
        part = ctx.splits.forget
        ctx.models["unlearned"](part.pool.fetch(part.index)).sum()
        return self.value


class RunsAgain(Steady):
    def compute(self, ctx):
        ctx.logits("forget")
        part = ctx.splits.forget
        with torch.inference_mode():
            ctx.models[ctx.subject](part.pool.fetch(part.index))
        return self.value


class RunsTest(Steady):
    """Needs more forward passes than there are samples to evaluate."""

    def compute(self, ctx):
        for view in (ctx.splits.train, ctx.splits.val, ctx.splits.test):
            ctx.models["original"](view.pool.fetch(view.index))
        return self.value


class DisablesGradients(Steady):
    def compute(self, ctx):
        torch.set_grad_enabled(False)
        return self.value


ONCE, MODELS = "runs_models_once", "leaves_models"
DECLARED = "measures_what_it_declares"
MEASURING = {str(check) for check in metric_checks()} - {"describes_its_values"}
"""All checks that measure; wrong names spoil each of them."""


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Steady(), set()),
        (Together(), set()),
        (OfUnlearnedOnly(), set()),
        (OtherName(), MEASURING),
        (OneMore(), MEASURING),
        (Silent(), MEASURING),
        (OfGoldOnly(), {DECLARED}),
        (Nothing(), {"describes_its_values"}),
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
        def compute(self, ctx):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        check_metric(Crashes())
    assert caught.value.__notes__ == [f"in the check {DECLARED} of erasure.testing"]


def test_metrics_that_build_upon_others_need_them_measured_before():
    could_be_computed = []

    class Dependent(Steady):
        def compute(self, ctx):
            could_be_computed.append("forget/accuracy" in ctx.results[ctx.subject])
            return ctx.measured("forget/accuracy").value

    check_metric(Dependent())
    assert could_be_computed
    assert not any(could_be_computed)
    could_be_computed.clear()
    check_metric(Dependent(), after=[Accuracy()])
    assert all(could_be_computed)
