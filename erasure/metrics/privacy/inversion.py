"""Inputs that a model gives away of a forgotten class."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, amount, share
from erasure.core.modes import evaluating
from erasure.core.pool import Inputs
from erasure.core.seeding import stream
from erasure.core.values import Meaning, MetricValue, NotComputableError, not_computed
from erasure.evaluation.signals import require_multiclass
from erasure.evaluation.statistics.estimates import mean, proportion
from erasure.models.layers import recorded_features
from erasure.training.noise import NoiseSearch


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """Whether inputs of a forgotten class can be made from a model, judged by another one.

    From noise around the mean of held-out samples of other classes, inputs are changed until the
    model sees a forgotten class in them, with a penalty on their distance from that mean.
    ``similarity`` is the cosine of their change with that which leads to the mean forget sample
    of the class, each number in units of its deviation. For the other two the retrained model,
    which had no part in this, judges by the features that go into its head: ``distance`` is
    that of an input from its nearest forget sample of the class, over the same for held-out
    samples of the class, near 1 for one as close as a real one; ``reidentified`` is the share
    that is nearest to the mean of held-out samples of that class, one in C by chance. A forgotten
    class is one that only the forget set has, as with ``split=class``.

    Args:
        search: How inputs are found.
        starts: Inputs per class.
        decay: Strength of the penalty, on mean squares in units of each input's deviation.
        noise: Size of the noise at the start, in the same units.
        min_n: Fewest held-out samples of a class.

    Notes:
        Works where inputs are one tensor of floating-point numbers. No model is changed. For the
        retrained model itself the judge is not independent, and the extras say so. To a judge
        that does not know the class, an input that is like no other class can be nearest to it:
        ``reidentified`` means little where the retrained model has it as well.

    References:
        M. Fredrikson et al., "Model Inversion Attacks that Exploit Confidence Information and
        Basic Countermeasures", CCS 2015; H. Hu et al., "Learn What You Want to Unlearn", S&P
        2024, arXiv:2404.03233.
    """

    needs_features = True
    runs_models = True

    search: NoiseSearch = field(default_factory=lambda: NoiseSearch(lr=0.05, steps=200))
    starts: int = 16
    decay: float = 0.1
    noise: float = 0.5
    min_n: int = 5

    def __post_init__(self) -> None:
        for name, least in (("starts", 1), ("min_n", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")
        for name in ("decay", "noise"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")

    def values(self, parts: Parts) -> Values:
        similarity = (
            "Cosine of the change that makes a forgotten class out of the mean input with the "
            "way to its samples."
        )
        reidentified = (
            "Share of inputs made of a forgotten class that the retrained model finds nearest "
            "to it."
        )
        ratio = (
            "Distance of made inputs from forget samples over that of held-out samples of the "
            "class."
        )
        meanings = {
            "inversion/similarity": Meaning(
                direction="closer_to_gold", low=-1.0, high=1.0, description=similarity
            ),
            "inversion/reidentified": share("closer_to_gold", reidentified),
            "inversion/distance": amount("closer_to_gold", ratio),
        }
        return Values(meanings, self._judged)

    def _judged(self, ctx: EvalContext) -> dict[str, MetricValue]:
        ctx.logits("forget")  # refuses a missing or broken model
        classes = self._classes(ctx)
        judge = _Judge.of(ctx, classes)
        background = _background(ctx, classes)
        made = self._made(ctx, classes, background)
        labels = classes.repeat_interleave(self.starts)
        extras = {
            "classes": classes.tolist(),
            "chance": 1 / len(judge.names),
            "independent": ctx.subject != "gold",
        }
        features = _features(ctx.models["gold"], made).double().cpu()
        cosines = _cosines(ctx, made, labels, background)
        return {
            "inversion/similarity": mean(cosines, low=-1.0, high=1.0),
            "inversion/reidentified": _reidentified(judge, features, labels, extras),
            "inversion/distance": _mean_distance(judge, features, labels, extras),
        }

    def _classes(self, ctx: EvalContext) -> Tensor:
        require_multiclass(ctx)
        first: Inputs = ctx.splits.forget.pool.fetch(ctx.splits.forget.index[:1])
        if not (isinstance(first, Tensor) and first.is_floating_point()):
            raise NotComputableError("skipped", "needs_continuous_inputs")
        if "gold" not in ctx.models:
            raise NotComputableError("skipped", "missing_gold")
        present: Tensor = ctx.targets("forget").unique()
        forgotten = present[~torch.isin(present, ctx.targets("retain"))]
        if len(forgotten) == 0:
            raise NotComputableError("skipped", "no_forgotten_class")
        counts = ctx.targets(ctx.heldout).bincount(minlength=ctx.num_classes)[forgotten]
        if int(counts.min().item()) < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        return forgotten

    def _made(self, ctx: EvalContext, classes: Tensor, background: "_Background") -> Tensor:
        """Return inputs ``(classes * starts, ...)`` in which the subject sees the classes."""
        centre, spread = background
        labels = classes.repeat_interleave(self.starts).to(centre.device)
        generator = stream(ctx.seed, "inversion")
        # Searched in units of deviations: one rate suits all numbers, and constant ones stay.
        drawn = torch.randn(len(labels), *centre.shape[1:], generator=generator).to(centre)
        model, loss = ctx.models[ctx.subject], ctx.task_type.loss

        def objective(units: Tensor) -> Tensor:  # a sum: inputs do not depend on one another
            misfit: Tensor = loss(model(centre + spread * units), labels).sum()
            penalty: Tensor = units.square().flatten(1).mean(dim=1).sum()
            return misfit + self.decay * penalty

        units: Tensor = self.search(model, self.noise * drawn, objective)
        return centre + spread * units


class _Judge(NamedTuple):
    """What a model makes of real samples.

    Args:
        names: Classes that occur, ``(K,)``.
        means: Their mean features, ``(K, D)``.
        forget: Features of forget samples, by class.
        heldout: Features of held-out samples, by class.
    """

    names: Tensor
    means: Tensor
    forget: Mapping[int, Tensor]
    heldout: Mapping[int, Tensor]

    @classmethod
    def of(cls, ctx: EvalContext, classes: Tensor) -> "_Judge":
        parts = ("forget", ctx.heldout)
        features = {part: ctx.features(part, "gold").double() for part in parts}
        targets = {part: ctx.targets(part) for part in parts}
        heldout, labels = features[ctx.heldout], targets[ctx.heldout]
        names = labels.unique()
        means = torch.stack([heldout[labels == name].mean(0) for name in names])
        sides = (
            {label: features[part][targets[part] == label] for label in classes.tolist()}
            for part in parts
        )
        return cls(names, means, *sides)

    def distance(self, made: Tensor, label: int) -> Tensor:
        """Return the distance of made inputs from the forget samples over that of real ones."""
        made_distance, real_distance = (
            torch.cdist(rows, self.forget[label]).amin(dim=1).mean()
            for rows in (made, self.heldout[label])
        )
        return made_distance / real_distance


class _Background(NamedTuple):
    """Mean and deviation of inputs, each ``(1, ...)`` float32."""

    centre: Tensor
    spread: Tensor


def _background(ctx: EvalContext, classes: Tensor) -> _Background:
    """Return what inputs of other classes than ``classes`` look like, by held-out samples."""
    view = ctx.splits.part(ctx.heldout)
    view = view.take(~torch.isin(view.targets, classes.to(view.targets)))
    if len(view) < 2:
        raise NotComputableError("degenerate", "too_few")
    total = square = torch.zeros((), dtype=torch.float64)
    for batch in view.batches(ctx.batch_size):
        inputs = batch.inputs.double().cpu()
        total = total + inputs.sum(dim=0, keepdim=True)
        square = square + inputs.square().sum(dim=0, keepdim=True)
    centre = total / len(view)
    # Rounding can leave a constant number a variance just below 0.
    spread = (square / len(view) - centre.square()).clamp_min(0).sqrt()
    device = view.index.device
    return _Background(centre.float().to(device), spread.float().to(device))


def _features(model: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(model), torch.inference_mode(), recorded_features(model) as recorded:
        model(inputs)
    return recorded.value.flatten(1).clone()  # out of inference mode: an ordinary tensor


def _cosines(ctx: EvalContext, made: Tensor, labels: Tensor, background: _Background) -> Tensor:
    """Return, for each made input, the cosine with the way to the samples of its class."""
    centre, spread = (value.double().cpu().flatten() for value in background)
    # A number without spread, such as a border that is always black, has no unit.
    varies = spread > 0
    cosines = torch.zeros(len(made), dtype=torch.float64)
    for label in labels.unique().tolist():
        view = ctx.splits.forget.take(ctx.targets("forget") == label)
        total = torch.stack([b.inputs.double().sum(0).cpu() for b in view.batches(ctx.batch_size)])
        real = (total.sum(dim=0).flatten() / len(view) - centre)[varies] / spread[varies]
        change = made[labels.to(made.device) == label].double().cpu().flatten(1) - centre
        units = change[:, varies] / spread[varies]
        cosines[labels == label] = torch.cosine_similarity(units, real, -1)
    return cosines.clamp(-1.0, 1.0)


def _reidentified(
    judge: _Judge, features: Tensor, labels: Tensor, extras: Mapping[str, Any]
) -> MetricValue:
    nearest = judge.names[torch.cdist(features, judge.means).argmin(dim=1)]
    return proportion(int((nearest == labels).sum().item()), len(labels), extras)


def _mean_distance(
    judge: _Judge, features: Tensor, labels: Tensor, extras: Mapping[str, Any]
) -> MetricValue:
    ratios = torch.stack(
        [judge.distance(features[labels == label], label) for label in labels.unique().tolist()]
    )
    if not ratios.isfinite().all():
        return not_computed("degenerate", "forget_samples_coincide")
    return MetricValue(value=ratios.mean().item(), n=len(labels), extras=extras)
