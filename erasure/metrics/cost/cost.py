"""What unlearning cost, beside what retraining costs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Direction, Meaning, MetricValue, NotComputableError, measure
from erasure.evaluation.costs import fact

BYTES_PER_MB = 1e6
FLOPS_PER_GFLOP = 1e9

ENERGY_FLOOR_SECONDS = 5.0
"""Runs shorter than this hardly move an energy counter."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time, memory, energy, floating-point operations and data passes of the unlearning run.

    They belong to the run that made the unlearned model; for any other subject there is nothing
    to measure and the mapping is empty. Times and energy are comparable on equal hardware only.

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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - costs know no part
        return {
            "cost/unlearn_seconds": _schema("min", "Wall time of the unlearning method.", "s"),
            "cost/original_seconds": _schema("info", "Training time of the original model.", "s"),
            "cost/retrain_seconds": _schema("info", "Training time of the retrained model.", "s"),
            "cost/speedup": _schema("max", "Retraining time over unlearning time."),
            "cost/share_of_retraining": _schema("min", "Unlearning time over retraining time."),
            "cost/cpu_seconds": _schema("min", "Time of the process on all cores.", "s"),
            "cost/reference_seconds": _schema("info", "Time to make all reference models.", "s"),
            "cost/peak_memory_mb": _schema("min", "Peak memory while unlearning.", "MB"),
            "cost/peak_memory_reserved_mb": _schema(
                "min", "Peak memory that the allocator took from the GPU while unlearning.", "MB"
            ),
            "cost/energy_joules": _schema("min", "Energy of the GPU while unlearning.", "J"),
            "cost/unlearn_gflops": _schema(
                "min", "Forward and backward operations of all samples read.", "GFLOP"
            ),
            "cost/retrain_gflops": _schema("info", "The same for retraining.", "GFLOP"),
            "cost/flop_ratio": _schema("min", "Operations over those of retraining."),
            "cost/forget_passes": _schema("min", "Mean reads per forget sample while unlearning."),
            "cost/retain_passes": _schema("min", "Mean reads per retain sample while unlearning."),
            "cost/optimizer_steps": _schema("min", "Optimizer steps while unlearning."),
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        if ctx.subject != "unlearned":
            return {}
        return {name: measure(partial(compute, ctx)) for name, compute in _COSTS.items()}


def _schema(direction: Direction, description: str, unit: str = "") -> Meaning:
    return Meaning(
        direction=direction,
        low=0.0,
        high=math.inf,
        description=f"{description} Of the unlearned model only.",
        unit=unit,
    )


def _ratio(ctx: EvalContext, above: str, below: str) -> float:
    upper, lower = fact(ctx, above), fact(ctx, below)
    if lower == 0:
        raise NotComputableError("degenerate", f"zero_{below}")
    return upper / lower


def _megabytes(ctx: EvalContext, name: str) -> float:
    return fact(ctx, name) / BYTES_PER_MB


def _energy(ctx: EvalContext) -> MetricValue:
    joules = fact(ctx, "energy_joules")
    short = fact(ctx, "unlearn_seconds") < ENERGY_FLOOR_SECONDS
    return MetricValue(value=joules, extras={"below_measurement_floor": short})


def _unlearn_gflops(ctx: EvalContext) -> float:
    read = fact(ctx, "sample_reads") * fact(ctx, "sample_flops")
    trained = fact(ctx, "trained_reads") * fact(ctx, "training_sample_flops")
    steps = fact(ctx, "optimizer_steps") * fact(ctx, "step_flops")
    return (read + trained + steps) / FLOPS_PER_GFLOP


def _retrain_gflops(ctx: EvalContext) -> float:
    read = fact(ctx, "retrain_reads") * fact(ctx, "training_sample_flops")
    return (read + fact(ctx, "retrain_steps") * fact(ctx, "step_flops")) / FLOPS_PER_GFLOP


def _flop_ratio(ctx: EvalContext) -> float:
    ours, theirs = _unlearn_gflops(ctx), _retrain_gflops(ctx)
    if theirs == 0:
        raise NotComputableError("degenerate", "no_counted_operations")
    return ours / theirs


_COSTS: Mapping[str, Callable[[EvalContext], MetricValue | float]] = {
    "cost/unlearn_seconds": partial(fact, name="unlearn_seconds"),
    "cost/original_seconds": partial(fact, name="original_seconds"),
    "cost/retrain_seconds": partial(fact, name="retrain_seconds"),
    "cost/speedup": partial(_ratio, above="retrain_seconds", below="unlearn_seconds"),
    "cost/share_of_retraining": partial(_ratio, above="unlearn_seconds", below="retrain_seconds"),
    "cost/cpu_seconds": partial(fact, name="cpu_seconds"),
    "cost/reference_seconds": partial(fact, name="reference_seconds"),
    "cost/peak_memory_mb": partial(_megabytes, name="peak_memory_bytes"),
    "cost/peak_memory_reserved_mb": partial(_megabytes, name="reserved_memory_bytes"),
    "cost/energy_joules": _energy,
    "cost/unlearn_gflops": _unlearn_gflops,
    "cost/retrain_gflops": _retrain_gflops,
    "cost/flop_ratio": _flop_ratio,
    "cost/forget_passes": partial(fact, name="forget_passes"),
    "cost/retain_passes": partial(fact, name="retain_passes"),
    "cost/optimizer_steps": partial(fact, name="optimizer_steps"),
}
