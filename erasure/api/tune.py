"""``erasure.tune``: a search over the settings of a method, in studies of the command line."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial
from rich.console import Console

from erasure.api.compose import composed
from erasure.api.sweep import launcher_for
from erasure.config.hydra_job import below
from erasure.config.loading import loader
from erasure.config.settings import Composed, config_of, settings_of_config
from erasure.core.errors import ConfigError
from erasure.core.fingerprint import fingerprint
from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.sweeps.records import open_records
from erasure.sweeps.run import run_sweep
from erasure.trial.alone import run_alone
from erasure.trial.task import monitor_for, trial_of
from erasure.trial.trial import Trial
from erasure.tuning.choice import settings_of
from erasure.tuning.plan import StudyPlan, plan_study
from erasure.tuning.records import tuning_sweep
from erasure.tuning.search_space import Space, Value, read_axes_of, search_space
from erasure.tuning.settings import StudySettings
from erasure.tuning.study import Studies
from erasure.tuning.summary import StudyResult

if TYPE_CHECKING:
    import pandas as pd

COMMAND = "erasure.tune(...)"
"""What stands for the command line of a search from Python."""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search has found.

    Args:
        trial: The trial whose settings were searched.
        study: Everything that was tried.
    """

    trial: Trial
    study: StudyResult

    @property
    def best(self) -> dict[str, Value]:
        """The best settings, by dotted name."""
        return settings_of(self._chosen, self.study.client.plan.space)

    @property
    def values(self) -> dict[str, float]:
        """What the best settings score, on validation data, by metric of the objective."""
        metrics = self.study.client.plan.objective.metrics
        return dict(zip(metrics, self._chosen.values, strict=True))

    @property
    def best_trial(self) -> Trial:
        """The trial with the best settings; its own evaluator looks at what it looked at."""
        return with_settings_at(self.trial, self.best)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with a row per setting that was tried."""
        import pandas as pd

        return pd.DataFrame(self.study.rows())

    @property
    def _chosen(self) -> FrozenTrial:
        chosen = self.study.best
        if chosen is None:
            raise ConfigError("no setting keeps every constraint of the objective")
        return chosen


def tune(
    trial: Trial,
    trials: int = 20,
    space: Mapping[str, Any] | None = None,
    *,
    jobs: int = 1,
    seeds: Sequence[int] = (100, 101),
    evaluator: str = "fast",
    sampler: str = "tpe",
    pruner: str = "none",
    storage: str | None = None,
    study_name: str | None = None,
    max_trial_seconds: float | None = None,
) -> SearchResult:
    """Search the settings of a trial for its objective; the same call goes on where it was.

    Settings are compared on validation data: an evaluator of the trial that looks at the test set
    is replaced meanwhile. The study is that of ``--multirun hydra/sweeper=optuna`` with the same
    settings. Nothing is shown.

    Args:
        trial: The trial. Its seed does not matter.
        trials: Settings to try in total, over all calls and processes.
        space: Axes by dotted setting, ``{"unlearner.alpha": {"low": 1, "high": 50, "log": True}}``
            or ``{"choices": [...]}``; None for ``conf/search/<unlearner>.yaml``.
        jobs: Runs at a time; more than one needs ``if __name__ == "__main__":`` in a script.
        seeds: Seeds every setting runs with; report with others.
        evaluator: The option of ``evaluator`` that takes the place of one that looks at the test
            set.
        sampler: An option of ``hydra/sweeper/sampler``.
        pruner: An option of ``hydra/sweeper/pruner``.
        storage: Where studies live; None is below the store.
        study_name: Its name; None derives it from all that is fixed.
        max_trial_seconds: A setting whose method takes longer is pruned.

    Raises:
        ConfigError: If something cannot work; then nothing was run.
        SweepError: If no setting has a value.
        KeyboardInterrupt: After Ctrl-C; the same call goes on.
    """
    options = [f"hydra/sweeper/sampler={sampler}", f"hydra/sweeper/pruner={pruner}"]
    hydras = composed(["hydra/sweeper=optuna", *options, f"evaluator={evaluator}"])
    node = hydras.hydra.sweeper
    with _python_names():
        settings = StudySettings(
            n_trials=trials,
            seeds=seeds,
            storage=storage,
            study_name=study_name,
            max_trial_seconds=max_trial_seconds,
            sampler=node.sampler,
            pruner=node.pruner,
        )
    plan = _plan(trial, space, settings, hydras, evaluator)
    identity = replace(tuning_sweep([plan], settings), command=COMMAND)
    stop = Stop()
    records = open_records(plan.trial, identity)
    studies = Studies(plans=[plan], settings=settings, records=records, stop=stop)
    launcher = launcher_for(plan.trial, jobs, _carry_out, _payload)
    run_sweep(studies, launcher, stop, Console(quiet=True))
    (study,) = studies.table([], "").studies
    return SearchResult(trial=trial, study=study)


def with_settings_at(trial: Trial, settings: Mapping[str, Value]) -> Trial:
    """Return a trial with other values of settings, by dotted name."""
    names = dict.fromkeys(name.partition(".")[0] for name in settings)
    groups: dict[str, Any] = {group: copy.deepcopy(trial.settings[group]) for group in names}
    for name, value in settings.items():
        *path, last = name.split(".")
        node: Any = groups
        for key in path:
            node = node[key]
        node[last] = value
    return trial.replace(**groups)


def _plan(
    trial: Trial,
    space: Mapping[str, Any] | None,
    settings: StudySettings,
    hydras: Composed,
    evaluator: str,
) -> StudyPlan:
    looks_at_test = trial.settings["evaluator"].get("heldout") == "test"
    changed: dict[str, Any] = {"pictures": False}
    options = dict(trial.options)
    if looks_at_test:
        changed["evaluator"] = settings_of_config(hydras)["evaluator"]
        options["evaluator"] = evaluator
    base = config_of({**trial.settings, **changed}, options, hydras)
    plan = plan_study(base, _space(options, space), settings)
    if space is None or settings.study_name is not None:
        return plan
    # a study draws from one space: another one is another study
    return replace(plan, name=f"{plan.name}-{fingerprint(plan.study_config)[:4]}")


def _space(options: Mapping[str, str], space: Mapping[str, Any] | None) -> Space:
    if space is None:
        return search_space(options.get("unlearner", "custom"), loader())
    return dict(read_axes_of(space, "space"))


@contextmanager
def _python_names() -> Iterator[None]:
    """Name arguments in errors of a block as :func:`tune` does, not as the command line."""
    try:
        yield
    except ConfigError as error:
        message = str(error).removeprefix("hydra.sweeper.")
        raise ConfigError(message.removeprefix("n_")) from error


def _payload(run: Run, tracking_run: str) -> Composed:
    return below(run.config, tracking_run)


def _carry_out(cfg: Composed) -> None:
    """Carry out one run of a study, under the eyes of its pruner."""
    trial = trial_of(cfg)
    run_alone(trial, monitor_for(cfg, trial), keep_model=False)
