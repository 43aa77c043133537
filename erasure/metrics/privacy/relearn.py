"""How quickly a model learns again what it has forgotten."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError, DivergedError
from erasure.core.metric import Parts, Values, amount, share
from erasure.core.pool import Batch
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.statistics.estimates import mean_of_draws
from erasure.training.fit import Fit, Loop
from erasure.training.passes import Pass
from erasure.training.scoring import accuracy

Points = Sequence[tuple[int, float]]
"""Steps and the accuracy after them."""


@dataclass(frozen=True, kw_only=True)
class Relearn:
    """Steps until a model is again nearly as good on forgotten samples as the original was.

    A *copy* of the model is trained on one half of the forget set by an optimizer of its own,
    which knows nothing of earlier training, and is judged on the other half. ``relearn/steps`` is
    the number of optimizer steps until its accuracy there is at least ``1 - alpha`` times that of
    the original. ``relearn/area`` is the mean accuracy over the first ``horizon`` steps, for which
    it does not matter whether the target was ever reached. Both are means over several draws of
    halves and of the order of batches, which are the same for every model. A model that learns
    faster than the retrained one has kept something, one that learns slower was damaged.

    Args:
        optimizer: Builds the optimizer from parameters.
        batch_size: Samples per step.
        alpha: Share of the original's accuracy that may be missing, in [0, 1).
        judge: ``held_out`` trains on one half and judges on the other; ``same`` does both on the
            whole forget set, as older work does.
        eval_every: Steps between two looks at the accuracy.
        max_steps: Steps after which a model that is not there yet counts as if it were; the
            extras say in how many draws (``censored``), and with any the mean has no interval.
            A multiple of ``eval_every``.
        horizon: Steps that the area covers, a multiple of ``eval_every``.
        repeats: Number of draws.
        min_n: Fewest samples in each half.

    Notes:
        Curves are in the extras, those of a network that never saw data too (of the original).

    References:
        A. Golatkar et al., "Eternal Sunshine of the Spotless Net", CVPR 2020, arXiv:1911.04933;
        A. Tarun et al., "Fast Yet Effective Machine Unlearning", TNNLS 2023, arXiv:2111.08947.
    """

    runs_models = True

    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    batch_size: int = 64
    alpha: float = 0.05
    judge: Literal["held_out", "same"] = "held_out"
    eval_every: int = 5
    max_steps: int = 500
    horizon: int = 100
    repeats: int = 3
    min_n: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise ConfigError(f"alpha must be in [0, 1), got {self.alpha}")
        if self.judge not in ("held_out", "same"):
            raise ConfigError(f"judge must be held_out or same, got {self.judge!r}")
        for name, least in (("eval_every", 1), ("repeats", 1), ("min_n", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")
        for name in ("max_steps", "horizon"):
            if getattr(self, name) < 1 or getattr(self, name) % self.eval_every:
                raise ConfigError(
                    f"{name} must be a positive multiple of eval_every={self.eval_every}, got "
                    f"{getattr(self, name)}"
                )
        if self.horizon > self.max_steps:
            raise ConfigError(f"horizon must be <= max_steps={self.max_steps}, got {self.horizon}")
        # Built for its checks of the optimizer and the batch size.
        self._fit()

    def values(self, parts: Parts) -> Values:
        steps = (
            "Optimizer steps until the forget set is nearly as well predicted as by the original."
        )
        area = (
            f"Mean accuracy on the forget set over the first {self.horizon} steps of learning it "
            "again."
        )
        meanings = {
            "relearn/steps": amount(
                "closer_to_gold", steps, unit="steps", high=float(self.max_steps)
            ),
            "relearn/area": share("closer_to_gold", area),
        }
        return Values(meanings, self._relearned)

    def _relearned(self, ctx: EvalContext) -> dict[str, MetricValue]:
        ctx.logits("forget")  # refuses a missing or broken model
        draws = [self._draw(ctx, number) for number in range(self.repeats)]
        curves = [self._curve(ctx, ctx.models[ctx.subject], draw) for draw in draws]
        targets = [draw.target for draw in draws]
        needed = [_first(points, target) for points, target in zip(curves, targets, strict=True)]
        steps = torch.tensor([self.max_steps if n is None else n for n in needed])
        areas = torch.tensor([self._area(points) for points in curves])
        extras = {
            "curves": curves,
            "targets": targets,
            "steps": steps.tolist(),
            "censored": needed.count(None),
            **self._untrained(ctx, draws),
        }
        needed_steps = mean_of_draws(steps, low=0.0, high=self.max_steps)
        if None in needed:  # a draw that never got there took more steps than were counted
            needed_steps = replace(needed_steps, ci_low=math.nan, ci_high=math.nan)
        return {
            "relearn/steps": replace(needed_steps, extras=extras),
            "relearn/area": replace(
                mean_of_draws(areas, low=0.0, high=1.0), extras={"areas": areas.tolist()}
            ),
        }

    def _fit(self) -> Fit:
        return Fit(optimizer=self.optimizer, epochs=1, batch_size=self.batch_size, augment=False)

    def _draw(self, ctx: EvalContext, number: int) -> "_Draw":
        forget, path = ctx.splits.forget, ("relearn", str(number))
        taught = judged = torch.arange(len(forget))
        if self.judge == "held_out":
            order = torch.randperm(len(forget), generator=stream(ctx.seed, *path, "halves"))
            judged, taught = order[: len(order) // 2], order[len(order) // 2 :]
        if min(len(judged), len(taught)) < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        right = ctx.task_type.correct(ctx.logits("forget", "original"), ctx.targets("forget"))
        target = (1 - self.alpha) * right[judged].double().mean().item()
        return _Draw(forget.take(taught), forget.take(judged), target, path)

    def _curve(self, ctx: EvalContext, model: nn.Module, draw: "_Draw") -> Points:
        """Train a copy of ``model`` and return its accuracy from step 0 on."""
        pupil = copy.deepcopy(model)
        # Steps are for schedules, which this loop has none of.
        loop = self._fit().loop(pupil, 0)
        order = stream(ctx.seed, *draw.path, "order")
        batches = _endless(draw.taught, self.batch_size, order)
        points = [(0, accuracy(pupil, draw.judged, ctx.batch_size))]
        with isolated(ctx.seed, *draw.path, "layers"):
            while not self._finished(points, draw.target):
                self._advance(loop, batches, ctx)
                reached = accuracy(pupil, draw.judged, ctx.batch_size)
                points.append((points[-1][0] + self.eval_every, reached))
        return points

    def _advance(self, loop: Loop, batches: Iterator[Batch], ctx: EvalContext) -> None:
        def objective(model: nn.Module, batch: Batch) -> Tensor:
            return ctx.task_type.loss(model(batch.inputs), batch.targets).mean()

        stretch = Pass(self.eval_every, lambda: islice(batches, self.eval_every))
        try:
            loop.run(stretch, objective)
        except DivergedError as error:
            raise NotComputableError("degenerate", "diverged") from error

    def _finished(self, points: Points, target: float) -> bool:
        step = points[-1][0]
        # The area needs every step up to the horizon, also of a model that was there at once.
        reached = step >= self.horizon and _first(points, target) is not None
        return reached or step >= self.max_steps

    def _area(self, points: Points) -> float:
        steps, values = zip(*(point for point in points if point[0] <= self.horizon), strict=True)
        # The horizon is a multiple of eval_every and so the last of the points.
        area = torch.trapezoid(torch.tensor(values).double(), torch.tensor(steps).double())
        return area.item() / self.horizon

    def _untrained(self, ctx: EvalContext, draws: Sequence["_Draw"]) -> dict[str, list[Points]]:
        if ctx.subject != "original" or ctx.fresh is None:
            return {}
        blank = ctx.fresh("relearn")
        return {"untrained_curves": [self._curve(ctx, blank, draw) for draw in draws]}


class _Draw(NamedTuple):
    """A draw of halves of the forget set.

    Args:
        taught: Samples that a copy is trained on.
        judged: Samples that it is judged on.
        target: Accuracy on them at which it has relearned.
        path: Of the streams that the draw takes its random numbers from.
    """

    taught: View
    judged: View
    target: float
    path: tuple[str, ...]


def _endless(view: View, size: int, generator: Generator) -> Iterator[Batch]:
    while True:
        yield from view.batches(size, generator=generator)


def _first(points: Points, target: float) -> int | None:
    """Return the first step at which the target is reached."""
    # An accuracy equal to the target may be computed a rounding error below it.
    return next((step for step, reached in points if reached >= target - 1e-9), None)
