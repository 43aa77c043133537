"""Studies of a tuning sweep, composed and checked before anything runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import distribution_to_json

from erasure.config.axes import varying
from erasure.config.compose import Compositions, hydra_sees, own_seeds, varied
from erasure.config.overrides import Loader, override_value
from erasure.config.selection import selected
from erasure.core.errors import ConfigError
from erasure.core.fingerprint import fingerprint
from erasure.launch.run import Run
from erasure.sweeps.plan import composed_run
from erasure.trial.causes import trial_fingerprint
from erasure.trial.objective import Objective
from erasure.trial.task import trial_of
from erasure.trial.trial import Trial
from erasure.tuning.command import SweepCommand
from erasure.tuning.conditions import active_settings, drawn_defaults, settle_conditions
from erasure.tuning.search_space import Axis, Space, Value, search_space
from erasure.tuning.settings import StudySettings
from erasure.tuning.space_checks import check_space

SAME_SAMPLES = ("unlearner", "model", "trainer")
"""Groups whose settings change neither what is forgotten nor what is evaluated."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """One study: what is fixed, and what is drawn.

    Args:
        name: Name in the storage.
        label: For a reader, ``scrub``.
        overrides: What is fixed, for Hydra.
        base: The configuration of all its runs but for what is drawn, and for the seed.
        trial: The trial that it is, with the settings the method has by itself.
        space: What is drawn.
        objective: What is optimized.
        seeds: The seeds of every setting.
        fixed: Hash of all that moves a value and is not drawn.
    """

    name: str
    label: str
    overrides: tuple[str, ...]
    base: Any
    trial: Trial
    space: Space
    objective: Objective
    seeds: tuple[int, ...]
    fixed: str

    @property
    def choices(self) -> dict[str, str]:
        """The option chosen in each config group."""
        return {str(k): str(v) for k, v in self.base.hydra.runtime.choices.items()}

    @property
    def study_config(self) -> dict[str, Any]:
        """What must be the same when the study goes on, as plain data."""
        return {
            "fixed": self.fixed,
            "space": {name: _drawn_from(axis) for name, axis in self.space.items()},
            "objective": dict(self.objective.metrics),
            "constraints": dict(self.objective.constraints),
            "seeds": list(self.seeds),
        }

    @property
    def defaults(self) -> dict[str, Value]:
        """What to draw to come closest to the settings the method has by itself."""
        return drawn_defaults(self.space, self.base)

    @property
    def samples_are_fixed(self) -> bool:
        """Whether every setting is measured on the same samples: the data are not searched."""
        return all(name.partition(".")[0] in SAME_SAMPLES for name in self.space)

    def is_default(self, settings: Mapping[str, Value]) -> bool:
        """Tell whether these are the settings the method has by itself."""
        own = {name: selected(self.base, name) for name in self.space}
        return dict(settings) == active_settings(self.space, own)

    def run(
        self,
        number: int,
        settings: Mapping[str, Value],
        trial: int,
        seed_index: int,
        tuning: Mapping[str, Value],
    ) -> Run:
        """Return one run: ``settings`` with one of the seeds.

        Args:
            number: Hydra's ``hydra.job.num``.
            settings: What was drawn.
            trial: Number of the trial in its study.
            seed_index: Index into :attr:`seeds`.
            tuning: What the run has to know about its study, keys of the group ``tuning``.
        """
        tuning = {"study": self.name, "trial": trial, "seed_index": seed_index, **tuning}
        changes = {
            **settings,
            "seed": self.seeds[seed_index],
            **{f"tuning.{key}": value for key, value in tuning.items()},
        }
        # ++ sets what is there and adds what is not
        overrides = [f"++{key}={override_value(value)}" for key, value in changes.items()]
        config = varied(self.base, changes, number, overrides)
        run = composed_run(config, number, (*self.overrides, *overrides))
        return replace(run, variant=f"{self.label} · trial {trial}")


def plan_studies(
    compositions: Compositions, commands: Sequence[SweepCommand], settings: StudySettings
) -> list[StudyPlan]:
    """Compose every study that ``commands`` name, each of them once.

    Raises:
        HydraException: If one cannot be composed; the message names the override.
        ConfigError: If its search space names what is not there, or it would look at test data.
    """
    names = varying([command.product for command in commands])
    plans: dict[str, StudyPlan] = {}
    each = ((command, o) for command in commands for o in command.product.overrides())
    for command, overrides in each:
        chosen = [override for override in overrides if override in names]
        base = compositions.compose(overrides, 0)
        with hydra_sees(base):
            unlearner = str(base.hydra.runtime.choices.get("unlearner") or "custom")
            space = _space(unlearner, command, compositions.loader)
            plan = plan_study(base, space, settings, overrides, chosen)
        same_name = plans.setdefault(plan.name, plan)
        if same_name.study_config != plan.study_config:
            plan = _renamed(plan, command)
            plans[plan.name] = plan
    return list(plans.values())


def _renamed(plan: StudyPlan, command: SweepCommand) -> StudyPlan:
    """Return a study that an earlier one has the name of, but that draws something else."""
    drawn = ", ".join(command.space) or "the space of the method"
    return replace(
        plan,
        name=f"{plan.name}-{fingerprint(plan.study_config)[:4]}",
        label=f"{plan.label} · over {drawn}",
    )


def plan_study(
    base: Any,
    space: Space,
    settings: StudySettings,
    overrides: tuple[str, ...] = (),
    varying: Sequence[str] = (),
) -> StudyPlan:
    """Return the study that draws ``space`` around a configuration.

    Args:
        base: The configuration.
        space: Axes by dotted setting.
        settings: How to search.
        overrides: What is fixed, for Hydra; none of a study from Python.
        varying: Those of the overrides that tell it from other studies of the sweep.

    Raises:
        ConfigError: If an axis names what is not there, or it would look at test data.
    """
    choices = base.hydra.runtime.choices
    unlearner = str(choices.get("unlearner") or "custom")
    _refuse_test(base, choices)
    space = settle_conditions(space, base)
    check_space(base, space, unlearner)
    trial = trial_of(base)
    others = [override for override in varying if not override.startswith("unlearner=")]
    # The seed is what varies; stages with seeds of their own, which do not, stay in the hash
    plain = {key: value for key, value in trial.settings.items() if key != "seed"}
    seeds = tuple(settings.seeds)
    fixed = fingerprint([trial_fingerprint({**plain, "seeds": own_seeds(base)}), list(seeds)])
    groups = [str(choices.get(g) or "") for g in ("dataset", "model", "split")]
    named = "-".join([part for part in (unlearner, *groups) if part])
    name = f"{named}-{fixed[:8]}"
    if settings.study_name:
        name = "-".join([settings.study_name, *_suffix(varying)])
    return StudyPlan(
        name=name,
        label=" · ".join([unlearner, *others]),
        overrides=overrides,
        base=base,
        trial=trial,
        space=space,
        objective=trial.objective,
        seeds=seeds,
        fixed=fixed,
    )


def _drawn_from(axis: Axis) -> str:
    """Return a distribution and the conditions of an axis as text that equals another's or not."""
    distribution = distribution_to_json(axis.distribution)
    if not axis.when:
        return distribution
    conditions = {name: list(values) for name, values in axis.conditions.items()}
    return json.dumps({**json.loads(distribution), "when": conditions}, sort_keys=True)


def _suffix(varying: Sequence[str]) -> list[str]:
    return [
        override.partition("=")[2] if override.startswith("unlearner=") else override
        for override in varying
    ]


def _refuse_test(base: Any, choices: Mapping[str, Any]) -> None:
    heldout = selected(base, "evaluator.heldout")
    if heldout == "test":
        raise ConfigError(
            f"evaluator must not look at the test set while tuning, got evaluator="
            f"{choices.get('evaluator')}; leave it out, which takes evaluator=fast, and report "
            "with the recipe and other seeds afterwards"
        )


def _space(unlearner: str, command: SweepCommand, loader: Loader) -> Space:
    """Return the axes of the method, or those of the command line if it has none of its own."""
    try:
        axes = search_space(unlearner, loader)
    except ConfigError:
        if not command.space:
            raise
        axes = {}
    kept = {name: axis for name, axis in axes.items() if name not in command.dropped}
    return {**kept, **command.space}
