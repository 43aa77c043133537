"""Whether the parts of a trial fit together, asked before anything is trained."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from erasure.config.schema import Config
from erasure.core.context import evaluating
from erasure.core.errors import ConfigError
from erasure.evaluation.evaluator import Evaluator
from erasure.training.many.ensemble import obstacle
from erasure.trial.objective import Objective
from erasure.trial.trial import Trial


def check_reference(parts: Trial) -> None:
    """Refuse reference models that cannot be made, before anything is trained."""
    asked = parts.reference
    if parts.evaluator.needs_references and asked.size == 0:
        raise ConfigError(
            "references.size must be at least 2 for this evaluator, which compares many models of "
            "one recipe: 32 to try it, 64 as a rule, 128 to publish; got 0 (evaluator=standard "
            "needs none)"
        )
    if asked.engine == "stacked" and (asked.size or asked.shadows):
        reason = unstackable(parts)
        if reason:
            raise ConfigError(f"references.engine must not be stacked here: {reason}")
    if asked.shadows and parts.remaining.pool is not parts.pool:
        raise ConfigError(
            "references.shadows must be 0 for a split that deletes what it forgets from the data, "
            f"got {asked.shadows}"
        )


def check_keys(plain: Mapping[str, Any]) -> None:
    """Refuse settings at the top that nobody reads."""
    known = [field.name for field in fields(Config)]
    for key in plain:
        if key not in known:
            raise ConfigError(f"{key} is not a setting; allowed: {', '.join(known)}")


def check_objective(objective: Objective, evaluator: Evaluator) -> None:
    """Refuse to read out what is not measured."""
    measured = [
        name for metric in evaluator.metrics.values() for name in metric.schema(evaluator.heldout)
    ]
    for name in objective.names:
        if name not in measured:
            where = "metrics" if name in objective.metrics else "constraints"
            raise ConfigError(
                f"objective.{where}[{name}] must be measured by the evaluator, which has "
                f"{', '.join(sorted(measured))}"
            )


def check_model(parts: Trial) -> None:
    """Run two samples through a fresh model; what does not fit shows here, not in an epoch."""
    model = parts.fresh()
    inputs = parts.pool.fetch(parts.indices.train[:2].to(parts.pool.targets.device))
    with evaluating(model), torch.no_grad():
        try:
            logits = model(inputs)
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
            samples = f"samples of shape {parts.pool.input_shape}, as this data set has"
            if isinstance(inputs, Mapping):
                samples = f"texts or graphs, as this data set has ({', '.join(inputs)})"
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"model does not accept {samples}: {reason}") from error
    expected = (len(parts.indices.train[:2]), parts.pool.num_classes)
    if tuple(logits.shape) != expected:
        raise ConfigError(
            f"model must return logits of shape {expected} for two samples and "
            f"{parts.pool.num_classes} classes, got {tuple(logits.shape)}"
        )


def unstackable(parts: Trial) -> str:
    """Return why several models of a trial cannot be trained as one, or nothing."""
    if parts.recipe["precision"] != "32":
        return "precision is not 32"
    inputs = parts.pool.fetch(parts.indices.train[:1].to(parts.pool.targets.device))
    if not isinstance(inputs, torch.Tensor):
        return "samples are not single tensors"
    return obstacle(parts.fresh(), parts.trainer)
