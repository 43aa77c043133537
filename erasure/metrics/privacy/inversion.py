"""Inputs that a model gives away of a forgotten class."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from erasure.core.context import EvalContext, evaluating
from erasure.core.errors import ConfigError
from erasure.core.pool import Inputs
from erasure.core.seeding import stream
from erasure.core.values import Meaning, MetricValue, NotComputableError
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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - of made inputs
        return {
            "inversion/similarity": Meaning(
                direction="closer_to_gold",
                low=-1.0,
                high=1.0,
                description="Cosine of the change that makes a forgotten class out of the mean "
                "input with the way to its samples.",
            ),
            "inversion/reidentified": Meaning(
                direction="closer_to_gold",
                low=0.0,
                high=1.0,
                description="Share of inputs made of a forgotten class that the retrained model "
                "finds nearest to it.",
            ),
            "inversion/distance": Meaning(
                direction="closer_to_gold",
                low=0.0,
                high=math.inf,
                description="Distance of made inputs from forget samples over that of held-out "
                "samples of the class.",
            ),
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        ctx.logits("forget")  # refuses a missing or broken model
        classes = self._classes(ctx)
        judge = _Judge.of(ctx, classes)
        known = _known(ctx, classes)
        made = self._made(ctx, classes, known)
        found = _features(ctx.models["gold"], made).double().cpu()
        labels = classes.repeat_interleave(self.starts)
        extras = {
            "classes": classes.tolist(),
            "chance": 1 / len(judge.names),
            "independent": ctx.subject != "gold",
        }
        right = judge.names[torch.cdist(found, judge.means).argmin(dim=1)] == labels
        share = proportion(int(right.sum().item()), len(right), extras)
        ratios = torch.stack(
            [judge.distance(found[labels == label], label) for label in classes.tolist()]
        )
        if not ratios.isfinite().all():
            distance = MetricValue(
                value=math.nan, status="degenerate", reason="forget_samples_coincide"
            )
        else:
            distance = MetricValue(value=ratios.mean().item(), n=len(right), extras=extras)
        return {
            "inversion/similarity": mean(_cosines(ctx, made, labels, known), low=-1.0, high=1.0),
            "inversion/reidentified": share,
            "inversion/distance": distance,
        }

    def _classes(self, ctx: EvalContext) -> Tensor:
        require_multiclass(ctx)
        first: Inputs = ctx.splits.forget.pool.fetch(ctx.splits.forget.index[:1])
        if not (isinstance(first, Tensor) and first.is_floating_point()):
            raise NotComputableError("skipped", "needs_continuous_inputs")
        if "gold" not in ctx.models:
            raise NotComputableError("skipped", "missing_gold")
        present: Tensor = ctx.targets("forget").unique()
        found = present[~torch.isin(present, ctx.targets("retain"))]
        if len(found) == 0:
            raise NotComputableError("skipped", "no_forgotten_class")
        counts = ctx.targets(ctx.heldout).bincount(minlength=ctx.num_classes)[found]
        if int(counts.min().item()) < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        return found

    def _made(self, ctx: EvalContext, classes: Tensor, known: tuple[Tensor, Tensor]) -> Tensor:
        """Return inputs ``(classes * starts, ...)`` in which the subject sees the classes."""
        centre, spread = known
        labels = classes.repeat_interleave(self.starts).to(centre.device)
        generator = stream(ctx.seed, "inversion")
        drawn = torch.randn(len(labels), *centre.shape[1:], generator=generator).to(centre)
        model, loss = ctx.models[ctx.subject], ctx.task_type.loss

        def objective(units: Tensor) -> Tensor:  # a sum: inputs do not depend on one another
            misfit: Tensor = loss(model(centre + spread * units), labels).sum()
            penalty: Tensor = units.square().flatten(1).mean(dim=1).sum()
            return misfit + self.decay * penalty

        found: Tensor = centre + spread * self.search(model, self.noise * drawn, objective)
        return found


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
        found = {part: ctx.features(part, "gold").double() for part in parts}
        targets = {part: ctx.targets(part) for part in parts}
        names = targets[ctx.heldout].unique()
        means = torch.stack([found[ctx.heldout][targets[ctx.heldout] == n].mean(0) for n in names])
        sides = (
            {label: found[part][targets[part] == label] for label in classes.tolist()}
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


def _cosines(
    ctx: EvalContext, made: Tensor, labels: Tensor, known: tuple[Tensor, Tensor]
) -> Tensor:
    """Return, for each made input, the cosine with the way to the samples of its class."""
    centre, spread = (value.double().cpu().flatten() for value in known)
    moved = spread > 0
    found = torch.zeros(len(made), dtype=torch.float64)
    for label in labels.unique().tolist():
        view = ctx.splits.forget.take(ctx.targets("forget") == label)
        total = torch.stack([b.inputs.double().sum(0).cpu() for b in view.batches(ctx.batch_size)])
        real = (total.sum(dim=0).flatten() / len(view) - centre)[moved] / spread[moved]
        ours = made[labels.to(made.device) == label].double().cpu().flatten(1) - centre
        found[labels == label] = torch.cosine_similarity(ours[:, moved] / spread[moved], real, -1)
    return found.clamp(-1.0, 1.0)


def _known(ctx: EvalContext, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, each ``(1, ...)``, of held-out samples of other classes."""
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
    spread = (square / len(view) - centre.square()).clamp_min(0).sqrt()
    device = view.index.device
    return centre.float().to(device), spread.float().to(device)


def _features(model: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(model), torch.inference_mode(), recorded_features(model) as recorded:
        model(inputs)
    return recorded.value.flatten(1).clone()
