from dataclasses import replace

import pytest
import torch
from reasons import reasons

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.evaluation.measure import meanings, measure
from erasure.evaluation.statistics.roc import best_balanced_accuracy, roc
from erasure.metrics.privacy.mia_threshold import MIAThreshold, Sample, best_thresholds


def drawn_sample(n=400, num_classes=5, decimals=1):
    generator = torch.Generator().manual_seed(3)
    member = torch.rand(n, generator=generator) < 0.4
    scores = torch.randn(n, generator=generator, dtype=torch.float64) + 0.7 * member
    classes = torch.randint(num_classes, (n,), generator=generator)
    return Sample(scores.round(decimals=decimals), member, classes)


def of_class(losses, label, num_classes=2):
    """Samples of one class with the given cross-entropies."""
    p = (-torch.tensor(losses, dtype=torch.float64)).exp().unsqueeze(-1)
    rest = ((1 - p) / (num_classes - 1)).expand(-1, num_classes - 1)
    logits = torch.cat([rest[:, :label], p, rest[:, label:]], dim=-1).log()
    return torch.full((len(losses),), label), logits


def part(*samples):
    labels, logits = zip(*samples, strict=True)
    return torch.cat(labels), {"unlearned": torch.cat(logits)}


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_thresholds_of_all_groups_are_those_of_each_group(decimals):
    sample = drawn_sample(decimals=decimals)
    thresholds = best_thresholds(sample, sample.classes, 5)
    for label in range(5):
        in_class = sample.classes == label
        scores, member = sample.scores[in_class], sample.member[in_class]
        best, threshold = best_balanced_accuracy(roc(scores[member], scores[~member]))
        assert decimals < 12 or thresholds.values[label].item() == threshold  # ties have several
        assert thresholds.smaller_side[label].item() == min(
            int(member.sum()), int((~member).sum())
        )
        accused = scores >= thresholds.values[label]
        reached = (accused[member].double().mean() + (~accused[~member]).double().mean()) / 2
        assert reached.item() == pytest.approx(best, abs=1e-12)


def test_where_accusing_does_not_help_nobody_is_accused():
    scores = torch.tensor([1.0, 2.0, 5.0, 6.0, 3.0]).double()
    member = torch.tensor([True, True, False, False, True])
    groups = torch.tensor([0, 0, 0, 0, 2])
    thresholds = best_thresholds(Sample(scores, member, groups), groups, 3)
    # Group 0 is the wrong way round, group 1 is empty, group 2 has no non-members.
    assert thresholds.values[:2].tolist() == [torch.inf, torch.inf]
    assert thresholds.smaller_side.tolist() == [2, 0, 0]


def test_classes_have_thresholds_of_their_own(make_ctx):
    """Each class separates perfectly at another loss; one threshold for both could not."""
    members = part(of_class([0.10] * 40, 0), of_class([0.5] * 40, 1))
    others = part(of_class([0.15] * 40, 0), of_class([0.6] * 40, 1))
    ctx = make_ctx({"forget": members, "test": others})
    results = measure(MIAThreshold(), ctx)
    shared = measure(MIAThreshold(min_per_class=21), ctx)
    name = "mia_threshold/confidence/balanced_accuracy"
    assert results[name].value == 1.0
    assert shared[name].value == 0.75
    assert results["mia_threshold/confidence/tpr"].value == 1.0


def test_correctness_needs_no_threshold(random_ctx):
    ctx = random_ctx()
    results = measure(MIAThreshold(), ctx)
    right = {
        p: ctx.task_type.correct(ctx.logits(p), ctx.targets(p)).double().mean() for p in ctx.parts
    }
    assert results["mia_threshold/correctness/tpr"].value == pytest.approx(right["forget"].item())
    assert results["mia_threshold/correctness/tnr"].value == pytest.approx(
        1 - right["test"].item()
    )


def test_equal_distributions_are_near_chance(make_ctx):
    parts = {}
    generator = torch.Generator().manual_seed(1)
    for name in ("forget", "retain", "test"):
        labels = torch.randint(3, (1000,), generator=generator)
        parts[name] = (labels, {"unlearned": torch.randn(1000, 3, generator=generator)})
    results = measure(MIAThreshold(), make_ctx(parts))
    for name, value in results.items():
        if name.endswith("balanced_accuracy"):
            assert abs(value.value - 0.5) < 3 * 0.0183  # the null error of 500 a side
            assert value.ci_low < value.value < value.ci_high


def test_a_constant_signal_is_chance_exactly(make_ctx):
    same = part(of_class([0.4] * 25, 0), of_class([0.4] * 18, 1))
    other = part(of_class([0.4] * 31, 0), of_class([0.4] * 30, 1))
    results = measure(MIAThreshold(), make_ctx({"forget": same, "test": other}))
    for name, value in results.items():
        if name.endswith("balanced_accuracy"):
            assert value.value == 0.5
            assert value.extras["constant_score"] is True


def test_retain_is_attacked_with_all_heldout_samples_under_other_names(random_ctx):
    ctx = random_ctx()
    results = measure(MIAThreshold(members="retain"), ctx)
    assert all(name.startswith("mia_threshold/retain/") for name in results)
    assert set(results) == set(meanings(MIAThreshold(members="retain"), "test"))
    assert results["mia_threshold/retain/entropy/balanced_accuracy"].extras["n_members"] == 90


def test_more_repetitions_change_the_split_and_not_the_samples(random_ctx):
    ctx = random_ctx()
    once, often = (measure(MIAThreshold(repetitions=r), ctx) for r in (1, 30))
    name = "mia_threshold/confidence/balanced_accuracy"
    assert once[name].value != often[name].value
    assert once[name].n == often[name].n == 100
    assert measure(MIAThreshold(), ctx)[name] == measure(MIAThreshold(), ctx)[name]


def test_few_samples_and_several_labels_have_no_value(random_ctx):
    ctx = random_ctx()
    assert reasons(MIAThreshold(min_n=41), ctx) == {"too_few"}
    assert reasons(MIAThreshold(), replace(ctx, task_type=Multilabel())) == {"needs_multiclass"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"members": "val"}, "members must be forget or retain, got 'val'"),
        ({"repetitions": 0}, "repetitions must be >= 1, got 0"),
        ({"min_per_class": 0}, "min_per_class must be >= 1, got 0"),
        ({"min_n": 3}, "min_n must be >= 4, got 3"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        MIAThreshold(**setting)
