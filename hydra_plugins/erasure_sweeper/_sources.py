"""From the keys of ``hydra.sweeper`` and the command line to a source of runs.

The name begins with an underscore, so Hydra does not import this module when it starts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher as AnyHydraLauncher
from rich.console import Console

from erasure.config.axes import SweeperAxes, merged, read_products
from erasure.config.compose import Compositions, hydra_sees
from erasure.config.hydra_job import keep_config
from erasure.core.errors import ConfigError
from erasure.launch.interrupts import Stop
from erasure.launch.launcher import Launcher
from erasure.sweeps.grid import Grid
from erasure.sweeps.plan import plan
from erasure.sweeps.progress import plain_console
from erasure.sweeps.run import run_sweep
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.source import Source
from hydra_plugins.erasure_launcher._launchers import launcher_of

if TYPE_CHECKING:
    from erasure.tuning.plan import StudyPlan
    from erasure.tuning.settings import StudySettings

EVERY_SOURCE = ("params", "zip", "grids", "max_hours", "stop_at_first_failure")
"""Keys that each source has, and that the sweeper itself takes."""

CONFIRMATION = {"confirm_seeds": "seeds", "confirm_evaluator": "evaluator", "output": "output"}
"""Keys of a benchmark that are about its second half, and what they are in it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A multirun command.

    Args:
        compositions: Composes configurations.
        arguments: The overrides that were typed.
        reading: Keys of ``hydra.sweeper`` that say how overrides are read.
        settings: The other keys, which are those of the source.
        launcher: Carries out runs.
        stop: When nothing new is started.
        console: Where to say how it goes.
    """

    compositions: Compositions
    arguments: Sequence[str]
    reading: Mapping[str, Any]
    settings: Mapping[str, Any]
    launcher: Launcher
    stop: Stop
    console: Console

    def run(self, source: Source) -> list[RunResult]:
        """Carry out the runs of ``source``; see :func:`erasure.sweeps.run.run_sweep`."""
        keep = partial(keep_config, self.compositions.master)
        return run_sweep(source, self.launcher, self.stop, self.console, keep)


def run_command(
    source: str,
    launcher: AnyHydraLauncher,
    max_hours: float | None,
    *,
    stop_at_first_failure: bool,
    **command: Any,
) -> list[RunResult]:
    """Run what a command asks for, ``source`` by name, and return one result for each run.

    Raises:
        ErasureError: If a setting is wrong; then nothing was run. Or, when all is summed up, if
            something has no result.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    if source not in SOURCES:
        raise ConfigError(
            f"hydra.sweeper.source must be one of {', '.join(SOURCES)}, got {source!r}"
        )
    stop = Stop.after(max_hours, at_first_failure=stop_at_first_failure)
    adapted, console = launcher_of(launcher), plain_console()
    return SOURCES[source](Command(launcher=adapted, stop=stop, console=console, **command))


def _run_grid(command: Command) -> list[RunResult]:
    _refuse_unknown(command.settings, ())
    if command.launcher.takes_all and command.stop.may_come:
        raise ConfigError(
            "hydra.sweeper.max_hours must be null with this hydra/launcher, which takes all "
            "trials of a grid at once, and stop_at_first_failure false; local and basic can end "
            "between two"
        )
    sweeper = SweeperAxes(**command.reading)
    products = read_products(command.compositions.loader, sweeper, command.arguments)
    with command.console.status("composing the trials"):
        runs = plan(command.compositions, products)
    with hydra_sees(runs[0].config):
        return command.run(Grid.of(runs, merged(products), command.stop))


def _run_studies(command: Command) -> list[RunResult]:
    from erasure.tuning.study import Studies

    settings, plans = _study_plans(command, command.settings)
    with hydra_sees(plans[0].base):
        return command.run(Studies.of(plans, settings, command.stop))


def _run_benchmark(command: Command) -> list[RunResult]:
    from erasure.tuning.benchmark.run import Benchmark, run_benchmark
    from erasure.tuning.benchmark.trials import Composer, Confirmation

    keys = dict(command.settings)
    confirmation = Confirmation(
        **{CONFIRMATION[k]: keys.pop(k) for k in CONFIRMATION if k in keys}
    )
    settings, plans = _study_plans(command, keys)
    composer = Composer(
        compositions=command.compositions,
        confirmation=confirmation,
        typed=tuple(command.arguments),
        # twice, because a run whose process died is run again
        first=2 * settings.n_trials * len(settings.seeds) * len(plans),
    )
    with hydra_sees(plans[0].base):
        benchmark = Benchmark(
            plans=plans,
            settings=settings,
            composer=composer,
            sweep=command.run,
            stop=command.stop,
            console=command.console,
        )
        return run_benchmark(benchmark)


SOURCES: Mapping[str, Callable[[Command], list[RunResult]]] = {
    "grid": _run_grid,
    "optuna": _run_studies,
    "benchmark": _run_benchmark,
}


def _study_plans(
    command: Command, keys: Mapping[str, Any]
) -> "tuple[StudySettings, list[StudyPlan]]":
    """Return how to search, and the studies, composed and not yet run."""
    from erasure.tuning.command import read_commands
    from erasure.tuning.plan import plan_studies
    from erasure.tuning.settings import StudySettings

    _refuse_unknown(keys, [each.name for each in fields(StudySettings)])
    settings, loader = StudySettings(**keys), command.compositions.loader
    with command.console.status("composing the studies"):
        commands = read_commands(loader, SweeperAxes(**command.reading), command.arguments)
        return settings, plan_studies(command.compositions, commands, settings)


def _refuse_unknown(keys: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse a key that the source does not have."""
    for key in keys:
        if key not in names:
            close = get_close_matches(key, [*names, *EVERY_SOURCE], n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"hydra.sweeper.{key} is no setting of this hydra/sweeper{hint}")
