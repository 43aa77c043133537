"""Membership inference by the predicted label alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values
from erasure.core.modes import evaluating
from erasure.core.seeding import stream
from erasure.core.splits import View
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import attack_meanings, attack_values
from erasure.evaluation.signals import require_multiclass


@dataclass(frozen=True, kw_only=True)
class LabelOnly:
    r"""How well the predicted labels of noisy copies tell forgotten samples from unseen ones.

    The attacker sees labels, no probabilities, as behind an interface that returns nothing else.
    The score of a sample is how robust its label is to Gaussian noise: the share of copies
    :math:`x + \sigma s \epsilon`, over all :math:`\sigma` in ``sizes`` and ``copies`` draws each,
    that are predicted to be of its class, and 0 if the sample itself is not. It grows with the
    distance from the decision boundary, for which it stands; s is the root mean square deviation
    of held-out inputs. Members are the forget set, non-members held-out samples, see
    :func:`.non_members`. A high score means member; chance is an AUC of 0.5.

    Args:
        sizes: Standard deviations of the noise in units of s, above 0. One that changes no label,
            or all of them, tells nothing.
        copies: Noisy copies per sample and size, at least 1.
        min_n: Fewest samples per side for which a value is given, at least 2.

    Notes:
        The paper chooses one size with the help of a shadow model; here the shares of several
        are averaged, so that none is needed and the score has fewer ties. A score counts copies,
        and ties remain: where more non-members than allowed share the highest score, the rate
        at a low false-positive rate is 0, and larger ``sizes`` or more ``copies`` tell them
        apart. All models see the same noise. Intervals are over samples, as of all attacks. Costs
        ``len(sizes) * copies`` passes over the forget set and the non-members for each model, and
        works where inputs are one tensor of floating-point numbers and the labels are classes.

    References:
        C. A. Choquette-Choo, F. Tramèr, N. Carlini and N. Papernot, "Label-Only Membership
        Inference Attacks", ICML 2021, arXiv:2007.14321.
    """

    runs_models = True

    sizes: tuple[float, ...] = (0.5, 1.0, 2.0)
    copies: int = 16
    min_n: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if not self.sizes or not all(0 < size < math.inf for size in self.sizes):
            raise ConfigError(
                f"sizes must be one or more finite numbers > 0, got {list(self.sizes)}"
            )
        for name, least in (("copies", 1), ("min_n", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")

    def values(self, parts: Parts) -> Values:
        attack = (
            f"the label-only attack by noise, forget against {parts.heldout} samples of the same "
            "classes"
        )
        return Values(attack_meanings("label_only", attack), self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        require_multiclass(ctx)
        chosen = non_members(ctx, min_n=self.min_n).chosen
        everyone = torch.ones(len(ctx.ids("forget")), dtype=torch.bool)
        scale = _deviation(ctx)
        members = self._scores(ctx, "forget", everyone, scale)
        nonmembers = self._scores(ctx, ctx.heldout, chosen, scale)
        extras = {"noise": [size * scale for size in self.sizes]}
        return attack_values("label_only", members, nonmembers, extras)

    def _scores(self, ctx: EvalContext, part: str, chosen: Tensor, scale: float) -> Tensor:
        """Return the scores ``(n,)`` of the chosen samples of a part."""
        # Refuses a missing or broken model; and the labels without noise cost no further pass.
        right = ctx.logits(part).argmax(dim=-1) == ctx.targets(part)
        view = ctx.splits.part(part).take(chosen)
        noise = [size * scale for size in self.sizes]
        generator = stream(ctx.seed, "label_only", part)
        return robustness(ctx, view, noise, self.copies, generator) * right[chosen]


def robustness(
    ctx: EvalContext, view: View, noise: Sequence[float], copies: int, generator: Generator
) -> Tensor:
    """Return the share of noisy copies that the subject gives the label of the sample.

    Args:
        ctx: The evaluation.
        view: The samples.
        noise: Standard deviations, in units of the inputs.
        copies: Copies of each sample for each of them.
        generator: Draws the noise.

    Returns:
        Shares ``(n,)`` in [0, 1], float64, on the CPU.
    """
    model, shares = ctx.models[ctx.subject], []
    with evaluating(model), torch.inference_mode():
        for batch in view.batches(ctx.batch_size):
            hits = torch.zeros(len(batch.targets), dtype=torch.float64)
            for deviation in noise:
                for _ in range(copies):
                    drawn = torch.randn(batch.inputs.shape, generator=generator)
                    labels = model(batch.inputs + deviation * drawn.to(batch.inputs)).argmax(-1)
                    hits += (labels == batch.targets).cpu()
            shares.append(hits / (len(noise) * copies))
    return torch.cat(shares)


def _deviation(ctx: EvalContext) -> float:
    """Return the root mean square deviation of held-out inputs from their mean.

    Raises:
        NotComputableError: If inputs are not one tensor of floating-point numbers, or do not vary.
    """
    total = square = torch.zeros((), dtype=torch.float64)
    view = ctx.splits.part(ctx.heldout)
    for batch in view.batches(ctx.batch_size):
        if not (isinstance(batch.inputs, Tensor) and batch.inputs.is_floating_point()):
            raise NotComputableError("skipped", "needs_continuous_inputs")
        inputs = batch.inputs.double().cpu()
        total, square = total + inputs.sum(dim=0), square + inputs.square().sum(dim=0)
    variances = (square / len(view) - (total / len(view)).square()).clamp_min(0.0)
    deviation = math.sqrt(variances.mean().item())
    if deviation == 0:
        raise NotComputableError("degenerate", "constant_inputs")
    return deviation
