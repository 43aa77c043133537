from dataclasses import replace

import pytest
import torch
from reasons import reasons
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.evaluation.measure import measure
from erasure.evaluation.signals import entropies, losses
from erasure.metrics.privacy.mia_entropy_lr import MIAEntropyLR
from erasure.metrics.privacy.streisand import Streisand

RATE, AUC = "mia_entropy_lr/member_rate", "mia_entropy_lr/auc"


def with_losses(values, who="unlearned"):
    """Samples of class 0 out of two whose cross-entropy is as given."""
    confidence = (-torch.tensor(values, dtype=torch.float64)).exp()
    return torch.zeros(len(confidence), dtype=torch.int64), {
        who: torch.stack([confidence, 1 - confidence], dim=-1).log()
    }


def test_the_entropy_attack_is_that_of_scikit_learn(random_ctx):
    ctx = random_ctx()
    results = measure(MIAEntropyLR(), ctx)
    sides = [entropies(ctx, part).unsqueeze(-1) for part in ("retain", "test", "forget")]
    model = LogisticRegression(class_weight="balanced", tol=1e-10, max_iter=1000)
    model.fit(torch.cat(sides[:2]).numpy(), [1] * 90 + [0] * 60)
    assert results[RATE].value == model.predict(sides[2].numpy()).mean()
    label, scores = [1] * 40 + [0] * 60, -torch.cat([sides[2], sides[1]]).squeeze(-1)
    assert results[AUC].value == pytest.approx(roc_auc_score(label, scores), abs=1e-12)
    assert 0.3 < results[RATE].extras["attack_balanced_accuracy"] < 0.7


def test_the_entropy_attack_tells_how_good_it_is(make_ctx):
    parts = {
        "retain": with_losses([0.01 + 0.0001 * i for i in range(40)]),
        "test": with_losses([0.6 + 0.001 * i for i in range(60)]),
        "forget": with_losses([0.02] * 6 + [0.65] * 14),
    }
    results = measure(MIAEntropyLR(), make_ctx(parts))
    assert results[RATE].value == 6 / 20
    assert results[RATE].extras["attack_balanced_accuracy"] == 1.0


def test_the_entropy_attack_works_for_several_labels(make_ctx):
    generator = torch.Generator().manual_seed(0)
    parts = {
        name: (
            torch.randint(2, (40, 3), generator=generator),
            {who: torch.randn(40, 3, generator=generator) for who in ("unlearned", "gold")},
        )
        for name in ("forget", "retain", "val", "test")
    }
    ctx = replace(make_ctx(parts), task_type=Multilabel())
    for metric in (MIAEntropyLR(), Streisand()):
        assert all(value.status == "ok" for value in measure(metric, ctx).values())


def test_few_samples_have_no_entropy_attack(random_ctx):
    assert reasons(MIAEntropyLR(min_n=41), random_ctx()) == {"too_few"}


@pytest.mark.parametrize("metric", [MIAEntropyLR, Streisand])
def test_fewest_samples_have_a_lower_bound(metric):
    with pytest.raises(ConfigError, match="min_n must be >= "):
        metric(min_n=1)


def test_over_forgetting_is_flagged(make_ctx):
    others = [0.1 + 0.01 * i for i in range(40)]
    worse = [loss + 0.3 for loss in others]
    results = measure(
        Streisand(), make_ctx({"forget": with_losses(worse), "test": with_losses(others)})
    )
    value = results["streisand/higher_loss"]
    assert value.value > 0.8
    assert value.extras["over_forgotten"] is True
    # A sample of two classes is wrong when its loss is above log 2.
    assert value.extras["forget_error"] == sum(x > 0.6932 for x in worse) / 40
    assert value.extras["target_forget_error"] == 0.0
    assert results["streisand/entropy_excess"].value > 0
    assert results["streisand/ks_to_gold"].reason == "missing_gold"


def test_equal_losses_are_not_over_forgotten(make_ctx):
    same = with_losses([0.1 + 0.01 * i for i in range(40)])
    results = measure(Streisand(), make_ctx({"forget": same, "test": same}))
    assert results["streisand/higher_loss"].value == 0.5
    assert results["streisand/higher_loss"].extras["over_forgotten"] is False
    assert results["streisand/entropy_excess"].value == pytest.approx(0.0, abs=1e-12)


def test_worked_distance_between_loss_distributions(make_ctx):
    labels, unlearned = with_losses([0.1, 0.2, 0.3, 0.4])
    _, gold = with_losses([0.35, 0.45, 0.55, 0.65], "gold")
    result = measure(Streisand(), make_ctx({"forget": (labels, unlearned | gold)}))[
        "streisand/ks_to_gold"
    ]
    assert result.value == pytest.approx(0.75, abs=1e-12)
    assert result.extras["p_value"] == pytest.approx(0.2286, abs=5e-5)


def test_the_distance_to_gold_is_that_of_scipy_and_zero_for_gold(random_ctx):
    ctx = random_ctx()
    result = measure(Streisand(), ctx)["streisand/ks_to_gold"]
    expected = ks_2samp(losses(ctx, "forget"), losses(ctx, "forget", "gold"))
    assert result.value == pytest.approx(expected.statistic, abs=1e-12)
    assert measure(Streisand(), ctx.of("gold"))["streisand/ks_to_gold"].value == 0.0
