"""What unlearning cost, beside what retraining costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from erasure.core.context import EvalContext, Who
from erasure.core.metric import Compute, Parts, Value, amount
from erasure.core.values import Direction, MetricValue, NotComputableError

BYTES_PER_MB = 1e6
FLOPS_PER_GFLOP = 1e9

ENERGY_FLOOR_SECONDS = 5.0
"""Runs shorter than this hardly move an energy counter."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time, memory, energy, floating-point operations and data passes of the unlearning run.

    They belong to the run that made the unlearned model; for any other subject there is nothing
    to measure. Times and energy are comparable on equal hardware only.

    Operations are not counted while the run is timed. Afterwards those of one forward and
    backward pass of a batch are, divided by its samples, and multiplied by how often samples were
    read: each read counts as one such pass. That is exact for plain training, too much where a
    method only looks at outputs, and too little where several models see the same batch. Where a
    batch costs the same whatever its size, as with the nodes of one graph, optimizer steps are
    counted instead of reads. A ratio of operations does not depend on the hardware.

    Notes:
        What was read back from the store took memory and energy elsewhere, which is not known.
        The counter of a GPU counts every process, and a run of less than five seconds hardly
        moves it; the extras say so.
    """

    subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {f"cost/{name}": value for name, value in _VALUES.items()}


def _noted(direction: Direction, name: str, description: str, unit: str = "") -> Value:
    """Declare a number that the trial noted under ``name``."""
    return _computed(direction, partial(EvalContext.cost, name=name), description, unit)


def _computed(direction: Direction, compute: Compute, description: str, unit: str = "") -> Value:
    meaning = amount(direction, f"{description} Of the unlearned model only.", unit=unit)
    return Value(meaning, compute)


def _ratio(ctx: EvalContext, above: str, below: str) -> float:
    if ctx.cost(below) == 0:
        raise NotComputableError("degenerate", f"zero_{below}")
    return ctx.cost(above) / ctx.cost(below)


def _megabytes(ctx: EvalContext, name: str) -> float:
    return ctx.cost(name) / BYTES_PER_MB


def _energy(ctx: EvalContext) -> MetricValue:
    joules = ctx.cost("energy_joules")
    short = ctx.cost("unlearn_seconds") < ENERGY_FLOOR_SECONDS
    return MetricValue(value=joules, extras={"below_measurement_floor": short})


def _unlearn_gflops(ctx: EvalContext) -> float:
    # What the method read by itself, what models that it trained read, and steps of batches that
    # cost the same whatever their size: where steps are counted, operations of a sample are 0.
    read = ctx.cost("sample_reads") * ctx.cost("sample_flops")
    trained = ctx.cost("trained_reads") * ctx.cost("training_sample_flops")
    steps = ctx.cost("optimizer_steps") * ctx.cost("step_flops")
    return (read + trained + steps) / FLOPS_PER_GFLOP


def _retrain_gflops(ctx: EvalContext) -> float:
    read = ctx.cost("retrain_reads") * ctx.cost("training_sample_flops")
    return (read + ctx.cost("retrain_steps") * ctx.cost("step_flops")) / FLOPS_PER_GFLOP


def _flop_ratio(ctx: EvalContext) -> float:
    unlearning, retraining = _unlearn_gflops(ctx), _retrain_gflops(ctx)
    if retraining == 0:
        raise NotComputableError("degenerate", "no_counted_operations")
    return unlearning / retraining


_VALUES: Mapping[str, Value] = {
    "unlearn_seconds": _noted(
        "min", "unlearn_seconds", "Wall time of the unlearning method.", "s"
    ),
    "original_seconds": _noted(
        "info", "original_seconds", "Training time of the original model.", "s"
    ),
    "retrain_seconds": _noted(
        "info", "retrain_seconds", "Training time of the retrained model.", "s"
    ),
    "speedup": _computed(
        "max",
        partial(_ratio, above="retrain_seconds", below="unlearn_seconds"),
        "Retraining time over unlearning time.",
    ),
    "share_of_retraining": _computed(
        "min",
        partial(_ratio, above="unlearn_seconds", below="retrain_seconds"),
        "Unlearning time over retraining time.",
    ),
    "cpu_seconds": _noted("min", "cpu_seconds", "Time of the process on all cores.", "s"),
    "reference_seconds": _noted(
        "info", "reference_seconds", "Time to make all reference models.", "s"
    ),
    "peak_memory_mb": _computed(
        "min", partial(_megabytes, name="peak_memory_bytes"), "Peak memory while unlearning.", "MB"
    ),
    "peak_memory_reserved_mb": _computed(
        "min",
        partial(_megabytes, name="reserved_memory_bytes"),
        "Peak memory that the allocator took from the GPU while unlearning.",
        "MB",
    ),
    "energy_joules": _computed("min", _energy, "Energy of the GPU while unlearning.", "J"),
    "unlearn_gflops": _computed(
        "min",
        _unlearn_gflops,
        "Forward and backward operations of all samples read.",
        "GFLOP",
    ),
    "retrain_gflops": _computed("info", _retrain_gflops, "The same for retraining.", "GFLOP"),
    "flop_ratio": _computed("min", _flop_ratio, "Operations over those of retraining."),
    "forget_passes": _noted(
        "min", "forget_passes", "Mean reads per forget sample while unlearning."
    ),
    "retain_passes": _noted(
        "min", "retain_passes", "Mean reads per retain sample while unlearning."
    ),
    "optimizer_steps": _noted("min", "optimizer_steps", "Optimizer steps while unlearning."),
}
