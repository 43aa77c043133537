"""Membership inference by an attacker who sees the model before and after unlearning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.references import ReferenceRole
from erasure.core.seeding import stream
from erasure.core.values import Meaning, MetricValue, NotComputableError
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import attack_auc, attack_auc_over_folds
from erasure.evaluation.statistics.estimates import mean, proportion
from erasure.training.logistic import fit_logistic, log_odds

FOLDS = 10

Features = Literal["sorted_diff", "direct_diff", "sorted_concat", "l2"]
TrainOn = Literal["trial", "references", "shadow"]


@dataclass(frozen=True, kw_only=True)
class TwoModelMIA:
    """Tell forgotten samples from unseen ones by both the original's and a model's outputs.

    The attack is a logistic regression on what both models make of a sample. ``auc`` is that of
    its scores, each from a regression that has not seen the sample. ``deg_count`` is the share of
    samples about which it is more certain of the truth than the same attack on the original
    alone, and ``deg_rate`` how much more on average: what the unlearning itself gave away. A
    retrained model is not immune, it is what to compare with. The original has no values.

    Args:
        features: Of the probabilities: ``sorted_diff``, before minus after, with classes in the
            order of the original's probabilities; ``direct_diff``, the same in the order of
            classes, by which a linear rule finds something only where few classes are
            forgotten; ``sorted_concat``, both side by side; or ``l2``, the norm of the
            difference.
        train_on: ``trial`` trains on nine tenths of the samples to attack the last tenth, which
            an attacker could who knows so many members; ``references`` on what pairs of reference
            models make of these nine tenths; ``shadow`` on pairs of shadows, each of which has
            forgotten samples of its own, as the authors do.
        n_attack: Most training pairs per side.
        min_n: Fewest samples per side, at least ten.

    References:
        M. Chen et al., "When Machine Unlearning Jeopardizes Privacy", CCS 2021, arXiv:2005.02205.
    """

    subjects: ClassVar[tuple[Who, ...]] = ("unlearned", "gold")

    features: Features = "sorted_diff"
    train_on: TrainOn = "trial"
    n_attack: int = 10_000
    min_n: int = FOLDS

    def __post_init__(self) -> None:
        for name, options in (("features", Features), ("train_on", TrainOn)):
            if getattr(self, name) not in get_args(options):
                allowed = ", ".join(get_args(options))
                raise ConfigError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        for name in ("n_attack", "min_n"):
            if getattr(self, name) < FOLDS:
                raise ConfigError(f"{name} must be >= {FOLDS}, got {getattr(self, name)}")

    @property
    def needs_roles(self) -> tuple[str, ...]:
        """The reference models it cannot do without."""
        needed = {"trial": (), "references": ("unlearned", "gold")}
        return needed.get(self.train_on, ("shadow", "shadow_unlearned"))

    def values(self, parts: Parts) -> Values:
        attack = f"the attack with two models, forget against {parts.heldout} samples"
        auc = f"Area under the ROC curve of {attack}."
        count = f"Of {attack}: share of samples of which it is more certain than with the "
        rate = f"Of {attack}: mean certainty gained over that with the original alone."
        meanings = {
            "two_model_mia/auc": share("closer_to_gold", auc),
            "two_model_mia/deg_count": share("closer_to_gold", f"{count}original alone."),
            "two_model_mia/deg_rate": Meaning(
                direction="closer_to_gold", low=-1.0, high=1.0, description=rate
            ),
        }
        return Values(meanings, self._attacked)

    def _attacked(self, ctx: EvalContext) -> dict[str, MetricValue]:
        chosen = non_members(ctx, min_n=self.min_n).chosen
        targets = self._targets(ctx, chosen)
        pairs = self._pairs(ctx, chosen, targets)
        both = _attack(pairs, targets, self._both)
        alone = _attack(pairs, targets, _alone)
        member = targets.member
        count, rate = degradation(_certainty(both, member), _certainty(alone, member))
        return {
            "two_model_mia/auc": self._auc(both, targets),
            "two_model_mia/deg_count": count,
            "two_model_mia/deg_rate": rate,
        }

    def _auc(self, scores: Tensor, targets: "_Pairs") -> MetricValue:
        member = targets.member
        extras = {"train_on": self.train_on, "features": self.features}
        if self.train_on == "shadow":  # one attack for all targets, which it has never seen
            return attack_auc(scores[member], scores[~member], extras)
        return attack_auc_over_folds(scores, member, targets.fold, FOLDS, extras)

    def _targets(self, ctx: EvalContext, chosen: Tensor) -> "_Pairs":
        before, after = (
            torch.cat([ctx.logits("forget", who), ctx.logits(ctx.heldout, who)[chosen]])
            for who in ("original", ctx.subject)
        )
        member = torch.arange(len(before)) < len(ctx.targets("forget"))
        fold = _folds(ctx, member)
        return _Pairs(_probabilities(ctx, before), _probabilities(ctx, after), member, fold)

    def _pairs(self, ctx: EvalContext, chosen: Tensor, targets: "_Pairs") -> "_Pairs":
        if self.train_on == "trial":
            return targets
        if self.train_on == "references":
            return self._few(ctx, _of_references(ctx, chosen, targets))
        return self._few(ctx, _of_shadows(ctx))

    def _few(self, ctx: EvalContext, pairs: "_Pairs") -> "_Pairs":
        """Draw at most ``n_attack`` pairs of each side."""
        generator = stream(ctx.seed, "two_model_mia", "pairs")
        kept = []
        for side in (pairs.member, ~pairs.member):
            rows = side.nonzero().flatten()
            if len(rows) < self.min_n:
                raise NotComputableError("degenerate", "too_few")
            order = torch.randperm(len(rows), generator=generator)[: self.n_attack]
            kept.append(rows[order])
        drawn = torch.cat(kept)
        return _Pairs(*(column[drawn] for column in pairs))

    def _both(self, pairs: "_Pairs") -> Tensor:
        difference = pairs.before - pairs.after
        if self.features == "direct_diff":
            return difference
        if self.features == "l2":
            return difference.square().sum(dim=-1, keepdim=True).sqrt()
        # One order for both models, that of the original's probabilities.
        order = pairs.before.argsort(dim=-1, descending=True, stable=True)
        if self.features == "sorted_concat":
            sides = (pairs.before.gather(-1, order), pairs.after.gather(-1, order))
            return torch.cat(sides, dim=-1)
        return difference.gather(-1, order)


class _Pairs(NamedTuple):
    """Outputs of two models: probabilities ``(n, C)`` float64, labels ``(n,)``, folds ``(n,)``.

    The fold -1 is that of what no target can be confused with: it trains the attack on every fold.
    """

    before: Tensor
    after: Tensor
    member: Tensor
    fold: Tensor


_View = Callable[[_Pairs], Tensor]


def degradation(both: Tensor, alone: Tensor) -> tuple[MetricValue, MetricValue]:
    """Return the share of samples that lose privacy by the second model, and the mean loss.

    Args:
        both: The attacker's certainty of the truth with two models, ``(n,)``.
        alone: The same with one, ``(n,)``.
    """
    gain = both.double() - alone.double()
    return proportion(int((gain > 0).sum().item()), len(gain)), mean(gain, low=-1.0, high=1.0)


def _attack(pairs: _Pairs, targets: _Pairs, view: _View) -> Tensor:
    """Return the log-odds ``(n,)`` of the targets of having been forgotten, out of fold."""
    # (FOLDS, n): row k trains without fold k, and with fold -1 in every row.
    inside = pairs.fold != torch.arange(FOLDS).unsqueeze(-1)
    weights = torch.zeros(inside.shape, dtype=torch.float64)
    for side in (pairs.member, ~pairs.member):  # both sides weigh the same
        chosen = inside & side
        weights += chosen.double() / (2 * chosen.double().mean(dim=1, keepdim=True))
    fitted = fit_logistic(view(pairs), pairs.member, weights)
    # Row k is fitted without fold k: each target is scored by the row of its own fold.
    scores = log_odds(view(targets), fitted)
    return scores.gather(0, targets.fold.unsqueeze(0)).squeeze(0)


def _alone(pairs: _Pairs) -> Tensor:
    return pairs.before.sort(dim=-1, descending=True).values


def _certainty(scores: Tensor, member: Tensor) -> Tensor:
    return torch.sigmoid(scores.where(member, -scores))


def _probabilities(ctx: EvalContext, logits: Tensor) -> Tensor:
    if ctx.task_type.name == "multilabel":
        return logits.double().sigmoid()
    return F.softmax(logits.double(), dim=-1)


def _folds(ctx: EvalContext, member: Tensor) -> Tensor:
    """Return a fold for each sample; every fold has its share of both sides."""
    generator = stream(ctx.seed, "two_model_mia", "folds")
    fold = torch.empty(len(member), dtype=torch.int64)
    for side in (member, ~member):
        rows = side.nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator)
        fold[rows[order]] = torch.arange(len(rows)) % FOLDS
    return fold


def _of_references(ctx: EvalContext, chosen: Tensor, targets: _Pairs) -> _Pairs:
    role: ReferenceRole = ctx.subject
    if ctx.references is None or not ctx.references.size(role):
        raise NotComputableError("skipped", f"missing_references_of_{role}")
    before, after = (
        torch.cat([ctx.stack(who, "forget"), ctx.stack(who, ctx.heldout)[:, chosen]], dim=1)
        for who in ("original", role)
    )
    count = min(len(before), len(after))
    return _Pairs(
        # Model after model, as repeat lays out sides and folds.
        _probabilities(ctx, before[:count].flatten(0, 1)),
        _probabilities(ctx, after[:count].flatten(0, 1)),
        targets.member.repeat(count),
        targets.fold.repeat(count),
    )


def _of_shadows(ctx: EvalContext) -> _Pairs:
    references = ctx.references
    if references is None or not references.size("shadow_unlearned"):
        raise NotComputableError("skipped", "missing_shadow_unlearned")
    parts = ("forget", "retain", ctx.heldout)
    before, after = (
        torch.cat([ctx.stack(role, part) for part in parts], dim=1)
        for role in ("shadow", "shadow_unlearned")
    )
    views = [ctx.sampled(part) for part in parts]
    seen = torch.cat([references.trained_on("shadow", view).cpu() for view in views], dim=1)
    forgotten = torch.cat(
        [references.forgotten_by("shadow_unlearned", view).cpu() for view in views], dim=1
    )
    # What a shadow was trained on and has not forgotten is neither a member nor unseen.
    used = forgotten | ~seen
    return _Pairs(
        _probabilities(ctx, before[used]),
        _probabilities(ctx, after[used]),
        forgotten[used],
        torch.full((int(used.sum().item()),), -1),
    )
