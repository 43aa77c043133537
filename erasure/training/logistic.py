"""Regularized logistic regressions in float64, many at once, by Newton's method.

That of scikit-learn fits one at a time, and knows no linear term in the objective, which certified
removal needs.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDS = 100
"""Most Newton steps; from zero a dozen are enough."""

HALVINGS = 30
"""Most times a step is halved until the objective falls."""

ROUNDING = 1e-13
"""Rise of the objective, as a share of it, that is no ascent: close to the minimum a good step
changes it by less than its sum over the samples is rounded."""

CONVERGED = 1e-10
"""Size of a step, relative to the coefficients, after which the next one is below rounding."""

LEAST_CURVATURE = 1e-12
"""Keeps a coefficient that is not penalized, and that no loss depends on any more, solvable."""


def fit_logistic(features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return logistic regressions with a unit L2 penalty, one for each weighting of the samples.

    Each minimizes ``|w|^2 / 2`` plus the weighted sum of the log losses, as scikit-learn does with
    ``C=1``; the intercept is not penalized. A weight of 0 leaves a sample out, so that all
    folds of a cross-validation are fitted together.

    Args:
        features: ``(n, d)``.
        labels: Who is a member, ``(n,)`` bool.
        weights: ``(k, n)``; each row has samples of both labels.

    Returns:
        Slopes and, in the last column, intercept, ``(k, d + 1)`` float64.
    """
    centre, scale = features.double().mean(dim=0), features.double().std(dim=0)
    scale = scale.where(scale > 0, 1.0)  # a constant feature stays 0 and gets no slope
    rows = F.pad((features.double() - centre) / scale, (0, 1), value=1.0)
    objective = LogisticObjective(
        rows=rows,
        signs=2 * labels.double() - 1,
        weights=weights.double(),
        # In standardized features the same penalty is that of the slopes over the scales.
        penalty=torch.cat([scale**-2, scale.new_zeros(1)]),
        linear=rows.new_zeros(len(weights), rows.shape[1]),
    )
    coefficients = minimize(objective)
    # Back to raw features: w (x - centre) / scale + b = (w / scale) x + b - (w / scale) centre.
    slopes = coefficients[:, :-1] / scale
    intercepts = coefficients[:, -1:] - slopes @ centre.unsqueeze(-1)
    return torch.cat([slopes, intercepts], dim=-1)


def log_odds(features: Tensor, fitted: Tensor) -> Tensor:
    """Return the log-odds ``(k, n)`` of being a member under the regressions ``(k, d + 1)``."""
    return fitted[:, :-1] @ features.double().T + fitted[:, -1:]


@dataclass(frozen=True, kw_only=True)
class LogisticObjective:
    """What k classifiers w ``(d,)`` on the same rows minimize, independently of each other.

    ``sum_i weight_i log(1 + exp(-sign_i w x_i)) + sum_j penalty_j w_j^2 / 2 + linear w``, which is
    strictly convex in every coefficient that is penalized.

    Args:
        rows: Inputs x, ``(n, d)`` float64.
        signs: 1 or -1, ``(k, n)``, or ``(n,)`` if they are the same for all.
        weights: Weights of the losses, ``(k, n)``, or ``(1,)`` for one weight.
        penalty: Strength of the penalty of each coefficient, ``(d,)``.
        linear: ``(k, d)``.
    """

    rows: Tensor
    signs: Tensor
    weights: Tensor
    penalty: Tensor
    linear: Tensor

    def value(self, coefficients: Tensor) -> Tensor:
        """Return the objective ``(k,)`` of classifiers ``(k, d)``."""
        losses = F.softplus(-self.signs * (coefficients @ self.rows.T))
        penalties = 0.5 * self.penalty * coefficients**2 + self.linear * coefficients
        return (self.weights * losses).sum(dim=-1) + penalties.sum(dim=-1)

    def slope(self, coefficients: Tensor) -> Tensor:
        """Return its gradient ``(k, d)``."""
        # The derivative of log(1 + exp(-s z)) is -s sigmoid(-s z).
        miss = torch.sigmoid(-self.signs * (coefficients @ self.rows.T))
        penalties = self.penalty * coefficients + self.linear
        return penalties - (self.weights * miss * self.signs) @ self.rows

    def newton_step(self, coefficients: Tensor, slope: Tensor) -> Tensor:
        """Return ``H^{-1} slope`` for ``slope`` (k, d), with H the Hessian at ``coefficients``."""
        hit = torch.sigmoid(coefficients @ self.rows.T)
        curvature = self.weights * hit * (1 - hit)  # of each loss, whatever its sign
        ridge = torch.diag(self.penalty.clamp_min(LEAST_CURVATURE))
        # One Hessian at a time: all of them would take k d^2 numbers.
        steps = [
            torch.linalg.solve((self.rows * bend.unsqueeze(-1)).T @ self.rows + ridge, each)
            for bend, each in zip(curvature, slope, strict=True)
        ]
        return torch.stack(steps)


def minimize(objective: LogisticObjective, rounds: int = ROUNDS) -> Tensor:
    """Return the minima ``(k, d)`` of ``objective``, after at most ``rounds`` steps."""
    coefficients = torch.zeros_like(objective.linear)
    for _ in range(rounds):
        step = objective.newton_step(coefficients, objective.slope(coefficients))
        limit = CONVERGED * (1 + coefficients.abs().max())
        if bool((step.abs().max() <= limit).item()):
            return coefficients - step  # converges quadratically: this is the last digit
        coefficients = _descended(objective, coefficients, step)
    return coefficients


def _descended(objective: LogisticObjective, coefficients: Tensor, step: Tensor) -> Tensor:
    """Return ``w - t step``, with ``t`` the largest of 1, 1/2, 1/4, ... that does not ascend.

    Each classifier has its own ``t``; one that ascends all the same stays where it is.
    """
    before = objective.value(coefficients)
    highest = before + ROUNDING * before.abs()
    size = torch.ones_like(before)
    for _ in range(HALVINGS):
        ascends = objective.value(coefficients - size.unsqueeze(-1) * step) > highest
        if not ascends.any():
            return coefficients - size.unsqueeze(-1) * step
        size = size.where(~ascends, size / 2)
    return coefficients - size.where(~ascends, 0.0).unsqueeze(-1) * step
