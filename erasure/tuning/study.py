"""The story of a tuning sweep: its studies, the runs they ask for, and the summary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from erasure.config.compose import hydra_sees
from erasure.config.errors import SweepError
from erasure.launch.dispatch import below, dispatch, is_basic, patience
from erasure.launch.interrupts import INTERRUPTED, Stop
from erasure.launch.local import ComposedLauncher
from erasure.launch.run import Run
from erasure.sweep.grid import keep_config
from erasure.sweep.models_to_train import require_measurable, required_models
from erasure.sweep.progress import plain_console
from erasure.sweep.records import SweepRecords
from erasure.sweep.run_results import RunResult
from erasure.trial.places import store_root
from erasure.tuning.client import StudyClient, open_study
from erasure.tuning.command import read_commands
from erasure.tuning.plan import StudyPlan, plan_studies
from erasure.tuning.progress import study_progress
from erasure.tuning.records import outlook, search_settings, study_records, study_summary
from erasure.tuning.sampler import (
    build_pruner,
    build_sampler,
    is_pruning,
    most_trials,
    rehearse,
)
from erasure.tuning.schedule import Schedule
from erasure.tuning.search_space import Value
from erasure.tuning.settings import StudySettings
from erasure.tuning.storage import is_server, open_storage, storage_url, study_lock


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a sweeper knows before it reads the command line.

    Args:
        launcher: Carries out runs.
        loader: Composes configurations.
        master: The configuration of the command line as a whole.
        settings: How to search.
        console: Where to tell how it goes.
    """

    launcher: Launcher
    loader: ConfigLoader
    master: DictConfig
    settings: StudySettings
    console: Console = field(default_factory=plain_console)


def run_studies(search: Search, arguments: Sequence[str]) -> list[RunResult]:
    """Bring every study that ``arguments`` name to its number of trials.

    Returns:
        One result per run of this process.

    Raises:
        ErasureError: If a study cannot work; then nothing was run. Or, when all is summed up, if
            a study has no complete trial.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    with search.console.status("composing the studies"):
        plans = compose_studies(search, arguments)
    return run_plans(search, plans, Stop.after(search.settings.max_hours))


def compose_studies(search: Search, arguments: Sequence[str]) -> list[StudyPlan]:
    """Return the studies that ``arguments`` name, composed and not yet run.

    Raises:
        ConfigError: If one makes no sense.
    """
    commands = read_commands(search.loader, search.settings.axes, arguments)
    return plan_studies(search.loader, search.master, commands, search.settings)


def run_plans(search: Search, plans: Sequence[StudyPlan], stop: Stop) -> list[RunResult]:
    """Bring the studies of ``plans`` to their number of trials; see :func:`run_studies`.

    No trial is started any more once ``stop`` is due.
    """
    settings, console = search.settings, search.console
    with hydra_sees(plans[0].base):
        records = study_records(plans, settings)
        with console.status("checking the studies"):
            clients = _check_and_open(search, records, plans)
        summary = study_summary(records, clients, settings, [], "", Stop())
        run_results, error = list[RunResult](), None
        if not (_are_over(clients) and records.is_closed() and summary.is_written(records.folder)):
            tracking_run = records.open()
            run_results, error = _run(search, records, clients, tracking_run, stop)
            run_results, tracking_run = records.deliver(run_results, tracking_run)
            summary = study_summary(records, clients, settings, run_results, tracking_run, stop)
            records.close(summary, console)
        summary.show(console)
        records.show_tracking(console, summary.tracking_run)
    # Whatever ended the sweep early is raised only now, when all that finished is summed up
    if error is not None:
        raise error
    if stop.reason == INTERRUPTED and not _are_over(clients):
        raise KeyboardInterrupt
    if summary.missing:
        raise SweepError(f"{summary.missing} of {len(plans)} studies have no complete trial")
    return run_results


def _check_and_open(
    search: Search, records: SweepRecords, plans: Sequence[StudyPlan]
) -> list[StudyClient]:
    """Refuse what cannot work before anything runs, and open the studies."""
    records.check()
    for plan in plans:
        _rehearse(plan, search.settings)
    models = {plan.name: required_models(_samples(plan)) for plan in plans}
    require_measurable([c for plan in plans if plan.samples_are_fixed for c in _samples(plan)])
    clients = _open(search, records, plans)
    search.console.print(Text(outlook(clients, models, records.store)), soft_wrap=True)
    return clients


def _samples(plan: StudyPlan) -> list[DictConfig]:
    """Return one configuration for each seed of a study."""
    return [plan.run(0, {}, 0, index, {}).config for index in range(len(plan.seeds))]


def _rehearse(plan: StudyPlan, settings: StudySettings) -> None:
    constrained = bool(plan.objective.constraints)
    sampler = build_sampler(settings.sampler, plan.space, plan.name, 0, constrained=constrained)
    pruner = build_pruner(settings.pruner, len(plan.seeds))
    rehearse(sampler, pruner, plan.space, plan.objective.directions)


def _open(search: Search, records: SweepRecords, plans: Sequence[StudyPlan]) -> list[StudyClient]:
    settings = search.settings
    root = store_root(plans[0].base)
    url = storage_url(settings.storage, root)
    storage = open_storage(url, root)
    with study_lock(root):
        return [
            open_study(
                plan=plan,
                storage=storage,
                total=trials_of(plan, settings),
                sampler=partial(
                    build_sampler,
                    settings.sampler,
                    plan.space,
                    plan.name,
                    constrained=bool(plan.objective.constraints),
                ),
                pruner=build_pruner(settings.pruner, len(plan.seeds)),
                search_settings=search_settings(plan, settings, records),
                shared=is_server(url),
            )
            for plan in plans
        ]


def trials_of(plan: StudyPlan, settings: StudySettings) -> int:
    """Return the trials of a study; one without anything to draw needs a single one."""
    if not plan.space:
        return 1
    sampler = build_sampler(settings.sampler, plan.space, plan.name, 0)
    return most_trials(sampler, settings.n_trials)


def _run(
    search: Search,
    records: SweepRecords,
    clients: Sequence[StudyClient],
    tracking_run: str,
    stop: Stop,
) -> tuple[list[RunResult], BaseException | None]:
    """Run until the studies have their trials, and return what ended it early."""
    settings, console = search.settings, search.console
    keep_config(search.master)
    root = store_root(clients[0].plan.base)
    error: BaseException | None = None
    waiting = patience(search.launcher, stop, console)
    with waiting, study_progress(clients, console) as show:
        schedule = Schedule(
            clients=clients,
            records=records,
            lock=partial(study_lock, root),
            tuning=_tuning(clients, settings, root),
            cap=settings.max_trial_seconds,
            max_failures=settings.max_failures,
            stop=stop,
            on_outcome=show,
        )
        try:
            with schedule.heartbeat():
                _carry_out(search, schedule, tracking_run)
        except BaseException as caught:  # noqa: BLE001  # raised again when all is summed up
            error, stop.reason = caught, stop.reason or str(caught) or INTERRUPTED
        finally:
            # after the heartbeat has ended, which would call a trial that was given back alive
            schedule.give_back_all()
    return schedule.run_results, error


def _tuning(
    clients: Sequence[StudyClient], settings: StudySettings, root: Path
) -> dict[str, Value]:
    """Return what runs have to know: where the study is only if they are compared meanwhile."""
    pruning = any(is_pruning(client.study.pruner) for client in clients)
    url = storage_url(settings.storage, root) if pruning else ""
    return {"storage": url, "max_seconds": settings.max_trial_seconds}


def _carry_out(search: Search, schedule: Schedule, tracking_run: str) -> None:
    """Run what the schedule hands out: as slots get free, or in batches elsewhere."""
    launcher = search.launcher
    handed_out: dict[int, Run] = {}

    def next_job() -> DictConfig | None:
        run = schedule.next()
        if run is None:
            return None
        handed_out[run.number] = run
        return below(run.config, tracking_run)

    if isinstance(launcher, ComposedLauncher):
        like = [client.plan.base for client in schedule.clients]
        launcher.run_handed_out(
            next_job, like, lambda end: schedule.record(handed_out.pop(end.number), end, "")
        )
        return
    size = 1 if is_basic(launcher) else search.settings.n_jobs
    # A stop that is never due: the schedule hands out nothing any more once its own is
    runs = iter(schedule.next, None)
    while batch := list(islice(runs, size)):
        dispatch(launcher, batch, tracking_run, schedule.record, Stop())


def _are_over(clients: Sequence[StudyClient]) -> bool:
    return all(client.num_ended >= client.total for client in clients)
