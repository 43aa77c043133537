"""What holds for every membership attack."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from reference_tables import balanced_halves, with_references

from erasure.core.task_types import Multilabel
from erasure.evaluation.evaluator import Evaluator
from erasure.metrics.privacy.mia_efficacy_svc import SCALARS, MIAEfficacySVC
from erasure.metrics.privacy.mia_entropy_lr import MIAEntropyLR
from erasure.metrics.privacy.mia_lira import MIALiRA
from erasure.metrics.privacy.mia_quantile import MIAQuantile
from erasure.metrics.privacy.mia_shokri import MIAShokri
from erasure.metrics.privacy.mia_threshold import MIAThreshold
from erasure.metrics.privacy.rmia import RMIA
from erasure.metrics.privacy.streisand import Streisand
from erasure.metrics.privacy.umia_lr import UMIALR

ATTACKS = {
    "threshold": MIAThreshold(repetitions=2),
    "retain": MIAThreshold(members="retain", repetitions=2),
    "umia": UMIALR(),
    "svc": MIAEfficacySVC(features=("confidence", "probabilities"), training_privacy=True),
    "fast": MIAEfficacySVC(features=SCALARS, impl="threshold"),
    "entropy": MIAEntropyLR(),
    "streisand": Streisand(),
    "rmia": RMIA(min_population=20),
    "offline": MIALiRA(),
    "online": MIALiRA(mode="online", references="shadow"),
    "quantile": MIAQuantile(min_heldout=100),
    "shokri": MIAShokri(epochs=1),
}
PARTS = ("forget", "retain", "val", "test")
SIZES = (60, 120, 110, 130)
ROLES = ("original", "unlearned", "gold")
NEED_ONE_CLASS = ("mia_threshold/", "mia_efficacy_svc/", "mia_quantile/", "mia_shokri/")


@pytest.fixture
def make(make_ctx):
    """Three models of random logits, many golds and many shadows, and features."""

    def build(draw=0, num_classes=3, models=8, change=None, **options):
        generator = torch.Generator().manual_seed(draw)
        parts, features = {}, {}
        for part, n in zip(PARTS, SIZES, strict=True):
            labels = torch.randint(num_classes, (n,), generator=generator)
            logits = {w: 3 * torch.randn(n, num_classes, generator=generator) for w in ROLES}
            parts[part] = (labels, logits)
            features |= {(part, w): torch.randn(n, 4, generator=generator) for w in ROLES}
        if change:
            change(parts)
        total = sum(SIZES)
        tables = {
            role: 3 * torch.randn(models, total, num_classes, generator=generator)
            for role in ("gold", "shadow")
        }
        seen = {"shadow": balanced_halves(models, total, generator)}
        ctx = with_references(make_ctx(parts, **options), tables, seen)
        return replace(ctx, _features=features, recorder=lambda _model: nullcontext())

    return build


def measured(ctx):
    attacks = Evaluator(metrics=ATTACKS, heldout=ctx.heldout)
    evaluation = attacks(ctx)
    assert evaluation.errors == ()
    return evaluation


def test_values_lie_in_their_range_and_names_begin_with_the_metric(make):
    evaluation = measured(make())
    for results in evaluation.results.values():
        for name, value in results.items():
            assert name.startswith(("mia_", "umia_lr/", "streisand/", "rmia/"))
            assert value.status == "ok", (name, value.reason)
            meaning = evaluation.meanings[name]
            assert meaning.low <= value.value <= meaning.high
            if not math.isnan(value.ci_low):
                assert meaning.low <= value.ci_low <= value.value <= value.ci_high <= meaning.high


def test_a_model_equal_to_gold_has_the_values_of_gold(make):
    def same(parts):
        for _, logits in parts.values():
            logits["unlearned"] = logits["gold"].clone()

    ctx = make(change=same)
    for part in PARTS:
        ctx._features[(part, "unlearned")] = ctx._features[(part, "gold")]
    results = measured(ctx).results
    assert {n: m.value for n, m in results["unlearned"].items()} == {
        n: m.value for n, m in results["gold"].items()
    }


def test_a_constant_added_to_the_logits_does_not_matter(make):
    def moved(parts):
        for _, logits in parts.values():
            for table in logits.values():
                table.add_(4.0)

    plain, shifted = measured(make()).flat(), measured(make(change=moved)).flat()
    # Float32 logits are rounded once more, which can move a sample across a threshold.
    far = {name for name in plain if abs(plain[name] - shifted[name]) > 0.02}
    assert not far


def test_attacks_are_a_function_of_the_evaluation_seed(make):
    first, again = measured(make()).flat(), measured(make()).flat()
    assert first == again
    other = measured(make(seed=1)).flat()
    assert other != first
    assert other["streisand/higher_loss"] == first["streisand/higher_loss"]
    assert other["mia_lira/offline/auc"] == first["mia_lira/offline/auc"]


def test_the_validation_set_stands_in_for_the_test_set(make):
    evaluation = measured(make(heldout="val"))
    assert {m.status for m in evaluation.results["unlearned"].values()} == {"ok"}
    assert not any("test" in meaning.description for meaning in evaluation.meanings.values())


def changed(kind):
    def change(parts):
        for labels, logits in parts.values():
            if kind == "all_nan":
                logits["unlearned"][:] = torch.nan
            elif kind == "one_class":
                labels[:] = 1
            elif kind == "constant":
                logits["unlearned"][:] = 0.0
            elif kind == "huge":
                logits["unlearned"] *= 1e4
            elif kind == "half":
                logits["unlearned"] = logits["unlearned"].bfloat16().float()

    return change


def test_logits_that_are_not_finite_give_nan_with_a_reason(make):
    evaluation = measured(make(change=changed("all_nan")))
    own = {
        n: m
        for n, m in evaluation.results["unlearned"].items()
        if not n.startswith("mia_shokri/a")
    }
    assert {(m.status, m.reason) for m in own.values()} == {("degenerate", "nonfinite_logits")}
    assert {m.status for m in evaluation.results["gold"].values()} == {"ok"}


@pytest.mark.parametrize("kind", ["one_class", "constant", "huge", "half"])
def test_odd_but_measurable_inputs_are_measured(make, kind):
    values = measured(make(change=changed(kind))).results["unlearned"]
    bad = {n: m.reason for n, m in values.items() if m.status != "ok"}
    detected = "mia_shokri/forgetting_rate"  # the original may have nothing that is detected
    assert set(bad) <= {detected}


def test_a_constant_model_is_at_chance(make):
    values = measured(make(change=changed("constant"))).results["unlearned"]
    for name in ("umia_lr/accuracy", "umia_lr/auc", "streisand/higher_loss"):
        assert values[name].value == 0.5
    assert values["mia_threshold/entropy/balanced_accuracy"].value == 0.5
    assert values["mia_efficacy_svc/confidence"].value == 0.5


def test_two_classes_are_enough(make):
    values = measured(make(num_classes=2)).results["unlearned"]
    assert {m.status for n, m in values.items() if n != "mia_shokri/forgetting_rate"} == {"ok"}


def test_several_labels_skip_what_needs_one_class(make, make_ctx):
    ctx = make()
    pool = ctx.splits.forget.pool
    labels = torch.nn.functional.one_hot(pool.targets, 3)
    object.__setattr__(pool, "targets", labels)
    values = measured(replace(ctx, task_type=Multilabel())).results["unlearned"]
    for name, value in values.items():
        expected = (
            ("skipped", "needs_multiclass") if name.startswith(NEED_ONE_CLASS) else ("ok", "")
        )
        assert (value.status, value.reason) == expected, name
