"""The shadow-model attack of Shokri et al., and the forgetting rate that is read from it."""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.seeding import branch, stream
from erasure.core.values import Meaning, MetricValue, NotComputableError
from erasure.evaluation.attacks.values import attack_auc, balanced_accuracy
from erasure.evaluation.measure import measure_value
from erasure.evaluation.signals import require_multiclass

TOP = 3
"""How many of the largest probabilities the attack sees."""

HELD_BACK = 4
"""One shadow in so many, at least one, is held back to see how good the attack is."""

LOSS_LIMIT = 100.0
"""Where the loss is cut off before the attack sees it."""

BATCH = 256
RATE = 0.005
"""Samples per step, and learning rate, of the attack's training."""


@dataclass(frozen=True, kw_only=True)
class MIAShokri:
    """How many forget samples that an attack detected before are no longer detected.

    The attack is one small network for all classes. It sees the three largest probabilities, the
    loss and the class of a sample and learns, from what shadow models make of retain and held-out
    samples, whether the model was trained on it. With ``B_T`` and ``B_F`` forget samples called
    members and non-members under the original, and ``A_F`` called non-members under the subject,
    the forgetting rate is ``(A_F - B_F) / B_T``: 1 if every sample that had been detected is not
    any more. The rate of the retrained model is what to compare with, and the rate of a poor
    attack says nothing: its quality on shadows that were held back is measured beside it.

    Args:
        n_attack: Most pairs of shadow and sample per side that train the attack.
        hidden: Width of the attack's hidden layer.
        epochs: Passes over its training pairs.
        min_n: Fewest forget samples, and fewest pairs per side, for which a value is given.

    Notes:
        Shadows are trained on random halves of all samples; of what the attack learns from, each
        sample is thus in about half of them. None of the samples it is trained on is in the
        forget set.

    References:
        R. Shokri et al., "Membership Inference Attacks Against Machine Learning Models",
        S&P 2017, arXiv:1610.05820; Z. Ma et al., "Learn to Forget: Machine Unlearning via Neuron
        Masking", TDSC 2022, arXiv:2003.10933: the forgetting rate.
    """

    n_attack: int = 10_000
    hidden: int = 64
    epochs: int = 20
    min_n: int = 10

    def __post_init__(self) -> None:
        for name, least in (("n_attack", 10), ("hidden", 1), ("epochs", 1), ("min_n", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")

    @property
    def needs_roles(self) -> tuple[str, ...]:
        """The reference models it cannot do without."""
        return ("shadow",)

    def values(self, parts: Parts) -> Values:
        attack = f"the shadow-model attack, trained on retain and {parts.heldout} samples"
        lost = f"Share of the forget samples found before that are no longer found by {attack}."
        auc = f"Area under the ROC curve of {attack}, on shadows held back."
        accuracy = f"Balanced accuracy of {attack}, on shadows held back."
        meanings = {
            "mia_shokri/forgetting_rate": Meaning(
                direction="max", low=-torch.inf, high=1.0, ideal=1.0, description=lost
            ),
            "mia_shokri/attack_auc": share("info", auc),
            "mia_shokri/attack_balanced_accuracy": share("info", accuracy),
        }
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        require_multiclass(ctx)
        if len(ctx.targets("forget")) < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        shadows = _shadows(ctx)
        kept = max(1, len(shadows.seen) // HELD_BACK)
        if len(shadows.seen) == kept:
            raise NotComputableError("skipped", "missing_second_shadow")
        generator = stream(ctx.seed, "mia_shokri")
        # The first shadows are held back, the others train.
        pairs = self._pairs(shadows, slice(kept, None), branch(generator, "train"))
        network = fit_attack_network(
            *pairs, hidden=self.hidden, epochs=self.epochs, generator=branch(generator, "fit")
        )
        features, label = self._pairs(shadows, slice(kept), branch(generator, "test"))
        rate = measure_value(partial(_rate, network=network), ctx)
        return {"mia_shokri/forgetting_rate": rate, **_quality(network(features), label)}

    def _pairs(
        self, shadows: "_Shadows", which: slice, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw equally many pairs of both sides: features ``(2m, F)`` and labels ``(2m,)`` bool.

        A pair is one of the shadows and a sample.
        """
        logits, seen = shadows.logits[which], shadows.seen[which]
        # Rows (shadow, sample) of either side; below, those who saw the sample come first.
        sides = [side.nonzero() for side in (seen, ~seen)]
        size = min(self.n_attack, *(len(side) for side in sides))
        if size < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        drawn = [s[torch.randperm(len(s), generator=generator)[:size]] for s in sides]
        model, sample = torch.cat(drawn).unbind(dim=1)
        features = _features(logits[model, sample], shadows.targets[sample])
        return features, torch.arange(2 * size) < size


def forgetting_rate(before: Tensor, after: Tensor) -> float:
    """Return ``(A_F - B_F) / B_T`` of who was, and who is, called a member, ``(n,)`` bool each.

    Raises:
        NotComputableError: If nobody was.
    """
    detected = int(before.sum().item())
    if detected == 0:
        raise NotComputableError("degenerate", "no_detected_members")
    # A_F - B_F = B_T - A_T, for who is not called a member is called a non-member.
    return (detected - int(after.sum().item())) / detected


def _rate(ctx: EvalContext, network: "AttackNetwork") -> MetricValue:
    targets = ctx.targets("forget")
    # Log-odds above 0: called a member.
    before = network(_features(ctx.logits("forget", "original"), targets)) > 0
    after = network(_features(ctx.logits("forget"), targets)) > 0
    extras = {
        "detected_before": int(before.sum().item()),
        "detected_after": int(after.sum().item()),
    }
    return MetricValue(value=forgetting_rate(before, after), n=len(targets), extras=extras)


def _quality(scores: Tensor, label: Tensor) -> dict[str, MetricValue]:
    members, nonmembers = scores[label], scores[~label]
    rates = (members > 0).double().mean().item(), (nonmembers <= 0).double().mean().item()
    accuracy = balanced_accuracy(*rates, len(members), len(nonmembers))
    return {
        "mia_shokri/attack_auc": attack_auc(members, nonmembers),
        "mia_shokri/attack_balanced_accuracy": accuracy,
    }


class _Shadows(NamedTuple):
    """Logits ``(N, n, C)``, which samples each model saw ``(N, n)`` bool, and labels ``(n,)``."""

    logits: Tensor
    seen: Tensor
    targets: Tensor


def _shadows(ctx: EvalContext) -> _Shadows:
    """Return what shadows make of retain and held-out samples."""
    if ctx.references is None:
        raise NotComputableError("skipped", "missing_shadow")
    parts = ("retain", ctx.heldout)
    logits = torch.cat([ctx.stack("shadow", part) for part in parts], dim=1)
    views = [ctx.sampled(part) for part in parts]
    seen = torch.cat([ctx.references.trained_on("shadow", view).cpu() for view in views], dim=1)
    return _Shadows(logits, seen, torch.cat([view.targets.cpu() for view in views]))


def _features(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the largest probabilities, the loss and the class of samples, ``(n, F)`` float32."""
    log_p = F.log_softmax(logits.double(), dim=-1)
    num_classes = logits.shape[-1]
    top = log_p.exp().topk(min(TOP, num_classes), dim=-1).values
    loss = -log_p.gather(-1, targets.unsqueeze(-1)).clamp_min(-LOSS_LIMIT)
    # The class as a one-hot row: one network in place of one for each class.
    return torch.cat([top, loss, F.one_hot(targets, num_classes)], dim=-1).float()


@dataclass(frozen=True)
class AttackNetwork:
    """One hidden layer between standardized features and the log-odds of being a member.

    Args:
        centre: Subtracted from features, ``(D,)``.
        scale: Features are divided by it, ``(D,)``.
        weights: First layer, its bias, second layer, its bias.
    """

    centre: Tensor
    scale: Tensor
    weights: tuple[Tensor, Tensor, Tensor, Tensor]

    def __call__(self, features: Tensor) -> Tensor:
        """Return the log-odds ``(n,)`` of being a member for features ``(n, D)``."""
        first, first_bias, second, second_bias = self.weights
        hidden = torch.relu((features - self.centre) / self.scale @ first + first_bias)
        return (hidden @ second + second_bias).squeeze(-1)


def fit_attack_network(
    features: Tensor, label: Tensor, *, hidden: int, epochs: int, generator: Generator
) -> AttackNetwork:
    """Train a network by Adam on the cross-entropy; every draw comes from ``generator``.

    Args:
        features: ``(n, D)`` float32.
        label: Who is a member, ``(n,)`` bool.
        hidden: Width of the hidden layer.
        epochs: Passes over the samples.
        generator: Initial weights and order of samples.
    """
    scale = features.std(dim=0)
    width = features.shape[1]
    weights = (
        # Plain tensors: modules would take their weights from the global generator.
        _normal(width, hidden, generator),
        torch.zeros(hidden, requires_grad=True),
        _normal(hidden, 1, generator),
        torch.zeros(1, requires_grad=True),
    )
    # A class that no pair is of is a constant feature and stays 0.
    network = AttackNetwork(features.mean(dim=0), scale.where(scale > 0, 1.0), weights)
    optimizer = torch.optim.Adam(weights, lr=RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(features), generator=generator).split(BATCH):
            loss = F.binary_cross_entropy_with_logits(network(features[rows]), label[rows].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for weight in weights:
        weight.requires_grad_(False)
    return network


def _normal(fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """Return weights ``(fan_in, fan_out)`` of variance ``2 / fan_in``, for rectified units."""
    drawn = torch.randn(fan_in, fan_out, generator=generator) * math.sqrt(2 / fan_in)
    return drawn.requires_grad_()
