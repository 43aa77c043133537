"""Measures of how well a model predicts: worked numbers, other libraries, and odd inputs."""

import math

import pytest
import torch
import torchmetrics.functional as tm
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from erasure.core.errors import ConfigError
from erasure.evaluation.statistics.ranking import average_precisions, roc_areas
from erasure.metrics.to_gold.ua import UnlearningAccuracy
from erasure.metrics.utility.auprc import AUPRC
from erasure.metrics.utility.auroc import AUROC
from erasure.metrics.utility.balanced_accuracy import BalancedAccuracy
from erasure.metrics.utility.brier import Brier
from erasure.metrics.utility.ece import ECE
from erasure.metrics.utility.f1 import F1
from erasure.metrics.utility.per_class import PerClass
from erasure.metrics.utility.topk import TopK

EXAMPLE = torch.tensor(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.35, 0.4], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]],
    dtype=torch.float64,
)
LABELS = torch.tensor([0, 1, 1, 2, 2])
PARTS = ("forget", "retain", "test")
EVERY = [
    PerClass(),
    BalancedAccuracy(),
    TopK(k=2),
    F1(),
    AUROC(),
    AUPRC(),
    Brier(),
    ECE(),
    UnlearningAccuracy(),
]


@pytest.fixture
def example(make_ctx):
    return make_ctx({"forget": (LABELS, {"unlearned": EXAMPLE.log()})})


@pytest.mark.parametrize(
    ("metric", "name", "value"),
    [
        (BalancedAccuracy(), "balanced_accuracy/forget", 0.666667),
        (F1(), "f1/forget/macro", 0.611111),
        (F1(), "f1/forget/micro", 0.6),
        (F1(), "f1/forget/weighted", 0.6),
        (TopK(k=2), "topk/forget/top_2", 0.8),
        (AUROC(), "auroc/forget", 0.888889),
        (Brier(), "brier/forget", 0.481),
        (ECE(bins=5), "ece/forget", 0.22),
        (ECE(), "ece/forget", 0.22),
        (PerClass(), "per_class/forget/worst", 0.5),
        (UnlearningAccuracy(), "ua/forget", 0.4),
    ],
)
def test_worked_example(example, metric, name, value):
    assert metric(example)[name].value == pytest.approx(value, abs=1e-6)


def test_worked_extras(example):
    assert ECE()(example)["ece/forget"].extras["maximum"] == pytest.approx(0.4, abs=1e-6)
    worst = PerClass()(example)["per_class/forget/worst"].extras
    assert worst["class"] == "class 1"
    assert worst["accuracy"] == {"class 0": 1.0, "class 1": 0.5, "class 2": 0.5}
    assert worst["samples"] == {"class 0": 1.0, "class 1": 2.0, "class 2": 2.0}


@pytest.fixture(scope="module")
def random_scores():
    generator = torch.Generator().manual_seed(7)
    logits = 2 * torch.randn(400, 6, generator=generator)
    return torch.randint(6, (400,), generator=generator), logits


@pytest.fixture
def many(make_ctx, random_scores):
    labels, logits = random_scores
    return make_ctx({"test": (labels, {"unlearned": logits})})


def test_values_agree_with_sklearn(many, random_scores):
    labels, logits = random_scores
    p, predicted = logits.double().softmax(-1).numpy(), logits.argmax(-1)
    onehot = torch.nn.functional.one_hot(labels).numpy()
    expected = {
        "balanced_accuracy/test": balanced_accuracy_score(labels, predicted),
        "f1/test/macro": f1_score(labels, predicted, average="macro"),
        "f1/test/micro": f1_score(labels, predicted, average="micro"),
        "f1/test/weighted": f1_score(labels, predicted, average="weighted"),
        "topk/test/top_2": top_k_accuracy_score(labels, p, k=2),
        "auroc/test": roc_auc_score(labels, p, multi_class="ovr"),
        "auprc/test": average_precision_score(onehot, p, average="macro"),
    }
    found = {n: m.value for metric in EVERY for n, m in metric(many).items()}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_calibration_and_brier_agree_with_torchmetrics(many, random_scores):
    labels, logits = random_scores
    p = logits.double().softmax(-1)
    for norm, read in (("l1", lambda m: m.value), ("max", lambda m: m.extras["maximum"])):
        expected = tm.calibration_error(
            p, labels, task="multiclass", num_classes=6, n_bins=15, norm=norm
        ).item()
        assert read(ECE()(many)["ece/test"]) == pytest.approx(expected, abs=1e-6)
    truth = torch.nn.functional.one_hot(labels).double()
    expected = ((p - truth) ** 2).sum(-1).mean().item()
    assert Brier()(many)["brier/test"].value == pytest.approx(expected, abs=1e-12)


def test_areas_with_many_ties_agree_with_sklearn():
    generator = torch.Generator().manual_seed(1)
    scores = torch.randint(5, (200, 4), generator=generator).double()
    positive = torch.rand(200, 4, generator=generator) < 0.3
    for areas, oracle in (
        (roc_areas, roc_auc_score),
        (average_precisions, average_precision_score),
    ):
        expected = [oracle(positive[:, c], scores[:, c]) for c in range(4)]
        assert areas(scores, positive).tolist() == pytest.approx(expected, abs=1e-12)


def test_areas_do_not_depend_on_how_many_are_computed_at_a_time(monkeypatch):
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(50, 7, generator=generator)
    positive = torch.rand(50, 7, generator=generator) < 0.5
    whole = roc_areas(scores, positive)
    monkeypatch.setattr("erasure.evaluation.statistics.ranking.BLOCK", 100)
    assert torch.equal(roc_areas(scores, positive), whole)


def test_adaptive_bins_have_equally_many_samples(make_ctx):
    # Sorted confidences .5 .6 | .7 .9, the first two wrong: |0 - .55| and |1 - .8| over two bins.
    p = torch.tensor([0.5 + 1e-9, 0.6, 0.7, 0.9], dtype=torch.float64)
    logits = torch.stack([p, 1 - p], dim=-1).log()
    ctx = make_ctx({"forget": (torch.tensor([1, 1, 0, 0]), {"unlearned": logits})})
    extras = ECE(bins=2)(ctx)["ece/forget"].extras
    assert extras["adaptive"] == pytest.approx((0.55 + 0.2) / 2, abs=1e-6)


def test_adaptive_bins_do_not_depend_on_the_order_of_equal_confidences(make_ctx):
    logits = torch.tensor([2.0, 0.0]).expand(5, 2)
    labels = torch.tensor([0, 0, 0, 1, 1])
    found = [
        ECE(bins=2)(make_ctx({"forget": (ordered, {"unlearned": logits})}))["ece/forget"]
        for ordered in (labels, labels.flip(0))
    ]
    assert found[0].extras["adaptive"] == pytest.approx(found[1].extras["adaptive"], abs=1e-15)
    expected = torch.tensor([2.0, 0.0]).softmax(-1)[0].item() - 0.6
    assert found[0].extras["adaptive"] == pytest.approx(expected, abs=1e-6)


def test_a_perfect_model_is_perfect(make_ctx):
    labels = torch.arange(12) % 3
    logits = 40 * torch.nn.functional.one_hot(labels).double()
    ctx = make_ctx({"test": (labels, {"unlearned": logits, "gold": logits})})
    found = {n: m.value for metric in EVERY for n, m in metric(ctx).items() if "/test" in n}
    least = {"brier/test", "ece/test", "per_class/test/largest_gap"}
    assert {n for n, v in found.items() if v == pytest.approx(0.0, abs=1e-12)} == least
    assert {v for n, v in found.items() if n not in least} == {1.0}


def test_a_part_of_one_class_has_no_ranking_and_its_recall_for_f1(make_ctx):
    logits = torch.tensor([[2.0, 0, 0], [0, 2, 0], [3, 0, 0], [2, 1, 0]])
    ctx = make_ctx({"forget": (torch.zeros(4, dtype=torch.int64), {"unlearned": logits})})
    for metric in (AUROC(), AUPRC()):
        (found,) = (m for n, m in metric(ctx).items() if n.endswith("/forget"))
        assert (found.status, found.reason) == ("degenerate", "one_class")
    macro = F1()(ctx)["f1/forget/macro"]
    assert macro.value == 0.75
    assert macro.extras == {"only_class": "class 0"}
    assert BalancedAccuracy()(ctx)["balanced_accuracy/forget"].value == 0.75


def test_absent_classes_do_not_count_as_zero(make_ctx):
    # A perfect ranker with two of three classes present; torchmetrics would say 0.667.
    logits = 9 * torch.eye(3)[torch.tensor([0, 0, 1, 1])]
    ctx = make_ctx({"forget": (torch.tensor([0, 0, 1, 1]), {"unlearned": logits})})
    assert AUROC()(ctx)["auroc/forget"].value == 1.0
    assert set(AUROC()(ctx)["auroc/forget"].extras["per_class"]) == {"class 0", "class 1"}
    assert AUPRC()(ctx)["auprc/forget"].value == 1.0


def test_the_largest_gap_names_its_class_and_its_sign(make_ctx):
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    gold = torch.eye(3)[labels]
    own = gold.clone()
    own[2:4] = torch.tensor([1.0, 0, 0])
    ctx = make_ctx({"test": (labels, {"unlearned": own, "gold": gold})})
    found = PerClass()(ctx)["per_class/test/largest_gap"]
    assert found.value == 1.0
    assert found.extras["class"] == "class 1"
    assert found.extras["signed"] == {"class 0": 0.0, "class 1": -1.0, "class 2": 0.0}


def test_equal_logits_are_ranked_by_class_as_the_accuracy_does(make_ctx):
    logits = torch.zeros(4, 4)
    ctx = make_ctx({"test": (torch.arange(4), {"unlearned": logits})})
    assert TopK(k=2)(ctx)["topk/test/top_2"].value == 0.5


def test_with_no_more_than_k_classes_there_is_no_top_k(example):
    found = TopK(k=3)(example)["topk/forget/top_3"]
    assert (found.status, found.reason) == ("skipped", "no_more_than_k_classes")


def test_unlearning_accuracy_is_the_error_with_its_interval(random_ctx):
    ctx = random_ctx()
    found = UnlearningAccuracy()(ctx)["ua/forget"]
    right = (ctx.logits("forget").argmax(-1) == ctx.targets("forget")).double().mean().item()
    assert found.value == pytest.approx(1 - right)
    assert 0 <= found.ci_low < found.value < found.ci_high <= 1


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: type(metric).__name__)
def test_directions_say_that_the_forget_set_has_no_best_value(metric):
    for name, meaning in metric.schema("val").items():
        if "/forget" in name and "gap" not in name:
            assert meaning.direction == "closer_to_gold"
        assert "test" not in name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopK(k=1), "k must be >= 2, got 1"),
        (lambda: ECE(bins=1), "bins must be >= 2, got 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_thousands_of_samples_of_a_hundred_classes_have_every_value(make_ctx):
    generator = torch.Generator().manual_seed(0)
    part = (
        torch.randint(100, (5000,), generator=generator),
        {"unlearned": torch.randn(5000, 100, generator=generator)},
    )
    ctx = make_ctx({"test": part})
    values = [m.value for metric in EVERY for n, m in metric(ctx).items() if "/test" in n]
    assert len(values) == 11
    assert sum(math.isnan(value) for value in values) == 1  # the gap to a gold that is not there
