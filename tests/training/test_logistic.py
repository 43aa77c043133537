"""Regressions against those of scikit-learn, and that Newton's method ends at the minimum."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from erasure.core.seeding import stream
from erasure.training.logistic import LogisticObjective, fit_logistic, log_odds, minimize


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e4])
def test_regressions_are_those_of_scikit_learn(spread):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(80, 2, generator=generator, dtype=torch.float64)
    features = features * torch.tensor([1.0, spread]) + 3.0
    label = torch.rand(80, generator=generator) < torch.sigmoid(features[:, 0] - 3.0)
    weights = torch.rand(3, 80, generator=generator, dtype=torch.float64)
    weights[1, ::3] = 0.0
    fitted = fit_logistic(features, label, weights)
    for coefficients, weight in zip(fitted, weights, strict=True):
        sizes = np.array([1.0, spread])
        # Their solver needs features of one size; the penalty is then no longer that of the raw.
        model = LogisticRegression(tol=1e-10, max_iter=10_000, solver="newton-cholesky")
        model.fit(features.numpy(), label.numpy(), weight.numpy())
        assert coefficients[:2].numpy() * sizes == pytest.approx(model.coef_[0] * sizes, abs=1e-6)
        assert coefficients[2].item() == pytest.approx(model.intercept_[0], abs=1e-4)


def test_a_regression_on_separable_or_constant_features_is_finite():
    label = torch.arange(20) < 10
    far = torch.where(label, 0.0, 1e6).unsqueeze(-1)
    fitted = log_odds(far, fit_logistic(far, label, torch.ones(1, 20)))
    assert torch.equal(fitted[0] > 0, label)
    flat = fit_logistic(torch.ones(20, 1), label, torch.ones(1, 20))
    assert flat.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("draw", range(5))
def test_a_dozen_steps_end_where_the_gradient_is_zero(draw):
    """Near the minimum a good step changes the objective by less than its rounding."""
    generator = stream(draw, "logistic")
    rows = torch.randn(400, 3, dtype=torch.float64, generator=generator)
    signs = torch.randn(10, 400, generator=generator, dtype=torch.float64).sign()
    objective = LogisticObjective(
        rows=rows,
        signs=signs,
        weights=torch.rand(10, 400, dtype=torch.float64, generator=generator),
        penalty=torch.tensor([1.0, 0.1, 0.0]).double(),
        linear=torch.randn(10, 3, dtype=torch.float64, generator=generator),
    )
    minimum = minimize(objective, rounds=12)
    assert objective.slope(minimum).abs().max() < 1e-11
    near = minimum + 1e-4 * torch.randn(10, 3, dtype=torch.float64, generator=generator)
    assert (objective.value(near) > objective.value(minimum)).all()
