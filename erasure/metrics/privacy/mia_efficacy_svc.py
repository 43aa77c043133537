"""MIA efficacy: how much of the forget set an attack takes for unseen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, share
from erasure.core.seeding import branch, stream
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.values import balanced_accuracy
from erasure.evaluation.signals import MemberSignal, log_probs, member_score, require_multiclass
from erasure.evaluation.statistics.estimates import proportion
from erasure.evaluation.statistics.roc import best_balanced_accuracy, roc

SCALARS: tuple[MemberSignal, ...] = get_args(MemberSignal)
PROBABILITIES = "probabilities"
FEATURES = (*SCALARS, PROBABILITIES)

PENALTY = 3.0
"""``C`` of the support vector machine, as the authors set it."""


@dataclass(frozen=True, kw_only=True)
class MIAEfficacySVC:
    """Share of the forget set that an attack, trained on retain against held-out, calls unseen.

    This is a true-negative rate and no accuracy: it has no anchor at 0.5, means something beside
    the retrained model only, and depends on how many samples train the attack. That number is
    ``n_attack`` per side, at most what there is, drawn by the evaluation seed, the same for every
    model; it is in the extras.

    Two implementations, which have names of their own because their values must not be compared.
    ``svc`` is the authors' form: a support vector machine with a Gaussian kernel, ``C=3`` and
    ``gamma="auto"`` for each feature. ``threshold`` puts the best single threshold in its place,
    which takes milliseconds; its names begin with ``mia_efficacy_svc/threshold/``.

    Args:
        features: What the attack sees, one attack for each. ``confidence`` is the number that
            papers report as MIA; ``probabilities`` is for ``svc`` only. ``modified_entropy`` is
            that of the paper: the authors' code computes something else.
        impl: The implementation.
        n_attack: Samples per side that train the attack.
        training_privacy: Also measure the attack itself: trained on half of its samples, the mean
            of TPR and TNR on the other half, ``.../training_privacy/<feature>``.
        min_n: Fewest samples per side that may train the attack.

    Notes:
        An attack whose training samples all look alike guesses: 0.5, flagged as
        ``constant_score``.

    References:
        J. Jia et al., "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023,
        arXiv:2304.04934; C. Fan et al., "SalUn", ICLR 2024, arXiv:2310.12508.
    """

    features: Sequence[str] = ("confidence",)
    impl: Literal["svc", "threshold"] = "svc"
    n_attack: int = 5000
    training_privacy: bool = False
    min_n: int = 20

    def __post_init__(self) -> None:
        if self.impl not in ("svc", "threshold"):
            raise ConfigError(f"impl must be svc or threshold, got {self.impl!r}")
        names, allowed = list(self.features), FEATURES if self.impl == "svc" else SCALARS
        if not names or not set(names) <= set(allowed) or len(set(names)) < len(names):
            raise ConfigError(
                f"features must be distinct ones of {', '.join(allowed)} for impl={self.impl}, "
                f"got {names}"
            )
        if self.min_n < 2:
            raise ConfigError(f"min_n must be >= 2, got {self.min_n}")
        if self.n_attack < self.min_n:
            raise ConfigError(f"n_attack must be >= min_n, got {self.n_attack} < {self.min_n}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        how = "support vector machine" if self.impl == "svc" else "single threshold"
        attack = f"a {how}, trained on retain against {parts.heldout} samples,"
        values = {}
        for feature, name in self._names("").items():
            text = f"Share of the forget set that {attack} takes for unseen by {_spaced(feature)}."
            compute = partial(self._efficacy, feature=feature)
            values[name] = Value(share("closer_to_gold", text), compute)
        if self.training_privacy:
            for feature, name in self._names("training_privacy/").items():
                text = f"Balanced accuracy of {attack} on further such samples, by "
                meaning = share("closer_to_gold", f"{text}{_spaced(feature)}.")
                values[name] = Value(meaning, partial(self._privacy, feature=feature))
        return values

    def _names(self, kind: str) -> dict[str, str]:
        prefix = "mia_efficacy_svc/" + ("threshold/" if self.impl == "threshold" else "")
        return {feature: f"{prefix}{kind}{feature}" for feature in self.features}

    def _efficacy(self, ctx: EvalContext, feature: str) -> MetricValue:
        retain, heldout = self._training(ctx, feature)
        forget = _rows(ctx, "forget", feature)
        extras = {"n_attack": len(retain), "impl": self.impl, "constant_score": False}
        if _constant(retain, heldout):
            return MetricValue(value=0.5, n=len(forget), extras={**extras, "constant_score": True})
        unseen = ~self._attack(retain, heldout, forget)
        return proportion(int(unseen.sum().item()), len(forget), extras)

    def _privacy(self, ctx: EvalContext, feature: str) -> MetricValue:
        retain, heldout = self._training(ctx, feature)
        half = len(retain) // 2
        if _constant(retain[:half], heldout[:half]):
            rest = len(retain) - half
            return balanced_accuracy(0.5, 0.5, rest, rest, {"constant_score": True})
        sides = (retain[half:], heldout[half:])
        accused = [self._attack(retain[:half], heldout[:half], side) for side in sides]
        tpr, tnr = accused[0].double().mean().item(), (~accused[1]).double().mean().item()
        return balanced_accuracy(tpr, tnr, len(sides[0]), len(sides[1]), {"n_attack": half})

    def _training(self, ctx: EvalContext, feature: str) -> tuple[Tensor, Tensor]:
        """Return equally many rows of retain and of held-out samples, in random order."""
        retain, heldout = (_rows(ctx, part, feature) for part in ("retain", ctx.heldout))
        size = min(self.n_attack, len(retain), len(heldout))
        if size < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        # The draw is the same for every feature, implementation and model.
        generator = stream(ctx.seed, "mia_efficacy_svc")
        return _drawn(retain, size, branch(generator, "retain")), _drawn(
            heldout, size, branch(generator, "heldout")
        )

    def _attack(self, members: Tensor, nonmembers: Tensor, rows: Tensor) -> Tensor:
        """Return which ``rows`` (n, d) are called members, ``(n,)`` bool."""
        if self.impl == "svc":
            return _machine(members, nonmembers, rows)
        curve = roc(members.squeeze(1), nonmembers.squeeze(1))
        # A score at the threshold counts as reaching it, as it does in the curve.
        return rows.squeeze(1) >= best_balanced_accuracy(curve)[1]


def _rows(ctx: EvalContext, part: str, feature: str) -> Tensor:
    """Return a feature of every sample of a part, ``(n, d)`` float64."""
    require_multiclass(ctx)
    if feature == PROBABILITIES:
        return log_probs(ctx, part).exp()
    # The settings allow nothing else; picking it from the constants tells the type checker so.
    (signal,) = (scalar for scalar in SCALARS if scalar == feature)
    return member_score(ctx, part, signal).unsqueeze(1)


def _drawn(rows: Tensor, size: int, generator: Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:size]]


def _constant(members: Tensor, nonmembers: Tensor) -> bool:
    rows = torch.cat([members, nonmembers])
    return bool((rows == rows[0]).all())


def _machine(members: Tensor, nonmembers: Tensor, rows: Tensor) -> Tensor:
    from sklearn.svm import SVC

    train = torch.cat([members, nonmembers])
    label = (torch.arange(len(train)) < len(members)).double()
    # Equal rows share a weight: the same machine, and a feature with few values is quick.
    labelled = torch.cat([train, label.unsqueeze(1)], dim=1)
    distinct, counts = labelled.unique(dim=0, return_counts=True)
    values, value_of_row = rows.unique(dim=0, return_inverse=True)
    # It draws nothing, but without a seed it would ask the global generator for one.
    machine = SVC(C=PENALTY, gamma="auto", kernel="rbf", random_state=0)
    machine.fit(distinct[:, :-1].numpy(), distinct[:, -1].numpy(), counts.double().numpy())
    return torch.from_numpy(machine.predict(values.numpy()) > 0.5)[value_of_row]


def _spaced(feature: str) -> str:
    return feature.replace("_", " ")
