"""Logistic regression on a few features, fitted many times at once."""

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDS = 100
"""Most Newton steps; from zero a dozen are enough."""

HALVINGS = 30
"""Most times a step is halved until the objective falls."""


def fit_logistic(features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return logistic regressions with a unit L2 penalty, one for each weighting of the samples.

    Each minimizes ``|w|^2 / 2`` plus the weighted sum of the log losses, as scikit-learn does with
    ``C=1``; the intercept is not penalized. A weight of 0 leaves a sample out, so that all
    folds of a cross-validation are fitted together, by Newton's method in float64.

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
    # In standardized features the same penalty is that of the slopes over the scales.
    penalty = torch.cat([scale**-2, scale.new_zeros(1)])
    found = _newton(rows, 2 * labels.double() - 1, weights.double(), penalty)
    slopes = found[:, :-1] / scale
    return torch.cat([slopes, found[:, -1:] - slopes @ centre.unsqueeze(-1)], dim=-1)


def decisions(features: Tensor, fitted: Tensor) -> Tensor:
    """Return the log-odds ``(k, n)`` of being a member under the regressions ``(k, d + 1)``."""
    return fitted[:, :-1] @ features.double().T + fitted[:, -1:]


def _newton(rows: Tensor, signs: Tensor, weights: Tensor, penalty: Tensor) -> Tensor:
    found = rows.new_zeros(len(weights), rows.shape[1])
    products = (rows.unsqueeze(2) * rows.unsqueeze(1)).flatten(1)
    for _ in range(ROUNDS):
        scores = found @ rows.T
        miss = torch.sigmoid(-signs * scores)
        slope = penalty * found - (weights * miss * signs) @ rows
        bend = ((weights * miss * (1 - miss)) @ products).unflatten(1, (-1, rows.shape[1]))
        # The last term keeps an intercept that nothing depends on any more from being singular.
        bend = bend + torch.diag(penalty + 1e-12)
        step: Tensor = torch.linalg.solve(bend, slope)
        if bool((step.abs().max() <= 1e-10 * (1 + found.abs().max())).item()):
            return found - step  # Newton's method converges quadratically: this is the last digit
        found = _descended(rows, signs, weights, penalty, found, step)
    return found


def _descended(
    rows: Tensor, signs: Tensor, weights: Tensor, penalty: Tensor, found: Tensor, step: Tensor
) -> Tensor:
    """Return ``found - t step``, ``t`` the largest of 1, 1/2, 1/4, ... that does not ascend."""

    def objective(at: Tensor) -> Tensor:
        losses = F.softplus(-signs * (at @ rows.T))
        return (weights * losses).sum(dim=-1) + 0.5 * (penalty * at**2).sum(dim=-1)

    before = objective(found)
    size = torch.ones_like(before)
    for _ in range(HALVINGS):
        worse = objective(found - size.unsqueeze(-1) * step) > before
        if not worse.any():
            return found - size.unsqueeze(-1) * step
        size = size.where(~worse, size / 2)
    return found - size.where(~worse, 0.0).unsqueeze(-1) * step
