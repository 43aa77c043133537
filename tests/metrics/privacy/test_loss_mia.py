import math

import pytest
import torch
from reasons import reasons
from scipy.stats import beta, mannwhitneyu

from erasure.core.errors import ConfigError
from erasure.core.values import NotComputableError
from erasure.evaluation.attacks.nonmembers import attack_losses
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.loss_mia import LossMIA

MEMBERS = [0.1, 0.2, 0.3, 0.9]
OTHERS = [0.25, 0.6, 0.8, 1.2]
NAMES = ("mia/loss/auc", "mia/loss/tpr_at_1_fpr", "mia/loss/balanced_accuracy")


def with_losses(values, label=0, num_classes=3):
    """Samples of one class whose cross-entropy is exactly as given."""
    p = (-torch.tensor(values, dtype=torch.float64)).exp().unsqueeze(-1)
    rest = ((1 - p) / (num_classes - 1)).expand(-1, num_classes - 1)
    logits = torch.cat([rest[:, :label], p, rest[:, label:]], dim=-1).log()
    return torch.full((len(values),), label), {"unlearned": logits}


def joined(*samples):
    labels = torch.cat([labels for labels, _ in samples])
    return labels, {"unlearned": torch.cat([tables["unlearned"] for _, tables in samples])}


def test_worked_example(make_ctx):
    ctx = make_ctx({"forget": with_losses(MEMBERS), "test": with_losses(OTHERS)})
    results = measure(LossMIA(min_n=4), ctx)
    assert results["mia/loss/auc"].value == pytest.approx(0.75, abs=1e-6)
    assert results["mia/loss/balanced_accuracy"].value == pytest.approx(0.75, abs=1e-6)
    assert results["mia/loss/balanced_accuracy"].extras["advantage"] == pytest.approx(
        0.5, abs=1e-6
    )
    assert results["mia/loss/balanced_accuracy"].extras["threshold"] == pytest.approx(
        0.2, abs=1e-6
    )
    assert results["mia/loss/tpr_at_1_fpr"].value == 0.5
    assert results["mia/loss/tpr_at_1_fpr"].extras["unreliable"] is True
    assert results["mia/loss/auc"].n == 8


def test_auc_agrees_with_the_rank_test_of_scipy(random_ctx):
    ctx = random_ctx()
    result = measure(LossMIA(), ctx)["mia/loss/auc"]
    statistic = mannwhitneyu(-ctx.losses("forget"), -ctx.losses("test")).statistic
    assert result.value == pytest.approx(statistic / (40 * 60), abs=1e-6)
    assert result.ci_low < result.value < result.ci_high
    half = (result.ci_high - result.ci_low) / 2
    assert half == pytest.approx(1.96 * result.extras["null_error"], rel=0.15)


def test_over_forgetting_is_not_folded(make_ctx):
    ctx = make_ctx({"forget": with_losses(OTHERS), "test": with_losses(MEMBERS)})
    result = measure(LossMIA(min_n=4), ctx)["mia/loss/auc"]
    assert result.value == pytest.approx(0.25, abs=1e-6)
    assert result.extras["distance_from_chance"] == pytest.approx(0.25, abs=1e-6)


def test_non_members_are_of_the_forgotten_classes(make_ctx):
    # The held-out samples of class 1 have tiny losses; they would turn the result around.
    heldout = joined(with_losses(OTHERS), with_losses([1e-4] * 20, label=1))
    ctx = make_ctx({"forget": with_losses(MEMBERS), "test": heldout})
    measured = measure(LossMIA(min_n=4), ctx)["mia/loss/auc"]
    assert measured.value == pytest.approx(0.75, abs=1e-6)
    assert measured.extras["n_non_members"] == 4


def test_the_heldout_part_is_the_one_in_use(make_ctx):
    parts = {
        "forget": with_losses(MEMBERS),
        "test": with_losses(OTHERS),
        "val": with_losses(MEMBERS),
    }
    assert measure(LossMIA(min_n=4), make_ctx(parts, heldout="val"))["mia/loss/auc"].value == 0.5


def test_few_samples_on_a_side_are_too_few(make_ctx):
    enough, few = [0.1 * i for i in range(1, 11)], [0.1 * i for i in range(1, 10)]
    for forget, test in ((few, enough), (enough, few)):
        results = measure(
            LossMIA(), make_ctx({"forget": with_losses(forget), "test": with_losses(test)})
        )
        assert {m.reason for m in results.values()} == {"too_few"}
        assert {m.status for m in results.values()} == {"degenerate"}
        assert all(math.isnan(m.value) for m in results.values())
    ok = measure(LossMIA(), make_ctx({"forget": with_losses(enough), "test": with_losses(enough)}))
    assert {m.status for m in ok.values()} == {"ok"}


def test_no_heldout_sample_of_the_forgotten_classes_is_too_few(make_ctx):
    parts = {"forget": with_losses([0.5] * 12), "test": with_losses([0.4] * 12, label=1)}
    assert reasons(LossMIA(), make_ctx(parts)) == {"too_few"}


def test_a_constant_loss_is_guessing(make_ctx):
    parts = {"forget": with_losses([0.5] * 12), "test": with_losses([0.5] * 30)}
    results = measure(LossMIA(), make_ctx(parts))
    assert [results[name].value for name in NAMES] == [0.5, 1 / 31, 0.5]
    assert all(results[name].extras["constant_score"] for name in NAMES)


def test_tpr_has_the_null_of_its_threshold_and_knows_when_it_is_reliable(make_ctx):
    members = [1e-3 * i for i in range(1, 15)] + [3.0] * 986
    others = [1.0 + 1e-3 * i for i in range(1000)]
    results = measure(
        LossMIA(), make_ctx({"forget": with_losses(members), "test": with_losses(others)})
    )
    tpr = results["mia/loss/tpr_at_1_fpr"]
    assert tpr.value == 0.014
    # No member is near the threshold, so that its noise adds nothing to the binomial one.
    assert (tpr.ci_low, tpr.ci_high) == pytest.approx(beta.interval(0.95, 14.5, 986.5), abs=5e-6)
    assert tpr.ideal == 11 / 1001
    assert tpr.extras["unreliable"] is False


def test_attack_losses_say_when_there_is_nothing_to_attack(make_ctx):
    ctx = make_ctx({"forget": with_losses(MEMBERS), "test": with_losses(OTHERS, label=1)})
    with pytest.raises(NotComputableError, match="too_few"):
        attack_losses(ctx, "unlearned", min_n=1)


@pytest.mark.parametrize("min_n", [1, 0, -3])
def test_fewer_than_two_samples_are_refused(min_n):
    with pytest.raises(ConfigError, match=f"min_n must be >= 2, got {min_n}"):
        LossMIA(min_n=min_n)
