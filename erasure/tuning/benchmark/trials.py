"""What a benchmark compares: each method with its own settings and with tuned ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from erasure.config.compose import Compositions
from erasure.core.errors import ConfigError
from erasure.launch.run import Run
from erasure.sweeps.plan import plan_one
from erasure.tuning.choice import overrides_of, settings_of
from erasure.tuning.command import DEFAULTS
from erasure.tuning.plan import StudyPlan
from erasure.tuning.recipe import KeptStudy
from erasure.tuning.search_space import Value
from erasure.tuning.settings import check_seeds


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """How tuned settings are compared with those a method has by itself.

    Args:
        seeds: Seeds of the comparison, ``hydra.sweeper.confirm_seeds``.
        evaluator: Option of ``evaluator``, ``hydra.sweeper.confirm_evaluator``.
        output: Folder of recipes and table; None is one below the store.

    Raises:
        ConfigError: If a value is not allowed.
    """

    seeds: Sequence[int] = (10, 11, 12)
    evaluator: str = "standard"
    output: str | None = None

    def __post_init__(self) -> None:
        check_seeds("confirm_seeds", self.seeds)
        if not isinstance(self.evaluator, str) or not self.evaluator.strip():
            raise ConfigError(
                f"hydra.sweeper.confirm_evaluator must be an evaluator, got {self.evaluator!r}"
            )
        if self.output is not None and not str(self.output).strip():
            raise ConfigError(
                f"hydra.sweeper.output must be null or a folder, got {self.output!r}"
            )


@dataclass(frozen=True, kw_only=True)
class MethodRuns:
    """The confirming trials of one method, one per seed.

    Args:
        plan: Its study.
        defaults: With its own settings.
        tuned: With the best of the study; the same trials if these are its own, and none as
            long as there is no best.
    """

    plan: StudyPlan
    defaults: Sequence[Run]
    tuned: Sequence[Run] = ()


@dataclass(frozen=True, kw_only=True)
class Composer:
    """Composes confirming trials.

    Args:
        compositions: Knows how.
        confirmation: The seeds, and the evaluator.
        typed: The overrides of the command line.
        first: Number of the first trial; no run of the studies has it or a larger one.
    """

    compositions: Compositions
    confirmation: Confirmation
    typed: tuple[str, ...]
    first: int

    def untuned(self, plans: Sequence[StudyPlan]) -> list[MethodRuns]:
        """Return the methods with their own settings, which are known before tuning."""
        return [
            MethodRuns(plan=plan, defaults=self._trials(plan, {}, "defaults", group))
            for group, plan in enumerate(plans)
        ]

    def tuned(
        self, methods: Sequence[MethodRuns], studies: Mapping[str, KeptStudy]
    ) -> list[MethodRuns]:
        """Return the methods with the best settings of their studies, by name, as well."""
        return [
            replace(method, tuned=self._tuned(method, studies[method.plan.name], group))
            # groups after those of the defaults, so that no two trials share a number
            for group, method in enumerate(methods, start=len(methods))
        ]

    def _tuned(self, method: MethodRuns, study: KeptStudy, group: int) -> Sequence[Run]:
        best = study.best
        if best is None:
            return []
        settings = settings_of(best, method.plan.space)
        if method.plan.is_default(settings):
            return method.defaults
        return self._trials(method.plan, settings, "tuned", group)

    def _trials(
        self, plan: StudyPlan, settings: Mapping[str, Value], kind: str, group: int
    ) -> list[Run]:
        """Compose one trial per seed; groups, hence numbers and folders, differ."""
        compositions, seeds = self.compositions, self.confirmation.seeds
        fixed = (*self._kept(plan), f"evaluator={self.confirmation.evaluator}")
        drawn = overrides_of(settings)
        first = self.first + group * len(seeds)
        runs = [
            plan_one(compositions, (*fixed, *drawn, f"seed={seed}"), number=number, varying=())
            for number, seed in enumerate(seeds, start=first)
        ]
        return [
            replace(run, label=f"{run.label} · {kind}", variant=f"{plan.label} · {kind}")
            for run in runs
        ]

    def _kept(self, plan: StudyPlan) -> list[str]:
        """Return what is fixed, but for how tuning looks at a trial."""
        added = {*DEFAULTS.values()} - {*self.typed}  # what tuning set by itself
        return [
            override
            for override in plan.overrides
            if override not in added and override.lstrip("+").partition("=")[0] != "evaluator"
        ]
