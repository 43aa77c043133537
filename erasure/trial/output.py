"""What the stages of a trial hand over to its record."""

from collections.abc import Mapping
from dataclasses import dataclass

from erasure.core.context import EvalContext
from erasure.core.splits import DataSplits
from erasure.evaluation.evaluation import Evaluation


@dataclass(frozen=True, kw_only=True)
class TrialOutput:
    """What a trial made.

    Args:
        splits: The data, all of it.
        ctx: Models, the data that were evaluated, and cached logits.
        evaluation: The measurements.
        keys: Store keys of the models used, by role.
        trained: Number of models that had to be trained.
    """

    splits: DataSplits
    ctx: EvalContext
    evaluation: Evaluation
    keys: Mapping[str, str]
    trained: int
