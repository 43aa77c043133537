"""Relearning, against steps that can be counted by hand."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.values import MetricValue, not_computed
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.ain import AIN
from erasure.metrics.privacy.relearn import Relearn
from erasure.testing.toy import toy_context

SGD = partial(torch.optim.SGD, lr=1.0)
ADAM = partial(torch.optim.Adam, lr=0.003)
QUICK = {"eval_every": 1, "max_steps": 6, "horizon": 4, "min_n": 2, "repeats": 1}
SMALL = {"eval_every": 5, "max_steps": 10, "horizon": 10, "min_n": 5, "repeats": 2}


@pytest.fixture
def two_rows(make_ctx):
    """Two forget samples of class 1, whose logit of class 0 is ahead by a given number."""

    def make(**ahead):
        labels = torch.ones(2, dtype=torch.int64)
        tables = {who: torch.tensor([[lead, 0.0]] * 2) for who, lead in ahead.items()}
        return make_ctx({"forget": (labels, tables)})

    return make


def steps_by_hand(ahead):
    """SGD at rate 1 on both rows at once moves the lead d to d - sigmoid(d)."""
    steps = 0
    while ahead > 0:
        ahead -= 1 / (1 + math.exp(-ahead))
        steps += 1
    return steps


def test_steps_and_index_are_those_counted_by_hand(two_rows):
    ctx = two_rows(original=-5.0, unlearned=1.0, gold=2.0)
    metrics = {"relearn": Relearn(optimizer=SGD, judge="same", **QUICK), "ain": AIN()}
    results = Evaluator(metrics=metrics)(ctx).flat()
    assert (steps_by_hand(1.0), steps_by_hand(2.0)) == (2, 3)
    assert results["original/relearn/steps"] == 0.0
    assert results["relearn/steps"] == 2.0
    assert results["gold/relearn/steps"] == 3.0
    assert results["ain/value"] == pytest.approx(2 / 3, abs=1e-9)
    assert results["original/ain/value"] == 0.0
    assert results["gold/ain/value"] == 1.0


def test_the_area_is_that_under_the_curve_up_to_the_horizon(two_rows):
    ctx = two_rows(original=-5.0, unlearned=1.0)
    results = measure(Relearn(optimizer=SGD, judge="same", **QUICK), ctx)
    assert results["relearn/steps"].extras["curves"] == [
        [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0), (4, 1.0)]
    ]
    assert results["relearn/area"].value == pytest.approx((0 + 0.5 + 1 + 1) / 4)


def test_who_never_gets_there_is_censored(two_rows):
    ctx = two_rows(original=-5.0, unlearned=20.0, gold=1.0)
    metrics = {"relearn": Relearn(optimizer=SGD, judge="same", **QUICK), "ain": AIN()}
    results = Evaluator(metrics=metrics)(ctx).results["unlearned"]
    assert results["relearn/steps"].value == 6.0
    assert results["relearn/steps"].extras["censored"] == 1
    assert math.isnan(results["relearn/steps"].ci_low)
    assert results["ain/value"].value == 3.0
    assert results["ain/value"].extras == {"bound": "at_least"}


@pytest.mark.parametrize(
    ("unlearned", "gold", "expected"),
    [
        ((12.0, 0), (40.0, 0), (0.3, "none")),
        ((12.0, 0), (500.0, 2), (0.024, "at_most")),
        ((500.0, 3), (40.0, 0), (12.5, "at_least")),
    ],
)
def test_the_index_is_a_ratio_and_says_when_it_is_a_bound(two_rows, unlearned, gold, expected):
    ctx = two_rows(unlearned=1.0, gold=1.0)
    for who, (value, censored) in {"unlearned": unlearned, "gold": gold}.items():
        measured = MetricValue(value=value, extras={"censored": censored})
        ctx.results[who] = {"relearn/steps": measured}
    result = measure(AIN(), ctx)["ain/value"]
    assert (result.value, result.extras["bound"]) == (pytest.approx(expected[0]), expected[1])


@pytest.mark.parametrize(
    ("unlearned", "gold", "reason"),
    [
        (MetricValue(value=3.0, extras={"censored": 0}), 0.0, "gold_at_target"),
        (MetricValue(value=500.0, extras={"censored": 1}), 500.0, "censored"),
        (not_computed("degenerate", "diverged"), 40.0, "diverged"),
    ],
)
def test_without_a_ratio_there_is_a_reason(two_rows, unlearned, gold, reason):
    ctx = two_rows(unlearned=1.0, gold=1.0)
    ctx.results["unlearned"] = {"relearn/steps": unlearned}
    censored = {"censored": int(gold == 500.0)}
    ctx.results["gold"] = {"relearn/steps": MetricValue(value=gold, extras=censored)}
    assert measure(AIN(), ctx)["ain/value"].reason == reason


def test_the_index_needs_relearning_first(two_rows):
    result = measure(AIN(), two_rows(unlearned=1.0, gold=1.0))["ain/value"]
    assert (result.status, result.reason) == ("skipped", "missing_unlearned:relearn/steps")


def test_a_model_equal_to_gold_relearns_as_gold_does():
    ctx = toy_context("cnn")
    ctx = replace(ctx, models={**ctx.models, "unlearned": ctx.models["gold"]})
    metric = Relearn(optimizer=ADAM, **SMALL)
    unlearned, gold = measure(metric, ctx), measure(metric, ctx.of("gold"))
    assert unlearned["relearn/steps"].extras["curves"] == gold["relearn/steps"].extras["curves"]
    assert unlearned["relearn/area"].value == gold["relearn/area"].value


def test_halves_are_the_same_for_all_models_and_others_for_another_seed():
    ctx = toy_context()
    metric = Relearn(optimizer=ADAM, **SMALL)
    first, second = metric._draw(ctx, 0), metric._draw(ctx.of("gold"), 0)
    assert torch.equal(first.judged.index, second.judged.index)
    both = torch.cat([first.judged.index, first.taught.index]).sort().values
    assert torch.equal(both, ctx.splits.forget.index)
    other = metric._draw(replace(ctx, seed=1), 0)
    assert not torch.equal(first.judged.index, other.judged.index)


def test_the_original_has_a_curve_of_an_untrained_network_beside_it():
    ctx = toy_context()
    blank = replace(ctx, fresh=lambda salt="": toy_context().models["gold"])
    metric = Relearn(optimizer=ADAM, **SMALL)
    extras = measure(metric, blank.of("original"))["relearn/steps"].extras
    assert len(extras["untrained_curves"]) == 2
    assert "untrained_curves" not in measure(metric, blank)["relearn/steps"].extras


def test_no_model_is_changed_by_learning_with_dropout_and_norms():
    ctx = toy_context("cnn")
    before = {who: model_fingerprint(model) for who, model in ctx.models.items()}
    measure(Relearn(optimizer=ADAM, **SMALL), ctx)
    assert {who: model_fingerprint(model) for who, model in ctx.models.items()} == before
    assert all(p.grad is None for model in ctx.models.values() for p in model.parameters())


def test_too_few_samples_and_divergence_have_a_reason(two_rows):
    evaluator = Evaluator(metrics={"relearn": Relearn(optimizer=SGD, judge="same", repeats=1)})
    results = evaluator(two_rows(original=-5.0, unlearned=1.0)).results["unlearned"]
    assert results["relearn/steps"].reason == "too_few"
    upwards = partial(torch.optim.SGD, lr=3e38, maximize=True)
    wild = Relearn(optimizer=upwards, judge="same", **QUICK)
    results = Evaluator(metrics={"r": wild})(two_rows(original=-5.0, unlearned=1.0)).results
    assert results["unlearned"]["relearn/steps"].reason == "diverged"


def test_without_an_original_there_is_no_target(two_rows):
    ctx = two_rows(unlearned=1.0)
    evaluation = Evaluator(metrics={"r": Relearn(optimizer=SGD, judge="same", **QUICK)})(ctx)
    assert evaluation.results["unlearned"]["relearn/steps"].reason == "missing_original"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": 1.0}, r"alpha must be in \[0, 1\), got 1.0"),
        ({"judge": "both"}, "judge must be held_out or same, got 'both'"),
        ({"eval_every": 0}, "eval_every must be >= 1, got 0"),
        ({"repeats": 0}, "repeats must be >= 1, got 0"),
        ({"min_n": 1}, "min_n must be >= 2, got 1"),
        ({"max_steps": 501}, "max_steps must be a positive multiple of eval_every=5, got 501"),
        ({"horizon": 0}, "horizon must be a positive multiple of eval_every=5, got 0"),
        ({"horizon": 505}, "horizon must be <= max_steps=500, got 505"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"optimizer": partial(torch.optim.SGD, lr=-1.0)}, "optimizer cannot be built"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        Relearn(**{"optimizer": SGD, **setting})
