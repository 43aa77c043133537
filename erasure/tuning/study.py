"""The story of a tuning sweep: its studies, the runs they ask for, and what they found."""

from collections.abc import Iterable, Mapping, Sequence
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
from erasure.sweep.models_to_train import RequiredModel, in_words, required_models
from erasure.sweep.progress import plain_console
from erasure.sweep.records import SweepRecords
from erasure.sweep.run_results import Entry
from erasure.training.model_store import ModelStore
from erasure.trial.assemble import store_root
from erasure.trial.table import show_address
from erasure.tuning.client import StudyClient, open_book
from erasure.tuning.command import read_command
from erasure.tuning.plan import StudyPlan, plan_studies
from erasure.tuning.progress import study_progress
from erasure.tuning.records import notes_of, study_desk, summed_up
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
from erasure.tuning.storage import creating, is_server, open_storage, storage_url

TRAINING = (
    *("dataset", "split", "model", "trainer", "precision", "threads", "device"),
    *("seeds.split", "seeds.train", "references.size", "references.shadows"),
)
"""Settings, and groups of them, that originals and retrained models depend on."""


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


def run_studies(search: Search, arguments: Sequence[str]) -> list[Entry]:
    """Bring every study that ``arguments`` name to its number of trials.

    Returns:
        One entry per run of this process.

    Raises:
        ErasureError: If a study cannot work; then nothing was run. Or, when all is summed up, if
            a study has no complete trial.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    with search.console.status("composing the studies"):
        plans = composed(search, arguments)
    return run_plans(search, plans, Stop.after(search.settings.max_hours))


def composed(search: Search, arguments: Sequence[str]) -> list[StudyPlan]:
    """Return the studies that ``arguments`` name, composed and not yet run.

    Raises:
        ConfigError: If one makes no sense.
    """
    asked = read_command(search.loader, search.settings.params, arguments)
    return plan_studies(search.loader, search.master, asked, search.settings)


def run_plans(search: Search, plans: Sequence[StudyPlan], stop: Stop) -> list[Entry]:
    """Bring the studies of ``plans`` to their number of trials; see :func:`run_studies`.

    No trial is started any more once ``stop`` is due.
    """
    settings, console = search.settings, search.console
    with hydra_sees(plans[0].base):
        desk = study_desk(plans, settings)
        with console.status("checking the studies"):
            books = _checked(search, desk, plans)
        known = summed_up(desk, books, settings, [], "", Stop())
        entries, error = list[Entry](), None
        if _are_over(books) and desk.is_closed() and known.is_written(desk.folder):
            summary = known
        else:
            run = desk.open()
            entries, error = _run(search, desk, books, run, stop)
            summary = summed_up(desk, books, settings, entries, run, stop)
            desk.close(summary, console)
        summary.show(console)
        show_address(desk.tracker, console)
    if error is not None:
        raise error
    if stop.reason == INTERRUPTED and not _are_over(books):
        raise KeyboardInterrupt
    if summary.missing:
        raise SweepError(f"{summary.missing} of {len(plans)} studies have no complete trial")
    return entries


def _checked(search: Search, desk: SweepRecords, plans: Sequence[StudyPlan]) -> list[StudyClient]:
    """Refuse what cannot work before anything runs, and open the studies."""
    desk.check()
    for plan in plans:
        _rehearse(plan, search.settings)
    needs = {plan.name: required_models(_samples(plan)) for plan in plans}
    books = _opened(search, desk, plans)
    search.console.print(Text(_outlook(books, needs, desk.store)), soft_wrap=True)
    return books


def _samples(plan: StudyPlan) -> list[DictConfig]:
    """Return one configuration for each seed of a study."""
    return [plan.run(0, {}, 0, index, {}).config for index in range(len(plan.seeds))]


def _rehearse(plan: StudyPlan, settings: StudySettings) -> None:
    constrained = bool(plan.objective.constraints)
    sampler = build_sampler(settings.sampler, plan.space, plan.name, 0, constrained=constrained)
    pruner = build_pruner(settings.pruner, len(plan.seeds))
    rehearse(sampler, pruner, plan.distributions, plan.objective.directions)


def _opened(search: Search, desk: SweepRecords, plans: Sequence[StudyPlan]) -> list[StudyClient]:
    settings = search.settings
    root = store_root(plans[0].base)
    url = storage_url(settings.storage, root)
    storage = open_storage(url, root)
    with creating(root):
        return [
            open_book(
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
                notes=notes_of(plan, settings, desk),
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
    search: Search, desk: SweepRecords, books: Sequence[StudyClient], run: str, stop: Stop
) -> tuple[list[Entry], BaseException | None]:
    """Run until the studies have their trials, and return what ended it early."""
    settings, console = search.settings, search.console
    keep_config(search.master)
    root = store_root(books[0].plan.base)
    error: BaseException | None = None
    with patience(search.launcher, stop, console), study_progress(books, console) as told:
        schedule = Schedule(
            books=books,
            desk=desk,
            lock=partial(creating, root),
            tuning=_tuning(books, settings, root),
            cap=settings.max_trial_seconds,
            max_failures=settings.max_failures,
            stop=stop,
            told=told,
        )
        try:
            with schedule.heartbeat():
                _carry_out(search, schedule, run)
        except BaseException as caught:  # noqa: BLE001  # raised again when all is summed up
            error, stop.reason = caught, stop.reason or str(caught) or INTERRUPTED
        finally:
            schedule.abandon()
    return schedule.entries, error


def _tuning(books: Sequence[StudyClient], settings: StudySettings, root: Path) -> dict[str, Value]:
    pruning = any(is_pruning(book.study.pruner) for book in books)
    url = storage_url(settings.storage, root) if pruning else ""
    return {"storage": url, "max_seconds": settings.max_trial_seconds}


def _carry_out(search: Search, schedule: Schedule, run: str) -> None:
    """Run what the schedule hands out: as slots get free, or in batches elsewhere."""
    launcher = search.launcher
    handed: dict[int, Run] = {}

    def supply() -> DictConfig | None:
        planned = schedule.next()
        if planned is None:
            return None
        handed[planned.number] = planned
        return below(planned.config, run)

    if isinstance(launcher, ComposedLauncher):
        like = [book.plan.base for book in schedule.books]
        launcher.run_supplied(
            supply, like, lambda end: schedule.enter(handed.pop(end.number), end, "")
        )
        return
    size = 1 if is_basic(launcher) else search.settings.n_jobs
    while batch := list(islice(_handed_out(schedule), size)):
        dispatch(launcher, batch, run, schedule.enter, Stop())


def _handed_out(schedule: Schedule) -> Iterable[Run]:
    while (planned := schedule.next()) is not None:
        yield planned


def _outlook(
    books: Sequence[StudyClient], needs: Mapping[str, Sequence[RequiredModel]], store: ModelStore
) -> str:
    left = {book.plan.name: max(0, book.total - _ended(book)) for book in books}
    total = sum(book.total for book in books)
    ended = sum(_ended(book) for book in books)
    studies = "1 study" if len(books) == 1 else f"{len(books)} studies"
    seeds = len(books[0].plan.seeds)
    told = f"{studies}, {total} trials with {seeds} seed{'s' * (seeds > 1)} each"
    told = f"{told}: {ended} ended before, {sum(left.values())} to run"
    unfinished = [book.plan for book in books if left[book.plan.name] > 0]
    models = in_words([need for plan in unfinished for need in needs[plan.name]], store)
    moving = sorted({name for plan in unfinished for name in plan.space if _trains(name)})
    several = f", and others for each value of {', '.join(moving)}" if moving else ""
    return f"{told}; {models}{several}" if models else told


def _are_over(books: Sequence[StudyClient]) -> bool:
    return all(_ended(book) >= book.total for book in books)


def _ended(book: StudyClient) -> int:
    return sum(trial.state.is_finished() for trial in book.trials)


def _trains(name: str) -> bool:
    """Tell whether a setting that is drawn changes what models are trained, and how."""
    return name in TRAINING or name.partition(".")[0] in TRAINING
