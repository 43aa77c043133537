import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import binomtest

from erasure.core.task_types import Multilabel
from erasure.core.values import NotComputableError
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import attack_tpr, attack_values, balanced_accuracy
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.loss_mia import LossMIA


def with_kin(ctx, count):
    """Make the first ``count`` test samples those of the forgotten population."""
    return replace(ctx, splits=replace(ctx.splits, same_population=ctx.splits.test.index[:count]))


def test_without_a_population_they_are_of_the_classes_in_the_forget_set(make_ctx):
    logits = {"unlearned": torch.zeros(6, 3)}
    forget = (torch.tensor([0, 1, 0, 1, 0, 1]), logits)
    test = (torch.tensor([0, 1, 2, 2, 1, 0]), logits)
    choice = non_members(make_ctx({"forget": forget, "test": test}))
    assert choice.rule == "classes"
    assert choice.chosen.tolist() == [True, True, False, False, True, True]
    assert len(choice) == 4


def test_a_forgotten_population_goes_before_its_classes(random_ctx):
    choice = non_members(with_kin(random_ctx(), 10))
    assert choice.rule == "population"
    assert choice.chosen.nonzero().squeeze(1).tolist() == list(range(10))


def test_a_population_with_few_heldout_samples_is_not_enough(random_ctx):
    choice = non_members(with_kin(random_ctx(), 9))
    assert choice.rule == "classes"
    assert len(choice) == 60


def test_where_samples_have_several_labels_all_are_taken(random_ctx):
    ctx = replace(random_ctx(), task_type=Multilabel())
    choice = non_members(ctx)
    assert (choice.rule, len(choice)) == ("all", 60)
    assert non_members(with_kin(ctx, 12)).rule == "population"


def test_the_attack_on_the_loss_uses_the_same_choice(random_ctx):
    values = measure(LossMIA(), with_kin(random_ctx(), 20))
    assert values["mia/loss/auc"].extras["n_non_members"] == 20


@pytest.mark.parametrize(("min_n", "fails"), [(40, False), (41, True)])
def test_either_side_can_be_too_few(random_ctx, min_n, fails):
    ctx = random_ctx()
    if fails:
        with pytest.raises(NotComputableError, match="too_few"):
            non_members(ctx, min_n=min_n)
    else:
        assert len(non_members(ctx, min_n=min_n)) == 60


def test_an_empty_forget_set_has_no_classes(random_ctx):
    ctx = random_ctx()
    empty = replace(ctx.splits, forget=ctx.splits.forget.take(torch.zeros(40).bool()))
    with pytest.raises(NotComputableError, match="empty_split"):
        non_members(replace(ctx, splits=empty))


def test_values_of_an_attack_have_names_intervals_and_facts():
    members, others = torch.arange(2000.0) + 900, torch.arange(2000.0)
    values = attack_values("some", members, others, {"models": 3})
    assert set(values) == {"some/auc", "some/tpr_at_1_fpr", "some/tpr_at_0.1_fpr"}
    assert all(value.extras["models"] == 3 for value in values.values())
    # The 21st largest of the others is 1979; members from 1980 to 2899 are above it.
    assert values["some/tpr_at_1_fpr"].value == 920 / 2000
    assert values["some/tpr_at_1_fpr"].extras["unreliable"] is False
    assert values["some/tpr_at_0.1_fpr"].value == 902 / 2000
    assert values["some/tpr_at_0.1_fpr"].extras["unreliable"] is True


def test_swapped_sides_turn_the_attack_around():
    generator = torch.Generator().manual_seed(0)
    members, others = torch.randn(80, generator=generator), torch.randn(90, generator=generator)
    ours = attack_values("x", members, others, {})["x/auc"].value
    theirs = attack_values("x", others, members, {})["x/auc"].value
    assert ours == pytest.approx(1 - theirs, abs=1e-12)


def test_a_constant_score_is_guessing():
    rate = attack_tpr(torch.ones(20), torch.ones(30), 0.01)
    assert rate.value == rate.ideal == 1 / 31
    assert rate.extras["constant_score"] is True


def test_balanced_accuracy_has_the_interval_of_two_proportions():
    accuracy = balanced_accuracy(0.8, 0.6, 100, 400)
    assert accuracy.value == pytest.approx(0.7)
    assert accuracy.extras["advantage"] == pytest.approx(0.4)
    wilson = [
        binomtest(*counts).proportion_ci(method="wilson") for counts in ((80, 100), (240, 400))
    ]
    up = math.hypot(wilson[0].high - 0.8, wilson[1].high - 0.6) / 2
    assert accuracy.ci_high - accuracy.value == pytest.approx(up, abs=1e-6)


def test_certain_rates_have_an_interval_with_a_width():
    certain = balanced_accuracy(1.0, 1.0, 30, 30)
    assert certain.ci_low < 0.98 < certain.ci_high == 1.0
    apart = attack_values("x", torch.arange(30) + 100.0, torch.arange(40.0), {})["x/auc"]
    assert apart.ci_low < 0.97 < apart.ci_high == apart.value == 1.0
