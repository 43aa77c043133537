"""Several methods in a row, each on the model that the one before returned."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.seeding import branch
from erasure.core.task import Report, Unlearner, UnlearningTask, computed
from erasure.unlearners.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """Run ``steps`` in order: a step unlearns what the step before made of the original.

    All steps see the same forget, retain and validation sets. The first step that is not
    :class:`~erasure.unlearners.identity.Identity` gets the task as it is, so that a cascade of
    one method, before or after identity, is that method bit for bit. A later step draws from a
    generator of its own, derived from the task's and the name of the step; and it remembers
    nothing across trials, because ``task.cached`` speaks of the original model, which is not what
    a later step works on.

    Args:
        steps: Methods by name, at least one. A curve is called after its step and itself.

    Passes:
        Those of its steps.

    Deviations:
        The first step that is not identity gets the task as it is; later ones a generator named
        after their step and no cache across trials.

    Notes:
        Teachers and importances of a later step are those of its input, not of the original.
    """

    steps: Mapping[str, Unlearner]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigError("steps must hold at least one method, got none")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        stage, begun = task, False
        for name, step in self.steps.items():
            stage = replace(stage, report=_named(name, task.report))
            # What is cached belongs to the original, and this step starts from another model; the
            # generator is its own, so that adding a step does not move the draws of others.
            if begun:
                generator = branch(task.generator, "cascade", name)
                stage = replace(stage, generator=generator, cached=computed)
            stage = replace(stage, model=step(stage))
            # Identity leaves the original as it is: the step after it may still use the cache.
            begun = begun or not isinstance(step, Identity)
        return stage.model


def _named(name: str, report: Report) -> Report:
    def named(step: int, of: int, **values: float) -> None:
        report(step, of, **{f"{name}_{key}": value for key, value in values.items()})

    return named
