"""Scores put together from others: normalized gaps, tug of war, AUS, NoMUS, and the two sides."""

import math
from dataclasses import replace

import pytest
import torch
from reference_tables import with_references

from erasure.core.errors import ConfigError
from erasure.core.values import MetricValue, not_computed
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import measure
from erasure.metrics.to_gold.aus import AUS, aus
from erasure.metrics.to_gold.gap import resolved
from erasure.metrics.to_gold.nomus import NoMUS
from erasure.metrics.to_gold.norm_gap import NormalizedGap
from erasure.metrics.to_gold.tow import ToW
from erasure.metrics.to_gold.tow_mia import ToWMIA
from erasure.metrics.utility.accuracy import Accuracy
from erasure.metrics.utility.loss import Loss
from erasure.metrics.utility.same_population import SamePopulation

SHARES = ("forget/accuracy", "retain/accuracy", "test/accuracy")


def noted(ctx, **roles):
    for who, values in roles.items():
        ctx.results[who] = {name: MetricValue(value=value) for name, value in values.items()}
    return ctx


def shares(*values):
    return dict(zip(SHARES, values, strict=True))


def right(*hits, num_classes=3, label=0):
    """Samples of one class, predicted right where ``hits`` is true."""
    wrong = (label + 1) % num_classes
    return torch.eye(num_classes)[torch.tensor([label if hit else wrong for hit in hits])]


def test_the_heldout_part_is_named_anywhere_in_a_name():
    assert resolved("heldout/accuracy", "val") == "val/accuracy"
    assert resolved("f1/heldout/macro", "test") == "f1/test/macro"
    assert resolved("mia/loss/auc", "test") == "mia/loss/auc"


def test_worked_tug_of_war(random_ctx):
    ctx = noted(random_ctx(), unlearned=shares(0.92, 0.99, 0.87), gold=shares(0.9, 1.0, 0.9))
    score = measure(ToW(), ctx)["tow/score"]
    assert score.value == pytest.approx(0.941094, abs=1e-6)
    assert score.extras["signed"]["test/accuracy"] == pytest.approx(-0.03)
    assert measure(ToW(), ctx.of("gold"))["tow/score"].value == 1.0


def test_the_attack_takes_the_place_of_the_forget_accuracy(random_ctx):
    mine = {**shares(0.9, 1.0, 0.9), "mia_efficacy_svc/confidence": 0.4}
    gold = {**shares(0.9, 1.0, 0.9), "mia_efficacy_svc/confidence": 0.1}
    ctx = noted(random_ctx(), unlearned=mine, gold=gold)
    assert measure(ToW(), ctx)["tow/score"].value == 1.0
    assert measure(ToWMIA(), ctx)["tow_mia/score"].value == pytest.approx(0.7)


def test_an_attack_that_was_not_measured_is_named(random_ctx):
    ctx = noted(random_ctx(), unlearned=shares(0.9, 1, 1), gold=shares(0.9, 1, 1))
    score = measure(ToWMIA(), ctx)["tow_mia/score"]
    assert (score.status, score.reason) == (
        "skipped",
        "missing_unlearned:mia_efficacy_svc/confidence",
    )


@pytest.mark.parametrize(
    ("unlearned", "gold"),
    [(2.0, 0.5), (0.5, 2.0), (-0.1, 0.5), (0.5, -0.1), (1.0 + 1e-9, 1.0), (1.0, 1.0 + 1e-9)],
)
def test_what_is_no_share_on_either_side_has_no_tug_of_war(random_ctx, unlearned, gold):
    name = "forget/loss"
    ctx = noted(random_ctx(), unlearned={name: unlearned}, gold={name: gold})
    score = measure(ToW(of=[name]), ctx)["tow/score"]
    assert (score.status, score.reason) == ("degenerate", "not_a_share:forget/loss")


@pytest.mark.parametrize(
    ("unlearned", "gold", "value"),
    [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)],
)
def test_the_ends_of_the_range_are_shares(random_ctx, unlearned, gold, value):
    name = "forget/accuracy"
    ctx = noted(random_ctx(), unlearned={name: unlearned}, gold={name: gold})
    assert measure(ToW(of=[name]), ctx)["tow/score"].value == value


@pytest.mark.parametrize(
    ("unlearned", "value"), [(0.8, 0.0), (1.0, 1.0), (0.9, 0.5), (0.7, 0.5), (0.5, 1.5)]
)
def test_a_normalized_gap_counts_in_units_of_doing_nothing(random_ctx, unlearned, value):
    name = "forget/accuracy"
    ctx = noted(random_ctx(), original={name: 1.0}, unlearned={name: unlearned}, gold={name: 0.8})
    gap = measure(NormalizedGap(of=[name]), ctx)[f"norm_gap/{name}"]
    assert gap.value == pytest.approx(value)
    assert gap.extras["signed"] == pytest.approx(unlearned - 0.8)
    assert gap.extras["retention"] == pytest.approx(unlearned / 0.8)
    assert gap.extras["sape"] == pytest.approx(abs(unlearned - 0.8) / (unlearned + 0.8))


def test_without_a_contrast_there_is_no_normalized_gap(random_ctx):
    name = "forget/accuracy"
    ctx = noted(random_ctx(), original={name: 0.804}, unlearned={name: 0.9}, gold={name: 0.8})
    gap = measure(NormalizedGap(of=[name]), ctx)[f"norm_gap/{name}"]
    assert (gap.status, gap.reason) == ("degenerate", "not_discriminative")
    assert (
        measure(NormalizedGap(of=[name], min_contrast=0.001), ctx)[f"norm_gap/{name}"].status
        == "ok"
    )


def test_the_spread_of_retrained_models_raises_the_contrast_that_counts(random_ctx):
    name = "forget/accuracy"
    ctx = noted(random_ctx(), original={name: 0.9}, unlearned={name: 0.9}, gold={name: 0.8})
    generator = torch.Generator().manual_seed(0)
    golds = torch.randn(8, len(ctx.splits.forget.pool.targets), 4, generator=generator)
    spread = with_references(ctx, {"gold": golds})
    right_ones = golds[:, ctx.splits.forget.index].argmax(-1) == ctx.targets("forget")
    assert 2 * right_ones.double().mean(1).std() > 0.1  # more than the contrast
    gap = measure(NormalizedGap(of=[name]), spread)[f"norm_gap/{name}"]
    assert gap.reason == "not_discriminative"
    same = with_references(ctx, {"gold": golds[:1].expand(8, -1, -1)})
    assert measure(NormalizedGap(of=[name]), same)[f"norm_gap/{name}"].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("before", "after", "distance", "value"),
    [(0.94, 0.92, 0.01, 0.970297), (0.94, 0.92, 0.0, 0.98), (0.94, 0.92, 0.5, 0.653333)],
)
def test_worked_adaptive_scores(before, after, distance, value):
    assert aus(before, after, distance) == pytest.approx(value, abs=1e-6)
    assert aus(0.94, 0.92, 0.92) == pytest.approx(0.510417, abs=1e-6)  # the wrong form


def removal(make_ctx, retained):
    """Two of four right on forgotten class 0; on the held-out part class 1 is right but once."""
    labels = torch.tensor([0, 0, 1, 1, 1, 1])
    own = torch.cat([right(0, 0), right(1, 1, 1, 0, label=1)])
    original = torch.cat([right(1, 1), right(1, 1, 1, 1, label=1)])
    forget = {"original": right(1, 1, 1, 1), "unlearned": right(1, 1, 0, 0)}
    return make_ctx(
        {
            "forget": (torch.zeros(4, dtype=torch.int64), forget),
            "retain": (
                torch.tensor(retained),
                dict.fromkeys(("original", "unlearned"), torch.eye(3)[torch.tensor(retained)]),
            ),
            "test": (labels, {"original": original, "unlearned": own}),
        }
    )


def test_after_the_removal_of_a_class_the_others_are_tested(make_ctx):
    score = measure(AUS(), removal(make_ctx, [1, 1, 2]))["aus/score"]
    assert score.extras == {
        "mode": "class",
        "original_accuracy": 1.0,
        "accuracy": 0.75,
        "forget_accuracy": 0.5,
    }
    assert score.value == pytest.approx(0.75 / 1.5)


def test_while_samples_of_the_class_stay_it_is_the_random_form(make_ctx):
    score = measure(AUS(), removal(make_ctx, [0, 1, 2]))["aus/score"]
    assert score.extras["mode"] == "random"
    assert score.extras["accuracy"] == 0.5
    assert score.value == pytest.approx(0.5)  # kept 1 - (1 - 0.5), and forget is at 0.5 too
    assert (
        measure(AUS(mode="class"), removal(make_ctx, [0, 1, 2]))["aus/score"].extras["mode"]
        == "class"
    )
    assert (
        measure(AUS(mode="random"), removal(make_ctx, [1]))["aus/score"].extras["mode"] == "random"
    )


def test_with_every_class_forgotten_the_class_form_has_no_value(make_ctx):
    ctx = make_ctx({"forget": (torch.zeros(2, dtype=torch.int64), {"original": right(1, 1)})})
    score = measure(AUS(mode="class"), ctx.of("original"))["aus/score"]
    assert (score.status, score.reason) == ("degenerate", "no_remaining_class")


@pytest.mark.parametrize("attack", [0.7136, 0.2864])
def test_worked_unlearning_score(random_ctx, attack):
    ctx = noted(random_ctx(), unlearned={"test/accuracy": 0.5951, "umia_lr/accuracy": attack})
    score = measure(NoMUS(), ctx)["nomus/score"]
    assert score.value == pytest.approx(0.58395, abs=1e-6)
    heavy = measure(NoMUS(weight=1.0), ctx)["nomus/score"]
    assert heavy.value == pytest.approx(0.5951)


def test_a_failed_attack_is_no_score(random_ctx):
    ctx = random_ctx()
    ctx.results["unlearned"] = {
        "test/accuracy": MetricValue(value=0.9),
        "umia_lr/accuracy": not_computed("degenerate", "too_few"),
    }
    score = measure(NoMUS(), ctx)["nomus/score"]
    assert (score.status, score.reason) == ("degenerate", "too_few")
    assert math.isnan(score.value)


def test_sides_divide_the_heldout_part(random_ctx):
    ctx = random_ctx()
    kin = ctx.ids("test")[:20]
    ctx = replace(ctx, splits=replace(ctx.splits, same_population=kin))
    values = measure(SamePopulation(), ctx)
    right_ones = (ctx.logits("test").argmax(-1) == ctx.targets("test")).double()
    assert values["test_forget/accuracy"].value == pytest.approx(right_ones[:20].mean().item())
    assert values["test_retain/accuracy"].value == pytest.approx(right_ones[20:].mean().item())
    losses = ctx.losses("test").double()
    assert values["test_forget/loss"].value == pytest.approx(losses[:20].mean().item(), abs=1e-6)
    assert ctx.models["unlearned"].calls == 1  # one pass for both sides and the whole
    whole = measure(Accuracy(), ctx)["test/accuracy"].value
    parts = [values[f"test_{side}/accuracy"] for side in ("forget", "retain")]
    assert sum(m.value * m.n for m in parts) / 60 == pytest.approx(whole)


def test_without_a_population_there_are_no_sides(random_ctx):
    values = measure(SamePopulation(), random_ctx())
    assert {(m.status, m.reason) for m in values.values()} == {("skipped", "no_population")}


def test_a_side_without_samples_is_empty(random_ctx):
    ctx = random_ctx()
    ctx = replace(
        ctx, splits=replace(ctx.splits, same_population=torch.empty(0, dtype=torch.int64))
    )
    values = measure(SamePopulation(), ctx)
    assert values["test_forget/accuracy"].reason == "empty_split"
    assert values["test_retain/accuracy"].value == measure(Accuracy(), ctx)["test/accuracy"].value


def test_a_model_equal_to_gold_scores_as_gold(random_ctx):
    ctx = random_ctx()
    with torch.no_grad():
        ctx.models["unlearned"].table.copy_(ctx.models["gold"].table)
    names = ["forget/accuracy", "heldout/accuracy"]
    metrics = {
        "accuracy": Accuracy(),
        "loss": Loss(),
        "tow": ToW(),
        "aus": AUS(),
        "norm_gap": NormalizedGap(of=names),
    }
    values = Evaluator(metrics=metrics)(ctx).flat()
    assert values["tow/score"] == 1.0
    assert values["norm_gap/forget/accuracy"] == values["norm_gap/test/accuracy"] == 0.0
    assert values["aus/score"] == values["gold/aus/score"]
    assert values["original/norm_gap/forget/accuracy"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ToW(of=[]), "of must be a list of metric names"),
        (lambda: ToWMIA(of="mia"), "of must be a list of metric names, got 'mia'"),
        (lambda: NormalizedGap(of=["a/b", "a/b"]), "of must be distinct names"),
        (lambda: NormalizedGap(of=["a/b"], min_contrast=0.0), "min_contrast must be > 0, got 0.0"),
        (lambda: AUS(mode="both"), "mode must be auto, random or class, got 'both'"),
        (lambda: NoMUS(weight=1.5), r"weight must be in \[0, 1\], got 1.5"),
        (lambda: NoMUS(attack=""), "attack must be the name of a metric, got nothing"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
