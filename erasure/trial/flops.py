"""What one sample costs in floating-point operations, counted outside of everything timed."""

from torch import nn

from erasure.training.flops import step_flops
from erasure.training.sharded import Ensemble
from erasure.trial.trial import Trial

BATCH_SIZE = 64
"""Samples in the batch whose operations are counted, if the trainer does not say how many."""


def count_flops(trial: Trial, original: nn.Module) -> dict[str, float]:
    """Return the floating-point operations of a forward and backward pass, as costs.

    ``sample_flops`` are those of the whole model per sample, ``training_sample_flops`` those of
    what a sample trains: of an ensemble it is one member. ``step_flops`` are those per step,
    where they do not depend on the number of samples. Call it outside of everything timed.
    """
    size = getattr(getattr(trial.trainer, "fit", None), "batch_size", BATCH_SIZE)
    whole = trained = step_flops(original, trial.data.retain, size)
    if isinstance(original, Ensemble):
        trained = step_flops(original.get_submodule("members.0"), trial.data.retain, size)
    return {
        "sample_flops": whole.per_sample,
        "training_sample_flops": trained.per_sample,
        "step_flops": trained.per_step,
    }
