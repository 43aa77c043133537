"""Certified removal against closed forms, autograd in float64, and the retrained head."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.core.task_types import Multiclass, Multilabel
from erasure.testing import toy_task
from erasure.unlearners.certified_linear import CertifiedLinear
from erasure.unlearners.shared.newton_removal import LabelledRows, remove, residual, train

LAM = 1e-2


def some_rows(n=120, d=5, classes=3, seed=0):
    generator = stream(seed, "rows")
    inputs = torch.randn(n, d, dtype=torch.float64, generator=generator)
    inputs = inputs / inputs.norm(dim=1, keepdim=True)
    noisy = inputs[:, :classes] + 0.5 * torch.randn(n, classes, generator=generator)
    return LabelledRows(inputs, torch.where(noisy > 0, 1.0, -1.0).double())


def noise(rows, sigma=1.0):
    shape = (rows.signs.shape[1], rows.inputs.shape[1])
    return sigma * torch.randn(*shape, dtype=torch.float64, generator=stream(1, "noise"))


def objective(w, rows, b, lam=LAM):
    """Of one classifier, written out."""
    losses = sum(torch.log1p(torch.exp(-y * (x @ w))) for x, y in zip(*rows, strict=True))
    return losses + lam * len(rows[0]) / 2 * (w @ w) + b @ w


def test_training_without_noise_is_that_of_scikit_learn():
    """Its C weighs the sum of losses against half the squared norm: 1 / (lam n)."""
    rows = some_rows()
    result = train(rows, torch.zeros(3, 5, dtype=torch.float64), LAM, 200)
    for number in range(3):
        other = LogisticRegression(C=1 / (LAM * 120), fit_intercept=False, tol=1e-12)
        other.fit(rows.inputs.numpy(), rows.signs[:, number].numpy())
        np.testing.assert_allclose(result[number].numpy(), other.coef_[0], rtol=0, atol=1e-6)


def test_training_ends_where_the_gradient_is_zero():
    rows = some_rows()
    b = noise(rows)
    weight = train(rows, b, LAM, 200)
    assert residual(weight, rows, b, LAM) < 1e-6
    for number in range(3):
        w = weight[number].clone().requires_grad_()
        pairs = (rows.inputs, rows.signs[:, number])
        (slope,) = torch.autograd.grad(objective(w, pairs, b[number]), w)
        assert slope.norm() < 1e-6


def test_a_removal_is_the_newton_step_and_its_bound():
    """Gradient and Hessian by autograd of the written-out objective."""
    rows, count = some_rows(), 7
    gone, kept = rows.cut(count)
    weight = train(rows, noise(rows), LAM, 200)
    result, bound = remove(weight, gone, kept, LAM)
    squares = 0.0
    for number in range(3):
        none = torch.zeros(5, dtype=torch.float64)
        w = weight[number].clone().requires_grad_()
        dropped = objective(w, (gone.inputs, gone.signs[:, number]), none)
        (slope,) = torch.autograd.grad(dropped, w)
        hessian = torch.autograd.functional.hessian(
            lambda v, n=number, b=none: objective(v, (kept.inputs, kept.signs[:, n]), b), w
        )
        step = torch.linalg.inv(hessian) @ slope
        torch.testing.assert_close(result[number], weight[number] + step)
        size = torch.linalg.matrix_norm(kept.inputs, 2)
        squares += (size * step.norm() * (kept.inputs @ step).norm() / 4) ** 2
    assert bound == pytest.approx(math.sqrt(squares))


def test_one_sample_by_hand():
    """Two equal rows x = (1), y = 1 in one dimension with w = 0: sigmoid is 1/2.

    The removed row has the gradient (1/2 - 1) = -1/2, the kept one the curvature 1/4 + lam; at
    lam = 1/4 the step is -1, and its bound |X| |step| |X step| / 4 = 1/4.
    """
    row = LabelledRows(torch.ones(1, 1).double(), torch.ones(1, 1).double())
    result, bound = remove(torch.zeros(1, 1).double(), row, row, 0.25)
    assert result.item() == pytest.approx(-1.0)
    assert bound == pytest.approx(0.25)


@pytest.mark.parametrize("at_once", [1, 7, 20])
def test_removals_stay_within_their_bound_and_come_near_to_training_again(at_once):
    rows = some_rows(400)
    b = noise(rows)
    weight = original = train(rows, b, LAM, 400)
    gone, total, left = rows.cut(20)[0], 0.0, rows.cut(20)[1]
    retrained = train(left, b, LAM, 400)
    while len(gone):
        some, gone = gone.cut(at_once)
        weight, bound = remove(weight, some, gone + left, LAM)
        total += bound
    assert residual(weight, left, b, LAM) <= total
    assert (weight - retrained).norm() < 0.02 * (original - retrained).norm()


def recorded(task, **settings):
    steps = []
    model = CertifiedLinear(**settings)(
        replace(task, report=lambda step, of, **values: steps.append((step, of, values)))
    )
    return model, steps


def test_within_the_budget_it_records_what_every_step_spends():
    _, steps = recorded(toy_task(), epsilon=1e9, at_once=5, lam=LAM, sigma=2.0, delta=1e-3)
    assert [step[:2] for step in steps] == [(number, 5) for number in range(1, 6)]  # 23 samples
    bounds = [values["bound"] for _, _, values in steps]
    assert bounds == sorted(bounds)
    assert bounds[0] > 0
    for _, _, values in steps:
        spent = math.sqrt(2 * math.log(1.5 / 1e-3)) * values["bound"] / 2.0
        assert values["spent"] == pytest.approx(spent)
        assert values["retrained"] == 0
        assert (values["epsilon"], values["delta"]) == (1e9, 1e-3)
        assert (values["sigma"], values["lam"]) == (2.0, LAM)


def test_beyond_the_budget_the_head_is_trained_on_the_retain_set_with_new_noise(monkeypatch):
    made = []

    def watched(rows, b, lam, rounds):
        made.append((len(rows), b))
        return train(rows, b, lam, rounds)

    monkeypatch.setattr("erasure.unlearners.certified_linear.train", watched)
    _, steps = recorded(toy_task(), epsilon=1e-6, lam=LAM, rounds=300)
    assert [count for count, _ in made] == [200, 177]
    assert not made[0][1].equal(made[1][1])
    assert len(steps) == 1
    assert steps[0][2]["retrained"] == 1
    assert steps[0][2]["bound"] < 1e-3


def test_a_large_penalty_and_no_budget_make_the_head_that_is_trained_again():
    """A retrained head does not depend on the forget set: its labels may be anything."""
    task = toy_task()
    other = replace(task, forget=task.forget.relabel((task.forget.targets + 1) % 4))
    settings = {"epsilon": 1e-9, "rounds": 300}
    one, two = (CertifiedLinear(**settings)(t) for t in (toy_task(), other))
    assert model_fingerprint(one) == model_fingerprint(two)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_only_the_head_changes_and_its_logits_rank_as_the_rows_do(model):
    task = toy_task(model)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    after = CertifiedLinear(lam=LAM, sigma=0.1)(task).state_dict()
    last = ("head.3." if model == "cnn" else "layers.3.") + "weight"
    moved = {name for name in before if not after[name].equal(before[name])}
    assert moved == {last, last.replace("weight", "bias")}
    inputs = task.retain.pool.pool.fetch(task.retain.index)
    correct = task.model.eval()(inputs).argmax(dim=1) == task.retain.targets
    assert correct.double().mean() > 0.85


def test_every_part_is_read_once():
    task = toy_task()
    CertifiedLinear()(task)
    reads = task.forget.pool.reads
    assert (reads[task.forget.index] == 1).all()
    assert (reads[task.retain.index] == 1).all()
    assert int(reads.sum()) == 200


def test_several_labels(multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    model, steps = recorded(task, epsilon=1e9, sigma=0.1)
    assert model_fingerprint(model) != before
    assert len(steps) == 11
    logits = model.eval()(task.retain.pool.pool.fetch(task.retain.index))
    share = ((logits > 0) == task.retain.targets.bool()).double().mean()
    assert share > 0.8


def test_indicators():
    assert Multiclass().indicators(torch.tensor([2, 0]), 3).tolist() == [
        [False, False, True],
        [True, False, False],
    ]
    on = torch.tensor([[0, 1], [1, 1]])
    assert Multilabel().indicators(on, 2).equal(on.bool())


class Doubled(nn.Module):
    """Logits that are not what the last linear layer returns."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return 2 * self.model(inputs)


def test_a_model_without_a_linear_head_is_refused():
    task = toy_task()
    with pytest.raises(UnsupportedError, match=r"one last linear layer.*use unlearner=retrain"):
        CertifiedLinear()(replace(task, model=Doubled(task.model)))
    with pytest.raises(UnsupportedError, match=r"ensemble.*use unlearner=sisa"):
        CertifiedLinear()(toy_task("sharded"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be > 0, got 0.0"),
        ({"sigma": 0.0}, "sigma must be > 0, got 0.0"),
        ({"lam": -1.0}, "lam must be > 0, got -1.0"),
        ({"delta": 1.0}, r"delta must be in \(0, 1\), got 1.0"),
        ({"at_once": 0}, "at_once must be >= 1, got 0"),
        ({"rounds": 0}, "rounds must be >= 1, got 0"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(ConfigError, match=message):
        CertifiedLinear(**setting)
