import json
import logging
import math
from dataclasses import dataclass, replace

import pytest
import torch

from erasure.core.errors import ConfigError
from erasure.core.metric import Values, share
from erasure.core.splits import View
from erasure.core.values import Meaning, MetricValue, NotComputableError, not_computed
from erasure.evaluation.evaluation import Evaluation
from erasure.evaluation.evaluator import Evaluator
from erasure.metrics.cost.cost import Cost
from erasure.metrics.to_gold.gap import Gap
from erasure.metrics.utility.accuracy import Accuracy
from erasure.metrics.utility.loss import Loss


@dataclass(frozen=True, kw_only=True)
class Fake:
    """Declares ``names`` and does what ``act`` does."""

    names: tuple
    act: object

    def values(self, parts):
        return Values(dict.fromkeys(self.names, share("info", "A test value.")), self.act)


def fail(ctx):
    raise ZeroDivisionError("by zero")


def give_up(ctx):
    raise NotComputableError("skipped", "no_shadows")


def test_results_are_kept_by_role_and_flat_by_tracking_name(random_ctx):
    ctx = random_ctx()
    evaluation = Evaluator(metrics={"accuracy": Accuracy()})(ctx)
    assert list(evaluation.results) == ["original", "unlearned", "gold"]
    assert ctx.results == evaluation.results
    assert set(evaluation.flat()) == {
        f"{role}{part}/accuracy"
        for role in ("original/", "", "gold/")
        for part in ("forget", "retain", "test")
    }
    assert (
        evaluation.flat()["gold/test/accuracy"]
        == evaluation.results["gold"]["test/accuracy"].value
    )


def test_roles_that_are_missing_are_left_out(random_ctx):
    evaluator = Evaluator(metrics={"accuracy": Accuracy()}, needs_gold=False)
    assert list(evaluator(random_ctx(roles=("unlearned",))).results) == ["unlearned"]


def test_a_metric_can_use_the_values_of_all_models_before_it(random_ctx):
    metrics = {"accuracy": Accuracy(), "gap": Gap(of=["heldout/accuracy"])}
    evaluation = Evaluator(metrics=metrics)(random_ctx())
    gap = evaluation.results["unlearned"]["gap/avg"].value
    flat = evaluation.flat()
    assert gap == pytest.approx(abs(flat["test/accuracy"] - flat["gold/test/accuracy"]))
    assert evaluation.results["gold"]["gap/avg"].value == 0.0


def test_costs_are_reported_once(random_ctx):
    flat = Evaluator(metrics={"cost": Cost()})(random_ctx(costs={"unlearn_seconds": 2.0})).flat()
    assert flat == {"cost/unlearn_seconds": 2.0}


def test_two_metrics_of_one_name_are_refused_before_anything_is_measured():
    with pytest.raises(ConfigError, match="forget/accuracy from first and second"):
        Evaluator(metrics={"first": Accuracy(), "second": Accuracy()})


def test_a_failing_metric_does_not_stop_the_others(random_ctx, caplog):
    metrics = {"bad": Fake(names=("bad/a", "bad/b"), act=fail), "accuracy": Accuracy()}
    with caplog.at_level(logging.ERROR):
        evaluation = Evaluator(metrics=metrics)(random_ctx())
    for role in ("original", "unlearned", "gold"):
        assert evaluation.results[role]["bad/a"].reason == "ZeroDivisionError"
        assert evaluation.results[role]["bad/b"].status == "error"
        assert evaluation.results[role]["test/accuracy"].status == "ok"
    assert evaluation.errors == tuple(
        f"metric bad on the {role} model: ZeroDivisionError: by zero"
        for role in ("original", "unlearned", "gold")
    )
    assert all("in fail" in text for text in evaluation.tracebacks)
    assert "ZeroDivisionError: by zero" in caplog.text
    assert "bad/a" not in evaluation.flat()


def test_a_metric_that_gives_up_as_a_whole_is_no_error(random_ctx):
    evaluation = Evaluator(metrics={"shadow": Fake(names=("shadow/auc",), act=give_up)})(
        random_ctx()
    )
    assert evaluation.errors == ()
    assert evaluation.results["unlearned"]["shadow/auc"].reason == "no_shadows"


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b", "c")])
def test_names_that_were_not_declared_are_an_error(random_ctx, names):
    wrong = Fake(names=("a", "b"), act=lambda ctx: {n: MetricValue(value=0.5) for n in names})
    evaluation = Evaluator(metrics={"wrong": wrong})(random_ctx(roles=("unlearned",)))
    assert set(evaluation.results["unlearned"]) == {"a", "b"}
    assert {m.reason for m in evaluation.results["unlearned"].values()} == {"UndeclaredNamesError"}
    assert len(evaluation.errors) == 1


def test_json_names_every_value_even_those_that_could_not_be_computed():
    meanings = {
        "x/loss": Meaning(
            direction="min", low=0.0, high=math.inf, ideal=0.0, description="D.", unit="nats"
        )
    }
    good = MetricValue(value=0.5, ci_low=0.25, ci_high=0.75, n=3, extras={"odd": [math.nan, 1]})
    results = {"unlearned": {"x/loss": good}, "gold": {"x/loss": not_computed("skipped", "why")}}
    report = Evaluation(results=results, meanings=meanings).to_json()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["x/loss"] == {
        "value": 0.5,
        "status": "ok",
        "reason": "",
        "direction": "min",
        "range": [0.0, None],
        "ideal": 0.0,
        "unit": "nats",
        "ci": [0.25, 0.75],
        "n": 3,
        "extras": {"odd": [None, 1]},
        "description": "D.",
    }
    broken = report["gold/x/loss"]
    assert (broken["value"], broken["status"], broken["reason"]) == (None, "skipped", "why")
    assert broken["ci"] is None


def test_a_subset_of_retain_is_drawn_by_the_evaluation_seed(random_ctx):
    evaluator = Evaluator(metrics={"loss": Loss()}, max_retain=25)
    first, again, other = (evaluator.prepare(random_ctx(seed=seed)) for seed in (1, 1, 2))
    assert len(first.ids("retain")) == 25
    assert torch.equal(first.ids("retain"), again.ids("retain"))
    assert not torch.equal(first.ids("retain"), other.ids("retain"))
    assert evaluator.prepare(first).ids("retain").tolist() == first.ids("retain").tolist()


def test_the_subset_stays_aligned_with_ids_and_cache(random_ctx):
    ctx = random_ctx()
    whole, ids = ctx.logits("retain"), ctx.ids("retain")
    forget_calls = ctx.models["unlearned"].calls
    ctx.logits("forget")
    prepared = Evaluator(metrics={"loss": Loss()}, max_retain=25).prepare(ctx)
    rows = torch.isin(ids, prepared.ids("retain"))
    assert torch.equal(prepared.logits("retain"), whole[rows])
    assert torch.equal(prepared.targets("retain"), ctx.targets("retain")[rows])
    prepared.logits("forget")
    assert ctx.models["unlearned"].calls == forget_calls + 2  # forget once, the subset once


def test_a_prepared_context_shares_the_forward_passes_of_the_evaluation(random_ctx):
    evaluator = Evaluator(metrics={"loss": Loss()}, max_retain=25)
    ctx = evaluator.prepare(random_ctx())
    evaluation = evaluator(ctx)
    calls = ctx.models["gold"].calls
    for part in ctx.parts:
        ctx.logits(part, "gold")
    assert ctx.models["gold"].calls == calls == 3
    assert ctx.results == evaluation.results
    assert evaluation.results["gold"]["retain/loss"].n == 25


def test_the_seed_of_the_subset_is_not_the_global_generator(random_ctx):
    state = torch.get_rng_state()
    Evaluator(metrics={"loss": Loss()}, max_retain=5).prepare(random_ctx())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("heldout", "spared"), [("val", "test"), ("test", "val")])
def test_the_other_heldout_part_is_never_touched(random_ctx, heldout, spared):
    ctx = random_ctx(heldout=spared)
    metrics = {"accuracy": Accuracy(), "gap": Gap(of=["heldout/accuracy"])}
    evaluation = Evaluator(metrics=metrics, heldout=heldout)(ctx)
    assert not any(spared in name for name in evaluation.to_json())
    assert {part for part, _ in ctx._cache} == {"forget", "retain", heldout}


def with_probes(ctx):
    """Return ``ctx`` with probes of both held-out parts: 50 of val, 60 of test."""
    ids = torch.cat([ctx.splits.test.index, ctx.splits.val.index])
    probe = View(ctx.splits.test.pool, ids)
    return replace(ctx, splits=replace(ctx.splits, probes={"triggered": probe}))


def inputs_of(model):
    """Return a list that gets the row numbers ``(n, 1)`` that ``model`` is run on."""
    rows = []
    model.register_forward_hook(lambda _model, inputs, _logits: rows.append(inputs[0]))
    return rows


@pytest.mark.parametrize(("heldout", "spared"), [("val", "test"), ("test", "val")])
def test_no_probe_of_the_other_heldout_part_reaches_a_model(random_ctx, heldout, spared):
    def probe_accuracy(ctx):
        right = ctx.logits("triggered").argmax(-1) == ctx.targets("triggered")
        return {"probe/accuracy": right.double().mean().item()}

    ctx = with_probes(random_ctx())
    rows = inputs_of(ctx.models["unlearned"])
    probe = Fake(names=("probe/accuracy",), act=probe_accuracy)
    evaluation = Evaluator(metrics={"probe": probe}, heldout=heldout)(ctx)
    assert evaluation.results["unlearned"]["probe/accuracy"].status == "ok"
    seen = set(torch.cat(rows).flatten().tolist())
    assert seen == set(ctx.splits.part(heldout).index.tolist())
    assert not seen & set(ctx.splits.part(spared).index.tolist())


@pytest.mark.parametrize("heldout", ["val", "test"])
def test_what_was_computed_on_all_probes_is_not_kept_for_some(random_ctx, heldout):
    ctx = with_probes(random_ctx())
    all_logits, all_ids = ctx.logits("triggered"), ctx.ids("triggered")
    prepared = Evaluator(metrics={"loss": Loss()}, heldout=heldout).prepare(ctx)
    assert torch.equal(prepared.ids("triggered"), ctx.splits.part(heldout).index)
    rows = torch.isin(all_ids, prepared.ids("triggered"))
    assert torch.equal(prepared.logits("triggered"), all_logits[rows])


def test_probes_without_samples_of_the_other_part_keep_their_logits(random_ctx):
    ctx = random_ctx()
    probes = {"triggered": View(ctx.splits.test.pool, ctx.splits.test.index)}
    ctx = replace(ctx, splits=replace(ctx.splits, probes=probes))
    logits = ctx.logits("triggered")
    assert Evaluator(metrics={"loss": Loss()}).prepare(ctx).logits("triggered") is logits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": {}}, "metrics must name at least one metric"),
        ({"heldout": "train"}, "heldout must be test or val, got 'train'"),
        ({"max_retain": 0}, "max_retain must be >= 1 or null, got 0"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Evaluator(**{"metrics": {"accuracy": Accuracy()}, **options})
