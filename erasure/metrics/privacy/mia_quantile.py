"""Membership inference by quantile regression: a threshold of each sample's own, no shadows."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.seeding import stream
from erasure.core.values import Meaning, MetricValue, NotComputableError
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import LOW_FPRS, attack_auc
from erasure.evaluation.signals import margins, require_multiclass
from erasure.evaluation.statistics.estimates import proportion

NUM_TREES = 100

ROUNDS = 2
"""Fits of the mean, each weighted by the variances of the one before."""

LOWEST_VARIANCE = 1e-20
"""Smallest variance relative to the values, so that rounding does not pass for spread."""

HIGHEST_LEVERAGE = 0.95
"""Leverage above which a residual is no longer corrected for its own influence."""


@dataclass(frozen=True, kw_only=True)
class MIAQuantile:
    """Share of the forget set whose score exceeds a quantile predicted from its features.

    The score is the margin of the true label. A regression from the features that go into the
    head of the model, trained on held-out samples, predicts for each sample the distribution of
    scores it would have if it had not been seen; a score above the ``1 - alpha`` quantile means
    member. Held-out samples are scored by a regression that has not seen them, forget samples by
    the mean of all folds. Under no leakage the TPR is ``alpha``. Whether the nominal rate is kept
    is reported beside it, as the share of non-members that are accused.

    Args:
        head: ``gaussian`` predicts mean and variance, by ridge regressions in closed form, and
            gives an AUC as well; ``boosting`` fits gradient-boosted trees to each quantile, which
            takes minutes for thousands of samples with hundreds of features.
        folds: Number of folds, at least 2.
        ridge: Penalty of the regressions of ``gaussian``, per sample and on standardized features.
        min_heldout: Fewest held-out samples; fewer say nothing about a quantile this far out.
        min_n: Fewest samples per side for which a value is given, at least 2.

    References:
        M. Bertran et al., "Scalable Membership Inference Attacks via Quantile Regression",
        NeurIPS 2023, arXiv:2307.03694.
    """

    needs_features: ClassVar[bool] = True

    head: Literal["gaussian", "boosting"] = "gaussian"
    folds: int = 5
    ridge: float = 1e-3
    min_heldout: int = 2000
    min_n: int = 10

    def __post_init__(self) -> None:
        if self.head not in ("gaussian", "boosting"):
            raise ConfigError(f"head must be gaussian or boosting, got {self.head!r}")
        if not self.ridge > 0:
            raise ConfigError(f"ridge must be > 0, got {self.ridge}")
        for name, least in (("folds", 2), ("min_heldout", 20), ("min_n", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")

    def values(self, parts: Parts) -> Values:
        attack = f"quantile regression on features, forget against {parts.heldout} samples"
        meanings: dict[str, Meaning] = {}
        if self.head == "gaussian":
            auc = f"Area under the ROC curve of {attack}."
            meanings["mia_quantile/auc"] = share("closer_to_gold", auc, 0.5)
        for name, fpr in LOW_FPRS.items():
            above = f"above the quantile for a nominal {100 * fpr:g} %"
            caught = f"Share of the forget set {above}, by {attack}."
            accused = f"Share of non-members {above}: calibration."
            meanings[f"mia_quantile/{name}"] = share("closer_to_gold", caught, fpr)
            end = name.replace("tpr", "fpr")
            meanings[f"mia_quantile/empirical_{end}"] = share("closer_to_ideal", accused, fpr)
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        require_multiclass(ctx)
        chosen = non_members(ctx, min_n=self.min_n).chosen
        if len(chosen) < self.min_heldout:
            counts = f"{ctx.heldout} has {len(chosen)} samples; {self.min_heldout} are needed"
            raise NotComputableError("degenerate", "too_few", counts)
        forget, heldout = (_side(ctx, part) for part in ("forget", ctx.heldout))
        generator = stream(ctx.seed, "mia_quantile")
        # All held-out samples train the regression; only the chosen ones count as non-members.
        fold = torch.randperm(len(chosen), generator=generator) % self.folds
        seed = int(torch.randint(2**31, (1,), generator=generator).item())
        by_fold = [
            self._excess(heldout.take(fold != k), [heldout.take(fold == k), forget], seed)
            for k in range(self.folds)
        ]
        # A row per quantile; every sample is in exactly one fold, so that all of it is filled.
        nonmembers = torch.empty_like(heldout.scores).expand(len(by_fold[0][0]), -1).clone()
        for k, (left_out, _) in enumerate(by_fold):
            nonmembers[:, fold == k] = left_out
        members = torch.stack([excess for _, excess in by_fold]).mean(dim=0)
        return self._rates(members, nonmembers[:, chosen], len(chosen))

    def _excess(self, train: "_Side", sides: list["_Side"], seed: int) -> list[Tensor]:
        """Return by how much each score exceeds each quantile, ``(Q, n)`` for each of the sides.

        The first row of ``gaussian`` is the score in standard deviations from its mean.
        """
        if self.head == "boosting":
            return _boosted(train, sides, seed)
        head = fit_gaussian_head(train.features, train.scores, self.ridge)
        # The limit 0 gives the score itself, which the AUC is of.
        limits = [0.0, *(NormalDist().inv_cdf(1 - fpr) for fpr in LOW_FPRS.values())]
        offsets = torch.tensor(limits, dtype=torch.float64).unsqueeze(1)
        return [head.standardized(side.features, side.scores) - offsets for side in sides]

    def _rates(self, members: Tensor, nonmembers: Tensor, trained: int) -> dict[str, MetricValue]:
        rates: dict[str, MetricValue] = {}
        if self.head == "gaussian":
            rates["mia_quantile/auc"] = attack_auc(members[0], nonmembers[0])
            members, nonmembers = members[1:], nonmembers[1:]
        for row, (name, fpr) in enumerate(LOW_FPRS.items()):
            extras: dict[str, Any] = {"unreliable": fpr * trained < 10, "n_regression": trained}
            sides = {
                name: members[row],
                f"empirical_{name.replace('tpr', 'fpr')}": nonmembers[row],
            }
            for end, excess in sides.items():
                hits = int((excess > 0).sum().item())
                rates[f"mia_quantile/{end}"] = proportion(hits, len(excess), extras)
        return rates


class _Side(NamedTuple):
    """Features ``(n, D)`` and scores ``(n,)``, both float64."""

    features: Tensor
    scores: Tensor

    def take(self, which: Tensor) -> "_Side":
        return _Side(self.features[which], self.scores[which])


def _side(ctx: EvalContext, part: str) -> _Side:
    scores = margins(ctx.logits(part).double(), ctx.targets(part))
    return _Side(ctx.features(part).double(), scores)


def _boosted(train: _Side, sides: list[_Side], seed: int) -> list[Tensor]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    rows = []
    for fpr in LOW_FPRS.values():
        trees = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=1 - fpr,
            max_iter=NUM_TREES,
            # By itself it would hold out a tenth of more than 10,000 samples.
            early_stopping=False,
            random_state=seed,
        )
        trees.fit(train.features.numpy(), train.scores.numpy())
        limits = (torch.from_numpy(trees.predict(side.features.numpy())) for side in sides)
        rows.append([side.scores - limit for side, limit in zip(sides, limits, strict=True)])
    return [torch.stack(excess) for excess in zip(*rows, strict=True)]


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
    mean = spread = features.new_zeros(features.shape[1] + 1)
    head = GaussianHead(centre, scale, mean, spread)
    rows, weights = head.rows(features), torch.ones_like(values)
    floor = LOWEST_VARIANCE * (1 + values.square().mean())
    unweighted = _factor(rows, weights, ridge)
    for _ in range(ROUNDS):
        factor = _factor(rows, weights, ridge)
        mean = _solved(factor, rows, weights * values)
        squares = _left_out(factor, rows, weights, values - rows @ mean).square().clamp_min(floor)
        # A residual that happens to be zero must not look like a variance of zero.
        spread = _solved(unweighted, rows, (squares + 1e-4 * squares.mean()).log())
        # The logarithm of a square lies below that of its mean; the intercept makes up for it.
        spread[-1] += (squares / (rows @ spread).exp()).mean().log()
        weights = (-(rows @ spread)).exp()
        # Mean one: the penalty keeps its weight beside them.
        weights = weights / weights.mean()
    return GaussianHead(centre, scale, mean, spread)


def _factor(rows: Tensor, weights: Tensor, ridge: float) -> Tensor:
    """Return the Cholesky factor ``(D + 1, D + 1)`` of a ridge regression, intercept free."""
    penalty = torch.full_like(rows[0], ridge * len(rows))
    penalty[-1] = 0.0
    factor: Tensor = torch.linalg.cholesky(rows.T @ (weights.unsqueeze(1) * rows) + penalty.diag())
    return factor


def _solved(factor: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Return the coefficients ``(D + 1,)`` for weighted values ``(n,)``."""
    return torch.cholesky_solve((rows.T @ values).unsqueeze(1), factor).squeeze(1)


def _left_out(factor: Tensor, rows: Tensor, weights: Tensor, residuals: Tensor) -> Tensor:
    """Return the residual ``(n,)`` that each sample would have had without itself in the fit."""
    # With the factor L of X'WX + P the leverage w x' (L L')^-1 x is w |L^-1 x|^2, and a residual
    # without its sample is the residual over 1 - leverage.
    half: Tensor = torch.linalg.solve_triangular(factor, rows.T, upper=False)
    leverage: Tensor = (weights * half.square().sum(dim=0)).clamp_max(HIGHEST_LEVERAGE)
    return residuals / (1 - leverage)
