"""Memorization, gaps in deviations of retraining, null bands, and the audit."""

import math
from dataclasses import replace

import pytest
import scipy.stats
import torch
from reference_tables import Forgetful, crafted, logits_of, normal
from scipy.stats import mannwhitneyu

from erasure.core.context import RETAIN_SAMPLE
from erasure.core.errors import ConfigError
from erasure.core.splits import View
from erasure.core.task_types import Multilabel
from erasure.core.values import MetricValue
from erasure.data.pools.tensor import TensorPool
from erasure.data.splits.difficulty import read_scores
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import meanings, measure
from erasure.evaluation.per_model import paired_aucs, per_model
from erasure.metrics.cost.audit import Audit
from erasure.metrics.privacy.memorization import (
    Memorization,
    memorization_scores,
    memorization_tensors,
)
from erasure.metrics.privacy.ulira import ULiRA
from erasure.metrics.to_gold.forget_quality import ForgetQuality
from erasure.metrics.to_gold.gap_z import GapZ
from erasure.metrics.to_gold.klom import KLoM
from erasure.metrics.to_gold.null_band import NullBand
from erasure.metrics.utility.accuracy import Accuracy
from erasure.testing import check_metric

SIZES = {"forget": 24, "retain": 30, "test": 27}
METRICS = {
    "ulira": ULiRA(),
    "forget_quality": ForgetQuality(),
    "klom": KLoM(),
    "gap_z": GapZ(),
    "null_band": NullBand(),
}


def references_context(make_ctx, models=24, member=3.0, kept=1.5, **options):
    """Originals that fit their samples, golds that do not know the forget set, one in between."""

    def tables(seed, known):
        return {
            part: normal(models, n, seed=seed + k) + normal(1, n, seed=90 + k) + known.get(part, 0)
            for k, (part, n) in enumerate(SIZES.items())
        }

    roles = {
        "original": tables(10, {"forget": member, "retain": 1.0}),
        "unlearned": tables(20, {"forget": kept, "retain": 1.0}),
        "gold": tables(30, {"retain": 1.0}),
    }
    return crafted(make_ctx, roles, **options)


@pytest.mark.parametrize(
    "metric",
    [*METRICS.values(), ULiRA(design="random"), Memorization()],
    ids=lambda m: repr(m)[:16],
)
def test_the_contract_of_a_metric_holds_without_reference_models(metric):
    check_metric(metric)


def test_the_audit_keeps_the_contract_of_a_metric():
    check_metric(Audit(), after=[ULiRA(), KLoM(), Accuracy()])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_values_with_reference_models_are_in_range_and_change_nothing(make_ctx, metric):
    ctx = references_context(make_ctx)
    before = torch.get_rng_state()
    schema = meanings(metric, "test")
    for who in ("original", "unlearned", "gold"):
        values = measure(metric, ctx.of(who))
        assert not values or set(values) == set(schema)
        for name, value in values.items():
            assert value.status == "ok", (name, value.reason)
            assert schema[name].low <= value.value <= schema[name].high
            if not math.isnan(value.ci_low):
                assert schema[name].low <= value.ci_low <= value.value <= value.ci_high
        again = measure(metric, ctx.of(who))
        assert {n: v.value for n, v in again.items()} == {n: v.value for n, v in values.items()}
    members = [model for model in ctx.models.values() if model.calls]
    assert not members  # these metrics read the references
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_reference_models_of_many_labels_are_measured(metric):
    """The margin is the mean over labels; nothing crashes for want of one class per sample."""
    ctx = multilabel_context()
    for value in measure(metric, ctx).values():
        assert value.status == "ok" or value.reason == "golds_agree"


def multilabel_context(models=20):
    from erasure.core.context import EvalContext
    from erasure.core.splits import DataSplits, SplitIndices

    generator = torch.Generator().manual_seed(0)
    total, labels = 80, 3
    targets = (torch.rand(total, labels, generator=generator) < 0.5).long()
    pool = TensorPool(inputs=torch.zeros(total, 2), targets=targets, class_names=("a", "b", "c"))
    ids = torch.arange(total).split([20, 30, 10, 20])
    tables = {
        role: torch.randn(models, total, labels, generator=generator) + (2 * targets - 1)
        for role in ("original", "unlearned", "gold")
    }
    blank = {role: torch.zeros(models, total, dtype=torch.bool) for role in tables}
    indices = SplitIndices(forget=ids[0], retain=ids[1], val=ids[2], test=ids[3])
    return EvalContext(
        models={},
        splits=DataSplits.of(pool, indices),
        task_type=Multilabel(),
        num_classes=labels,
        heldout="test",
        seed=0,
        references=Forgetful(tables, blank),
    )


def test_logits_that_are_not_finite_have_a_reason(make_ctx):
    ctx = references_context(make_ctx)
    ctx.references.tables["unlearned"][3, 5] = torch.nan
    for metric in METRICS.values():
        values = measure(metric, ctx)
        assert any(value.reason == "nonfinite_logits" for value in values.values()) or values == {}
        assert all(value.status in ("ok", "degenerate") for value in values.values())


def test_large_retain_sets_are_sampled_alike(make_ctx):
    """The margins of both groups are of the same samples, with the labels of these."""
    n = RETAIN_SAMPLE + 50
    roles = {who: {"retain": normal(1, n, seed=1).expand(4, n)} for who in ("unlearned", "gold")}
    auc = measure(ULiRA(), crafted(make_ctx, roles))["ulira/retain/auc"]
    assert (auc.value, auc.extras["samples"]) == (0.5, RETAIN_SAMPLE)


def test_the_attack_on_each_model_agrees_with_scipy():
    positives, negatives = normal(3, 40, seed=1).round(decimals=1), normal(3, 50, seed=2)
    aucs = paired_aucs(positives, negatives.round(decimals=1))
    for k in range(3):
        wins = mannwhitneyu(positives[k], negatives[k].round(decimals=1)).statistic
        assert aucs[k].item() == pytest.approx(wins / 2000, abs=1e-12)


def test_z_values_are_by_hand(make_ctx):
    ctx = references_context(make_ctx)
    measured_values = measure(GapZ(), ctx)
    for name, values in per_model("test").items():
        ours, golds = values(ctx, "unlearned"), values(ctx, "gold")
        z = (ours.mean() - golds.mean()) / golds.std()
        assert measured_values[f"gap_z/{name}"].value == pytest.approx(z.item(), abs=1e-9)
    forget = ctx.references.tables["unlearned"][:, :24].argmax(-1) == torch.arange(24) % 3
    assert torch.equal(
        per_model("test")["forget/accuracy"](ctx, "unlearned"), forget.double().mean(1)
    )
    assert measure(GapZ(), ctx.of("original"))["gap_z/forget/accuracy"].value > 3
    assert abs(measure(GapZ(), ctx.of("gold"))["gap_z/forget/accuracy"].value) < 2


def test_golds_that_agree_have_no_deviation_to_measure_in(make_ctx):
    same = {"forget": torch.full((6, 12), 5.0).double()}
    ctx = crafted(make_ctx, {"unlearned": same, "gold": same})
    assert measure(GapZ(), ctx)["gap_z/forget/accuracy"].reason == "golds_agree"
    assert measure(NullBand(), ctx)["null_band/forget/accuracy"].reason == "golds_agree"


def test_the_null_band_is_the_interval_of_two_further_golds(make_ctx):
    ctx = references_context(make_ctx)
    band = measure(NullBand(), ctx)["null_band/forget/accuracy"]
    golds = per_model("test")["forget/accuracy"](ctx, "gold")
    low, high = scipy.stats.t.interval(0.95, 23, scale=golds.std().item() * 2**0.5)
    assert (-band.value, band.value) == pytest.approx((low, high), abs=1e-9)
    assert band.n == len(golds) == 24
    assert band.extras["share_inside"] <= 0.5
    assert measure(NullBand(), ctx.of("gold")) == measure(NullBand(), ctx.of("original")) == {}


def test_few_golds_have_no_band(make_ctx):
    ctx = references_context(make_ctx, models=4)
    assert {m.reason for m in measure(NullBand(), ctx).values()} == {"too_few"}
    assert {m.reason for m in measure(GapZ(), ctx).values()} == {"too_few"}


def audited(make_ctx, **options):
    metrics = {**METRICS, "accuracy": Accuracy(), "audit": Audit()}
    return Evaluator(metrics=metrics)(references_context(make_ctx, **options))


def test_the_audit_passes_where_the_evaluation_sees_what_there_is(make_ctx):
    evaluation = audited(make_ctx)
    assert evaluation.errors == ()
    unlearned = evaluation.results["unlearned"]
    assert unlearned["audit/gold_inside_null"].value == 1.0
    assert unlearned["audit/identity_detected"].value == 1.0
    assert not any(name.startswith("audit") for name in evaluation.results["gold"])


def test_a_forget_set_that_nobody_memorized_has_nothing_to_detect(make_ctx):
    values = audited(make_ctx, member=0.0, kept=0.0).results["unlearned"]
    identity = values["audit/identity_detected"]
    if identity.status == "ok":  # the accuracies of two models differ by chance
        assert (identity.value, identity.extras["contrast"] >= 0.005) == (0.0, True)
    else:
        assert identity.reason == "not_discriminative"


def results(original, gold, contrast):
    def rate(value, error=0.01):
        low, high = value - 2 * error, value + 2 * error
        return MetricValue(value=value, ci_low=low, ci_high=high, extras={"error": error})

    return {
        "original": {
            "ulira/auc": rate(original),
            "klom/forget/mean": MetricValue(value=2.0),
            "forget/accuracy": MetricValue(value=0.8 + contrast),
        },
        "gold": {
            "ulira/auc": rate(gold),
            "klom/forget/mean": MetricValue(value=1.0),
            "forget/accuracy": MetricValue(value=0.8),
        },
    }


@pytest.mark.parametrize(
    ("original", "gold", "contrast", "inside", "detected"),
    [
        (0.8, 0.50, 0.2, 1.0, 1.0),
        (0.8, 0.60, 0.2, 0.0, 1.0),
        (0.51, 0.50, 0.2, 1.0, 0.0),
        (0.51, 0.50, 0.0, 1.0, "not_discriminative"),
    ],
)
def test_verdicts_of_the_audit(random_ctx, original, gold, contrast, inside, detected):
    ctx = replace(random_ctx(), results=results(original, gold, contrast))
    values = measure(Audit(), ctx)
    assert values["audit/gold_inside_null"].value == inside
    identity = values["audit/identity_detected"]
    assert (identity.value if identity.status == "ok" else identity.reason) == detected


def test_the_audit_needs_what_it_reads(random_ctx):
    values = measure(Audit(), random_ctx())
    assert values["audit/gold_inside_null"].reason == "missing_gold:ulira/auc"
    with pytest.raises(ConfigError, match="min_contrast"):
        Audit(min_contrast=-1)


def shadow_references(pool, right, seen, extra=None):
    """Models whose shadows predict what is ``right`` (K, n) and were trained on ``seen``."""
    margins = torch.where(right, 2.0, -2.0).double()
    tables = {"shadow": logits_of(margins, pool.targets)}
    known = {"shadow": seen}
    for role, (hits, trained) in (extra or {}).items():
        tables[role] = logits_of(torch.where(hits, 2.0, -2.0).double(), pool.targets)
        known[role] = trained
    return Forgetful(tables, known)


def small_pool(n):
    return TensorPool(
        inputs=torch.zeros(n, 2), targets=torch.arange(n) % 3, class_names=("a", "b", "c")
    )


def test_memorization_is_the_difference_of_rates():
    """Seen by four, of whom three are right; unseen by four, of whom one is."""
    pool = small_pool(2)
    seen = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0], [1, 0] * 4]).T.bool()
    right = torch.tensor([[1, 1, 1, 0, 1, 0, 0, 0], [1] * 8]).T.bool()
    references = shadow_references(pool, right, seen)
    scores = memorization_scores(references, View(pool, torch.arange(2)))
    assert scores.scores.tolist() == [0.5, 0.0]
    assert scores.errors[0].item() == pytest.approx(math.sqrt(2 * 0.75 * 0.25 / 4))


def test_models_of_different_training_sets_are_not_mixed():
    """Originals and golds are right more often than shadows, whatever they saw."""
    pool = small_pool(2)
    seen = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0]]).T.bool()
    right = torch.zeros(4, 2, dtype=torch.bool)  # shadows are never right: score 0
    yes = torch.ones(4, 2, dtype=torch.bool)
    # Sample 0 is forgotten, sample 1 retained.
    gold_seen = torch.tensor([False, True]).expand(4, 2)
    extra = {"original": (yes, yes), "gold": (yes & gold_seen, gold_seen)}
    references = shadow_references(pool, right, seen, extra)
    scores = memorization_scores(references, View(pool, torch.arange(2))).scores
    # Sample 0: 1 from four against four (weight 2), 0 from two against two (weight 1).
    assert scores.tolist() == pytest.approx([2 / 3, 0.0])


def test_samples_without_models_of_either_kind_have_no_score(tmp_path):
    from safetensors.torch import save_file

    pool = small_pool(3)
    seen = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]).T.bool()
    references = shadow_references(pool, seen, seen)
    tensors = memorization_tensors(references, View(pool, torch.tensor([2, 0, 1])))
    assert tensors["ids"].tolist() == [0]
    assert tensors["memorization"].tolist() == [1.0]
    save_file(tensors, tmp_path / "memorization.safetensors")
    assert read_scores(tmp_path / "memorization.safetensors", torch.tensor([0])).tolist() == [1.0]
    assert memorization_tensors(Forgetful({}, {}), View(pool, torch.arange(3))) == {}


def test_memorization_per_part_is_measured_once(make_ctx):
    generator = torch.Generator().manual_seed(0)
    shadows, sizes = 20, {"forget": 12, "retain": 15, "val": 4, "test": 9}
    total = sum(sizes.values())
    seen = torch.rand(shadows, total, generator=generator).argsort(0) < 10
    margins = torch.where(seen, 2.0, -2.0).double()
    cut = dict(zip(sizes, margins.split(list(sizes.values()), dim=1), strict=True))
    one = {part: torch.zeros(1, n).double() for part, n in sizes.items()}
    roles = {"original": one, "unlearned": one, "gold": one, "shadow": cut}
    ctx = crafted(make_ctx, roles, seen={"shadow": seen})
    values = measure(Memorization(), ctx)
    assert {name: value.value for name, value in values.items()} == {
        f"memorization/{part}/mean": 1.0 for part in ("forget", "retain", "test")
    }
    assert measure(Memorization(), ctx.of("gold")) == {}


def test_without_shadows_only_forgotten_samples_have_scores(make_ctx):
    roles = {
        who: {p: torch.full((4, n), 2.0).double() for p, n in SIZES.items()}
        for who in ("original", "unlearned", "gold")
    }
    trained = torch.ones(4, 24 + 30 + 4 + 27, dtype=torch.bool)
    trained[:, 54:] = False
    gold = trained.clone()
    gold[:, :24] = False
    ctx = crafted(make_ctx, roles, seen={"original": trained, "gold": gold})
    values = measure(Memorization(), ctx)
    assert values["memorization/forget/mean"].value == 0.0
    assert values["memorization/retain/mean"].reason == "missing_shadow"
    assert measure(Memorization(), replace(ctx, references=None))[
        "memorization/forget/mean"
    ].reason == ("missing_references")
