import math

import pytest
import torch
from scipy.stats import t
from sklearn.metrics import accuracy_score, log_loss, recall_score

from erasure.evaluation.measure import meanings, measure
from erasure.metrics.utility.accuracy import Accuracy
from erasure.metrics.utility.loss import Loss

EXAMPLE = torch.tensor(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.35, 0.4], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]
)
LABELS = torch.tensor([0, 1, 1, 2, 2])


def test_worked_accuracy_and_loss(make_ctx):
    ctx = make_ctx({"forget": (LABELS, {"unlearned": EXAMPLE.log()})})
    accuracy = measure(Accuracy(), ctx)["forget/accuracy"]
    assert accuracy.value == 0.6
    assert accuracy.n == 5
    assert accuracy.extras["per_class"] == {"class 0": 1.0, "class 1": 0.5, "class 2": 0.5}
    assert sum(accuracy.extras["per_class"].values()) / 3 == pytest.approx(0.666667, abs=1e-6)
    assert measure(Loss(), ctx)["forget/loss"].value == pytest.approx(0.843982, abs=1e-6)


def test_accuracy_and_recall_agree_with_sklearn(random_ctx):
    ctx = random_ctx()
    targets, predicted = ctx.targets("test"), ctx.logits("test").argmax(-1)
    accuracy = measure(Accuracy(), ctx)["test/accuracy"]
    assert accuracy.value == pytest.approx(accuracy_score(targets, predicted))
    recalls = recall_score(targets, predicted, average=None)
    assert list(accuracy.extras["per_class"].values()) == pytest.approx(recalls.tolist())


def test_loss_agrees_with_sklearn_and_its_interval_with_scipy(random_ctx):
    ctx = random_ctx()
    probabilities = ctx.logits("retain").double().softmax(-1).numpy()
    loss = measure(Loss(), ctx)["retain/loss"]
    assert loss.value == pytest.approx(log_loss(ctx.targets("retain"), probabilities), abs=1e-6)
    values = ctx.losses("retain").double()
    low, high = t.interval(
        0.95, len(values) - 1, values.mean(), values.std() / math.sqrt(len(values))
    )
    # Of losses that are skewed to the right both ends are higher than those of Student's t.
    assert low < loss.ci_low < loss.value < high < loss.ci_high
    assert loss.ci_high - loss.ci_low == pytest.approx(high - low, rel=0.05)


@pytest.mark.parametrize("heldout", ["test", "val"])
@pytest.mark.parametrize("metric", [Accuracy(), Loss()])
def test_each_part_has_its_value_and_its_meaning(random_ctx, metric, heldout):
    schema = meanings(metric, heldout)
    assert set(measure(metric, random_ctx(heldout=heldout))) == set(schema)
    directions = {name.split("/")[0]: meaning.direction for name, meaning in schema.items()}
    best = "max" if isinstance(metric, Accuracy) else "min"
    assert directions == {"forget": "closer_to_gold", "retain": best, heldout: best}


def test_classes_that_do_not_occur_have_no_accuracy(make_ctx):
    labels = torch.tensor([1, 1, 1])
    ctx = make_ctx({"forget": (labels, {"unlearned": torch.eye(3)})})
    accuracy = measure(Accuracy(), ctx)["forget/accuracy"]
    assert accuracy.value == pytest.approx(1 / 3)
    assert accuracy.extras["per_class"] == {"class 1": pytest.approx(1 / 3)}


def test_huge_logits_have_a_finite_loss(make_ctx):
    logits = torch.tensor([[1e4, -1e4], [1e4, -1e4]])
    ctx = make_ctx({"forget": (torch.tensor([0, 1]), {"unlearned": logits})})
    assert measure(Loss(), ctx)["forget/loss"].value == pytest.approx(1e4)
