"""Whether the parts of a trial fit together, asked before anything is trained."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from erasure.config.schema import Config
from erasure.core.errors import ConfigError
from erasure.core.modes import evaluating
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import meanings
from erasure.training.many.ensemble import obstacle
from erasure.trial.objective import Objective
from erasure.trial.trial import Trial


def check(trial: Trial) -> None:
    """Build all parts of a trial and refuse those that do not fit together.

    Raises:
        ErasureError: With one message that names the setting and what is allowed.
    """
    check_keys(trial.settings)
    _ = trial.device
    check_objective(trial.objective, trial.evaluator)
    _ = trial.unlearner, trial.trainer, trial.data
    check_model(trial)
    check_references(trial)


def check_references(trial: Trial) -> None:
    """Refuse reference models that cannot be made, before anything is trained."""
    settings = trial.references
    if trial.evaluator.needs_references and settings.size == 0:
        raise ConfigError(
            "references.size must be at least 2 for this evaluator, which compares many models of "
            "one recipe: 32 to try it, 64 as a rule, 128 to publish; got 0 (evaluator=standard "
            "needs none)"
        )
    if settings.engine == "stacked" and (settings.size or settings.shadows):
        reason = unstackable(trial)
        if reason:
            raise ConfigError(f"references.engine must not be stacked here: {reason}")
    if settings.shadows and trial.data.deletes:
        raise ConfigError(
            "references.shadows must be 0 for a split that deletes what it forgets from the data, "
            f"got {settings.shadows}"
        )


def check_keys(plain: Mapping[str, Any]) -> None:
    """Refuse settings at the top that nobody reads."""
    allowed_keys = [field.name for field in fields(Config)]
    for key in plain:
        if key not in allowed_keys:
            raise ConfigError(f"{key} is not a setting; allowed: {', '.join(allowed_keys)}")


def check_objective(objective: Objective, evaluator: Evaluator) -> None:
    """Refuse to read out what is not measured."""
    measured = [
        name
        for metric in evaluator.metrics.values()
        for name in meanings(metric, evaluator.heldout)
    ]
    for name in objective.names:
        if name not in measured:
            key = "metrics" if name in objective.metrics else "constraints"
            raise ConfigError(
                f"objective.{key}[{name}] must be measured by the evaluator, which has "
                f"{', '.join(sorted(measured))}"
            )


def check_model(trial: Trial) -> None:
    """Run two samples through a fresh model; what does not fit shows here, not in an epoch."""
    model = trial.fresh()
    # indices stay on the CPU, the pool may be elsewhere
    inputs = trial.data.pool.fetch(trial.data.indices.train[:2].to(trial.data.pool.targets.device))
    with evaluating(model), torch.no_grad():
        try:
            logits = model(inputs)
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
            samples = f"samples of shape {trial.data.pool.input_shape}, as this data set has"
            if isinstance(inputs, Mapping):
                samples = f"texts or graphs, as this data set has ({', '.join(inputs)})"
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"model does not accept {samples}: {reason}") from error
    expected = (len(trial.data.indices.train[:2]), trial.data.pool.num_classes)
    if tuple(logits.shape) != expected:
        raise ConfigError(
            f"model must return logits of shape {expected} for two samples and "
            f"{trial.data.pool.num_classes} classes, got {tuple(logits.shape)}"
        )


def unstackable(trial: Trial) -> str:
    """Return why several models of a trial cannot be trained as one, or nothing."""
    if trial.recipe["precision"] != "32":
        return "precision is not 32"
    inputs = trial.data.pool.fetch(trial.data.indices.train[:1].to(trial.data.pool.targets.device))
    if not isinstance(inputs, torch.Tensor):
        return "samples are not single tensors"
    return obstacle(trial.fresh(), trial.trainer)
