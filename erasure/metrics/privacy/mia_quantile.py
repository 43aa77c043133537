"""Membership inference by quantile regression: a threshold of each sample's own, no shadows."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.core.values import Meaning, MetricValue, NotComputableError
from erasure.evaluation.attacks.gaussian_head import fit_gaussian_head
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import LOW_FPRS, attack_auc
from erasure.evaluation.signals import margins, require_multiclass
from erasure.evaluation.statistics.estimates import proportion

NUM_TREES = 100


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
        min_heldout: Fewest held-out samples for which a value is given: fewer say nothing about
            a quantile this far out.
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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        attack = f"quantile regression on features, forget against {heldout} samples"
        said = {}
        if self.head == "gaussian":
            said["mia_quantile/auc"] = (f"Area under the ROC curve of {attack}.", 0.5)
        for name, fpr in LOW_FPRS.items():
            rate = f"{100 * fpr:g} %"
            said[f"mia_quantile/{name}"] = (
                f"Share of the forget set above the quantile for a nominal {rate}, by {attack}.",
                fpr,
            )
            said[f"mia_quantile/empirical_{name.replace('tpr', 'fpr')}"] = (
                f"Share of non-members above the quantile for a nominal {rate}: calibration.",
                fpr,
            )
        return {
            name: Meaning(
                direction="closer_to_ideal", low=0.0, high=1.0, ideal=ideal, description=text
            )
            for name, (text, ideal) in said.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        require_multiclass(ctx)
        chosen = non_members(ctx, min_n=self.min_n).chosen
        if len(chosen) < self.min_heldout:
            raise NotComputableError("degenerate", "too_few")
        forget, heldout = (_side(ctx, part) for part in ("forget", ctx.heldout))
        generator = stream(ctx.seed, "mia_quantile")
        fold = torch.randperm(len(chosen), generator=generator) % self.folds
        seed = int(torch.randint(2**31, (1,), generator=generator).item())
        predicted = [
            self._predicted(heldout.take(fold != k), [heldout.take(fold == k), forget], seed)
            for k in range(self.folds)
        ]
        others = torch.empty_like(heldout.scores).expand(len(predicted[0][0]), -1).clone()
        for k, (own, _) in enumerate(predicted):
            others[:, fold == k] = own
        members = torch.stack([ours for _, ours in predicted]).mean(dim=0)
        return self._values(members, others[:, chosen], len(chosen))

    def _predicted(self, train: "_Side", sides: list["_Side"], seed: int) -> list[Tensor]:
        """Return by how much each score exceeds each quantile, ``(Q, n)`` for each of the sides.

        The first row of ``gaussian`` is the score in standard deviations from its mean.
        """
        if self.head == "boosting":
            return _boosted(train, sides, seed)
        head = fit_gaussian_head(train.features, train.scores, self.ridge)
        limits = [0.0, *(NormalDist().inv_cdf(1 - fpr) for fpr in LOW_FPRS.values())]
        offsets = torch.tensor(limits, dtype=torch.float64).unsqueeze(1)
        return [head.standardized(side.features, side.scores) - offsets for side in sides]

    def _values(self, members: Tensor, others: Tensor, trained: int) -> dict[str, MetricValue]:
        found: dict[str, MetricValue] = {}
        if self.head == "gaussian":
            found["mia_quantile/auc"] = attack_auc(members[0], others[0])
            members, others = members[1:], others[1:]
        for row, (name, fpr) in enumerate(LOW_FPRS.items()):
            extras: dict[str, Any] = {"unreliable": fpr * trained < 10, "n_regression": trained}
            sides = {name: members[row], f"empirical_{name.replace('tpr', 'fpr')}": others[row]}
            for end, excess in sides.items():
                hits = int((excess > 0).sum().item())
                found[f"mia_quantile/{end}"] = proportion(hits, len(excess), extras)
        return found


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
            early_stopping=False,
            random_state=seed,
        )
        trees.fit(train.features.numpy(), train.scores.numpy())
        limits = (torch.from_numpy(trees.predict(side.features.numpy())) for side in sides)
        rows.append([side.scores - limit for side, limit in zip(sides, limits, strict=True)])
    return [torch.stack(excess) for excess in zip(*rows, strict=True)]
