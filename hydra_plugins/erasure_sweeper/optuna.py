"""``hydra/sweeper=optuna``: one Optuna study per method, resumed, shared and reconciled.

Hydra imports this module whenever it starts, so nothing heavy may be imported at its top; what
the sweeper does is in ``erasure.tuning``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Search the settings of methods; see :func:`erasure.tuning.study.run_studies`.

    Args:
        sampler: Node of ``hydra/sweeper/sampler``.
        pruner: Node of ``hydra/sweeper/pruner``.
        n_trials: Trials of each study in total.
        n_jobs: Trials handed at once to a foreign launcher.
        seeds: Seeds every setting runs with.
        storage: Where studies live.
        study_name: Their name.
        max_hours: Wall time after which no trial is started.
        max_trial_seconds: A trial whose method takes longer is pruned.
        max_failures: A study ends when a larger share of its trials failed.
        params: Axes that are added or replaced.
        zip: Keys that step together.
        grids: Overrides of each of several sets of studies.
    """

    def __init__(  # the keys of the YAML file
        self,
        *,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        n_trials: int = 20,
        n_jobs: int = 1,
        seeds: Sequence[int] = (100, 101),
        storage: str | None = None,
        study_name: str | None = None,
        max_hours: float | None = None,
        max_trial_seconds: float | None = None,
        max_failures: float = 1.0,
        params: Mapping[str, Any] | None = None,
        zip: Sequence[Any] | None = None,  # noqa: A002  # the key of the YAML file
        grids: Sequence[Any] | None = None,
    ) -> None:
        self.settings = {
            "sampler": sampler,
            "pruner": pruner,
            "n_trials": n_trials,
            "n_jobs": n_jobs,
            "seeds": seeds,
            "storage": storage,
            "study_name": study_name,
            "max_hours": max_hours,
            "max_trial_seconds": max_trial_seconds,
            "max_failures": max_failures,
            "params": params,
            "zip": zip,
            "grids": grids,
        }

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra knows about this run and make the launcher."""
        from hydra.core.plugins import Plugins

        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search as ``arguments`` ask and return one result for each run."""
        from erasure.config.errors import shown_by_hydra
        from erasure.tuning.settings import StudySettings
        from erasure.tuning.study import Search, run_studies

        if self.launcher is None or self.config is None or self.hydra_context is None:
            raise RuntimeError("Hydra did not call setup")
        with shown_by_hydra():
            search = Search(
                launcher=self.launcher,
                loader=self.hydra_context.config_loader,
                master=self.config,
                settings=StudySettings(**self.settings),  # type: ignore[arg-type]  # checked there
            )
            return run_studies(search, arguments)
