"""Divergences of predictions, from gold, from random networks, and without either."""

import math
from dataclasses import replace

import pytest
import torch
from reference_tables import with_references
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.evaluation.measure import meanings, measure
from erasure.evaluation.outputs import compared
from erasure.evaluation.statistics.divergences import (
    LN2,
    hellinger,
    jensen_shannon,
    kullback_leibler,
    total_variation,
)
from erasure.metrics.privacy.rf_jsd import RetrainFreeJSD
from erasure.metrics.privacy.zrf import ZRF
from erasure.metrics.to_gold.activation_distance import ActivationDistance, absolute, euclidean
from erasure.metrics.to_gold.agreement import Agreement
from erasure.metrics.to_gold.js_to_gold import JSToGold
from erasure.metrics.to_gold.kl_to_gold import KLToGold

P = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64)
UNIFORM = torch.full((1, 3), 1 / 3, dtype=torch.float64)
ONE_HOT = torch.eye(2, dtype=torch.float64)
TO_GOLD = [KLToGold(), ActivationDistance(), JSToGold(), Agreement()]


@pytest.fixture
def worked(make_ctx):
    tables = {"unlearned": P.log(), "gold": UNIFORM.log()}
    return make_ctx({"forget": (torch.tensor([0]), tables)})


@pytest.mark.parametrize(
    ("divergence", "value", "turned"),
    [
        (kullback_leibler, 0.296794, 0.324287),
        (euclidean, 0.454606, 0.454606),
        (absolute, 0.733333, 0.733333),
        (total_variation, 0.366667, 0.366667),
        (hellinger, 0.276009, 0.276009),
        (jensen_shannon, 0.074806, 0.074806),
    ],
)
def test_worked_divergences(divergence, value, turned):
    assert divergence(P.log(), UNIFORM.log()).item() == pytest.approx(value, abs=1e-6)
    assert divergence(UNIFORM.log(), P.log()).item() == pytest.approx(turned, abs=1e-6)
    assert divergence(P.log(), P.log()).item() == 0.0


def test_worked_metrics(worked):
    kl = measure(KLToGold(), worked)
    assert kl["kl_to_gold/forget/forward"].value == pytest.approx(0.324287, abs=1e-6)
    assert kl["kl_to_gold/forget/reverse"].value == pytest.approx(0.296794, abs=1e-6)
    extras = kl["kl_to_gold/forget/forward"].extras
    assert extras["total_variation"] == pytest.approx(0.366667, abs=1e-6)
    assert extras["hellinger"] == pytest.approx(0.276009, abs=1e-6)
    distance = measure(ActivationDistance(), worked)
    assert distance["activation_distance/forget/l2"].value == pytest.approx(0.454606, abs=1e-6)
    assert distance["activation_distance/forget/l1"].value == pytest.approx(0.733333, abs=1e-6)


def test_divergences_agree_with_scipy():
    generator = torch.Generator().manual_seed(0)
    p, q = torch.randn(2, 50, 7, dtype=torch.float64, generator=generator).mul(3).softmax(-1)
    expected = {
        kullback_leibler: entropy(p, q, axis=-1),
        jensen_shannon: jensenshannon(p, q, axis=-1) ** 2,
        euclidean: (p - q).norm(dim=-1).numpy(),
    }
    for divergence, values in expected.items():
        assert divergence(p.log(), q.log()).tolist() == pytest.approx(values.tolist(), abs=1e-12)


def test_certainties_of_different_classes_are_as_far_apart_as_can_be():
    one, other = ONE_HOT.log(), ONE_HOT.flip(0).log()
    assert kullback_leibler(one, other).tolist() == [math.inf] * 2
    assert kullback_leibler(one, one).tolist() == [0.0] * 2
    assert total_variation(one, other).tolist() == hellinger(one, other).tolist() == [1.0] * 2
    assert euclidean(one, other).tolist() == pytest.approx([math.sqrt(2)] * 2)
    assert absolute(one, other).tolist() == [2.0] * 2


def test_logits_far_apart_have_a_finite_divergence(make_ctx):
    tables = {"unlearned": torch.tensor([[1e4, -1e4]]), "gold": torch.tensor([[-1e4, 1e4]])}
    values = measure(KLToGold(), make_ctx({"forget": (torch.tensor([0]), tables)}))
    assert values["kl_to_gold/forget/forward"].value == pytest.approx(2e4)


@pytest.mark.parametrize("metric", TO_GOLD, ids=lambda metric: type(metric).__name__)
def test_a_model_equal_to_gold_is_at_no_distance(random_ctx, metric):
    ctx = random_ctx()
    ideal = {name: meaning.ideal for name, meaning in meanings(metric, "test").items()}
    assert {name: m.value for name, m in measure(metric, ctx.of("gold")).items()} == ideal


@pytest.mark.parametrize("metric", TO_GOLD, ids=lambda metric: type(metric).__name__)
def test_the_null_is_what_retrained_models_are_to_each_other(random_ctx, metric):
    ctx = random_ctx()
    generator = torch.Generator().manual_seed(1)
    golds = torch.randn(3, len(ctx.splits.forget.pool.targets), 4, generator=generator)
    alone = measure(metric, ctx)
    for name, value in measure(metric, with_references(ctx, {"gold": golds})).items():
        assert value.value == alone[name].value
        null = [value.extras[key] for key in ("gold_null_low", "gold_null", "gold_null_high")]
        assert null == sorted(null)
        assert value.extras["gold_null_pairs"] == 2
        assert "gold_null" not in alone[name].extras
    # Were the second of the pool the unlearned model, its distance would be the null.
    with torch.no_grad():
        ctx.models["gold"].table.copy_(golds[0])
        ctx.models["unlearned"].table.copy_(golds[1])
    ctx = with_references(replace(ctx, _cache={}), {"gold": golds[:2]})
    for value in measure(metric, ctx).values():
        assert value.value == pytest.approx(value.extras["gold_null"], abs=1e-12)


def test_the_null_is_noted_beside_the_unlearned_model_only(random_ctx):
    ctx = random_ctx()
    golds = torch.zeros(3, len(ctx.splits.forget.pool.targets), 4)
    ctx = with_references(ctx, {"gold": golds})
    assert "gold_null" not in measure(JSToGold(), ctx.of("original"))["forget/js_to_gold"].extras


def test_labels_by_themselves_are_compared_one_by_one():
    logits, others = torch.tensor([[0.3, -1.0]]), torch.tensor([[0.8, 2.0]])
    divergence = compared(total_variation, Multilabel(), logits, others)
    expected = (logits.sigmoid() - others.sigmoid()).abs().mean(-1)
    assert divergence.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


class Constant(nn.Module):
    """Returns the same logits for every sample and counts its calls."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.calls = logits, 0

    def forward(self, inputs):
        self.calls += 1
        return self.logits.expand(len(inputs), -1)


@pytest.fixture
def with_teachers(worked):
    made = []

    def fresh(salt=""):
        made.append((salt, Constant(UNIFORM.log().float())))
        return made[-1][1]

    return replace(worked, fresh=fresh), made


def test_worked_zero_retrain_forgetting(with_teachers):
    ctx, made = with_teachers
    score = measure(ZRF(), ctx)["zrf/score"]
    assert score.value == pytest.approx(1 - 0.107923, abs=1e-6)
    assert 1 - LN2 * (1 - score.value) == pytest.approx(0.925194, abs=1e-6)
    assert score.extras["by_teacher"] == pytest.approx([score.value] * 5)
    assert measure(ZRF(), ctx.of("gold"))["zrf/score"].value == 1.0
    assert len({salt for salt, _ in made}) == 5
    assert [model.calls for _, model in made] == [1] * 5  # for both subjects together


def test_random_networks_come_from_the_trial(worked):
    score = measure(ZRF(), worked)["zrf/score"]
    assert (score.status, score.reason) == ("skipped", "missing_fresh")


def tables(unlearned, original):
    return {"unlearned": unlearned.log(), "original": original.log()}


def test_retrain_free_divergence_compares_means_of_classes(make_ctx):
    forget = torch.cat([P, P.flip(-1), UNIFORM])
    test = torch.cat([UNIFORM, UNIFORM, P])
    parts = {
        "forget": (torch.tensor([0, 0, 1]), tables(forget, P.expand(3, -1))),
        "test": (torch.tensor([0, 2, 0]), tables(P.expand(3, -1), test)),
    }
    ctx = make_ctx(parts)
    score = measure(RetrainFreeJSD(), ctx)["rf_jsd/score"]
    forget_mean, test_mean = (P + P.flip(-1)) / 2, (UNIFORM + P) / 2
    assert score.value == pytest.approx(
        float(jensenshannon(forget_mean[0], test_mean[0]) ** 2), abs=1e-7
    )
    assert score.extras["per_class"] == {"class 0": score.value}  # 1 and 2 are on one side only


def test_identical_rows_do_not_dilute_the_retrain_free_divergence(make_ctx):
    # The released code gives 0.0402 for two identical rows and 0.0805 for one.
    for classes in ([0], [0, 1]):
        n = len(classes)
        forget_logits, test_logits = P.log().expand(n, -1), UNIFORM.log().expand(n, -1)
        labels = torch.tensor(classes)
        ctx = make_ctx(
            {
                "forget": (labels, {"unlearned": forget_logits, "original": forget_logits}),
                "test": (labels, {"unlearned": test_logits, "original": test_logits}),
            }
        )
        assert measure(RetrainFreeJSD(), ctx)["rf_jsd/score"].value == pytest.approx(
            0.074806, abs=1e-6
        )


def test_without_a_shared_class_there_is_no_retrain_free_divergence(make_ctx):
    tables = {"unlearned": P.log(), "original": P.log()}
    ctx = make_ctx({"forget": (torch.tensor([0]), tables), "test": (torch.tensor([1]), tables)})
    score = measure(RetrainFreeJSD(), ctx)["rf_jsd/score"]
    assert (score.status, score.reason) == ("degenerate", "no_shared_class")


def test_few_teachers_are_refused():
    with pytest.raises(ConfigError, match="teachers must be >= 5, got 4"):
        ZRF(teachers=4)
