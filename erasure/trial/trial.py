"""One trial: what it is made of before anything is trained, and what it made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from erasure.core.context import EvalContext
from erasure.core.pool import Pool
from erasure.core.protocols import Trainer
from erasure.core.splits import DataSplits, SplitIndices, View
from erasure.core.task import Fresh, Unlearner
from erasure.evaluation.evaluation import Evaluation
from erasure.evaluation.evaluator import Evaluator
from erasure.trial.objective import Objective
from erasure.trial.references.settings import ReferenceSettings

DATA_TAG = "store.data"
"""Tag of a trial that holds the fingerprint of its data."""


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The seed of each stage."""

    split: int
    train: int
    unlearn: int
    evaluate: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Everything a trial is made of, before anything is trained.

    Args:
        data_fingerprint: Hash of the data as they were loaded and split.
        pool: The data the original is trained on, on ``device``.
        indices: The split.
        remaining: The training data once the forget set is gone; gold is trained on them.
        evaluated: The data, of the same samples, that models are evaluated on.
        probes: Held-out samples that show what was done to the forget set before training.
        fresh_of: Returns what builds the model with the initial weights of a seed.
        recipe: What a trained model's weights depend on besides data and seed.
        method: What an unlearned model depends on besides the original, data and seed.
        trainer: Makes original and gold.
        unlearner: The method.
        evaluator: The metrics.
        objective: What a sweep reads out.
        device: Where everything runs.
        seeds: One per stage.
        reference_settings: How many further models there are for attacks and nulls.
    """

    data_fingerprint: str
    pool: Pool
    indices: SplitIndices
    remaining: View
    evaluated: Pool
    probes: Mapping[str, View]
    fresh_of: Callable[[int], Fresh]
    recipe: Mapping[str, Any]
    method: Mapping[str, Any]
    trainer: Trainer
    unlearner: Unlearner
    evaluator: Evaluator
    objective: Objective
    device: torch.device
    seeds: Seeds
    reference_settings: ReferenceSettings

    @property
    def fresh(self) -> Fresh:
        """Builds the model with its initial weights."""
        return self.fresh_of(self.seeds.train)

    def seeded(self, seed: int) -> "Trial":
        """Return the same trial with another seed for training and unlearning."""
        return replace(self, seeds=replace(self.seeds, train=seed, unlearn=seed))


@dataclass(frozen=True, kw_only=True)
class TrialOutput:
    """What the stages of a trial hand over to its record.

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
