"""Mean and variance of a quantity, both predicted from features in closed form."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDS = 2
"""Fits of the mean, each weighted by the variances of the one before."""

LOWEST_VARIANCE = 1e-20
"""Smallest variance relative to the values, so that rounding does not pass for spread."""

HIGHEST_LEVERAGE = 0.95
"""Leverage above which a residual is no longer corrected for its own influence."""


@dataclass(frozen=True)
class GaussianHead:
    """A linear predictor of a mean and of the logarithm of a variance.

    Args:
        centre: Subtracted from features, ``(D,)``.
        scale: Features are divided by it, ``(D,)``.
        mean: Coefficients of the mean, the last of them the intercept, ``(D + 1,)``.
        log_variance: Coefficients of the log-variance, ``(D + 1,)``.
    """

    centre: Tensor
    scale: Tensor
    mean: Tensor
    log_variance: Tensor

    def standardized(self, features: Tensor, values: Tensor) -> Tensor:
        """Return how many predicted standard deviations ``values`` (n,) are above their mean."""
        rows = self.rows(features)
        return (values - rows @ self.mean) * (-(rows @ self.log_variance) / 2).exp()

    def rows(self, features: Tensor) -> Tensor:
        """Return standardized features with a column of ones, ``(n, D + 1)``."""
        return F.pad((features - self.centre) / self.scale, (0, 1), value=1.0)


def fit_gaussian_head(features: Tensor, values: Tensor, ridge: float) -> GaussianHead:
    """Fit mean and variance of ``values`` by two ridge regressions each.

    Residuals are those that each sample would have had without itself, which ridge regression
    gives in closed form; otherwise the variance would be too small as soon as there are many
    features. The log-variance is regressed on the logarithm of their squares, then shifted so
    that standardized residuals have variance one.

    Args:
        features: ``(n, D)`` float64.
        values: ``(n,)`` float64.
        ridge: Penalty per sample on standardized features; intercepts are free.

    References:
        A. Harvey, "Estimating Regression Models with Multiplicative Heteroscedasticity",
        Econometrica 44, 1976.
    """
    centre, scale = features.mean(dim=0), features.std(dim=0)
    scale = scale.where(scale > 0, 1.0)
    blank = features.new_zeros(features.shape[1] + 1)
    head = GaussianHead(centre, scale, blank, blank)
    rows, weights = head.rows(features), torch.ones_like(values)
    mean = spread = blank
    floor = LOWEST_VARIANCE * (1 + values.square().mean())
    plain = _factor(rows, weights, ridge)
    for number in range(ROUNDS):
        factor = _factor(rows, weights, ridge) if number else plain
        mean = _solved(factor, rows, weights * values)
        squares = _left_out(factor, rows, weights, values - rows @ mean).square().clamp_min(floor)
        # A residual that happens to be zero must not look like a variance of zero.
        spread = _solved(plain, rows, (squares + 1e-4 * squares.mean()).log())
        spread[-1] += (squares / (rows @ spread).exp()).mean().log()
        weights = (-(rows @ spread)).exp()
        weights = weights / weights.mean()
    return GaussianHead(centre, scale, mean, spread)


def _factor(rows: Tensor, weights: Tensor, ridge: float) -> Tensor:
    """Return the Cholesky factor ``(D + 1, D + 1)`` of a ridge regression, intercept free."""
    penalty = torch.full_like(rows[0], ridge * len(rows))
    penalty[-1] = 0.0
    gram = rows.T @ (weights.unsqueeze(1) * rows) + torch.diag(penalty)
    factor: Tensor = torch.linalg.cholesky(gram)
    return factor


def _solved(factor: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Return the coefficients ``(D + 1,)`` for weighted values ``(n,)``."""
    return torch.cholesky_solve((rows.T @ values).unsqueeze(1), factor).squeeze(1)


def _left_out(factor: Tensor, rows: Tensor, weights: Tensor, residuals: Tensor) -> Tensor:
    """Return the residual ``(n,)`` that each sample would have had without itself in the fit."""
    half: Tensor = torch.linalg.solve_triangular(factor, rows.T, upper=False)
    leverage: Tensor = (weights * half.square().sum(dim=0)).clamp_max(HIGHEST_LEVERAGE)
    return residuals / (1 - leverage)
