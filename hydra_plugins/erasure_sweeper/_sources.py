"""From the keys of ``hydra.sweeper`` and the command line to a source of runs.

The name begins with an underscore, so Hydra does not import this module when it starts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.plugins.launcher import Launcher as AnyHydraLauncher
from rich.console import Console

from erasure.config.compose import Compositions, hydra_sees
from erasure.config.hydra_job import keep_config
from erasure.config.overrides import read_axes
from erasure.core.errors import ConfigError
from erasure.launch.interrupts import Stop
from erasure.launch.launcher import Launcher
from erasure.sweep.grid import Grid, GridSettings
from erasure.sweep.plan import plan
from erasure.sweep.progress import plain_console
from erasure.sweep.run import run_sweep
from erasure.sweep.run_results import RunResult
from hydra_plugins.erasure_launcher._launchers import launcher_of

if TYPE_CHECKING:
    from erasure.tuning.plan import StudyPlan
    from erasure.tuning.settings import StudySettings

Settings = TypeVar("Settings", bound="GridSettings | StudySettings")

CONFIRMATION = {"confirm_seeds": "seeds", "confirm_evaluator": "evaluator", "output": "output"}
"""Keys of a benchmark that are about its second half, and what they are in it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A multirun command.

    Args:
        compositions: Composes configurations.
        launcher: What ``hydra/launcher`` names.
        arguments: The overrides that were typed.
        console: Where to say how it goes.
    """

    compositions: Compositions
    launcher: AnyHydraLauncher
    arguments: Sequence[str]
    console: Console = field(default_factory=plain_console)

    def run(self, source: str, settings: Mapping[str, Any]) -> list[RunResult]:
        """Run what ``source`` asks for and return one result for each run.

        Raises:
            ErasureError: If a setting is wrong; then nothing was run. Or, when all is summed up,
                if something has no result.
            KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
        """
        sources: dict[str, Callable[[Mapping[str, Any], Launcher], list[RunResult]]] = {
            "grid": self._run_grid,
            "optuna": self._run_studies,
            "benchmark": self._run_benchmark,
        }
        if source not in sources:
            raise ConfigError(
                f"hydra.sweeper.source must be one of {', '.join(sources)}, got {source!r}"
            )
        return sources[source](settings, launcher_of(self.launcher))

    def _run_grid(self, keys: Mapping[str, Any], launcher: Launcher) -> list[RunResult]:
        settings = _read("grid", keys, GridSettings)
        if launcher.takes_all:
            _refuse_ends(settings)
        stop = _stop(settings)
        axes = read_axes(self.compositions.loader, settings.params, self.arguments)
        with self.console.status("composing the trials"):
            runs = plan(self.compositions, axes)
        with hydra_sees(runs[0].config):
            grid = Grid.of(runs, axes, stop)
            return run_sweep(grid, launcher, stop, self.console, self._on_start)

    def _run_studies(self, keys: Mapping[str, Any], launcher: Launcher) -> list[RunResult]:
        from erasure.tuning.settings import StudySettings
        from erasure.tuning.study import Studies

        settings = _read("optuna", keys, StudySettings)
        stop = _stop(settings)
        with self.console.status("composing the studies"):
            plans = self._plans(settings)
        with hydra_sees(plans[0].base):
            studies = Studies.of(plans, settings, stop)
            return run_sweep(studies, launcher, stop, self.console, self._on_start)

    def _run_benchmark(self, keys: Mapping[str, Any], launcher: Launcher) -> list[RunResult]:
        from erasure.tuning.benchmark.run import Benchmark, run_benchmark
        from erasure.tuning.benchmark.trials import Composer, Confirmation
        from erasure.tuning.settings import StudySettings

        about_it = {name: keys[key] for key, name in CONFIRMATION.items() if key in keys}
        others = {key: value for key, value in keys.items() if key not in CONFIRMATION}
        settings = _read("benchmark", others, StudySettings, *CONFIRMATION)
        confirmation, stop = Confirmation(**about_it), _stop(settings)
        with self.console.status("composing the benchmark"):
            plans = self._plans(settings)
        composer = Composer(
            compositions=self.compositions,
            confirmation=confirmation,
            typed=tuple(self.arguments),
            # twice, because a run whose process died is run again
            first=2 * settings.n_trials * len(settings.seeds) * len(plans),
        )
        with hydra_sees(plans[0].base):
            benchmark = Benchmark(
                plans=plans,
                settings=settings,
                composer=composer,
                stop=stop,
                launcher=launcher,
                console=self.console,
                on_start=self._on_start,
            )
            return run_benchmark(benchmark)

    def _plans(self, settings: "StudySettings") -> "list[StudyPlan]":
        from erasure.tuning.command import read_command
        from erasure.tuning.plan import plan_studies

        loader = self.compositions.loader
        command = read_command(loader, settings.params, self.arguments)
        return plan_studies(self.compositions, command, settings)

    def _on_start(self) -> None:
        keep_config(self.compositions.master)


def _read(source: str, keys: Mapping[str, Any], kind: type[Settings], *others: str) -> Settings:
    """Return the settings of a source, of which ``others`` are read elsewhere.

    Raises:
        ConfigError: If there is no such setting, or its value is not allowed.
    """
    names = [each.name for each in fields(kind)] + [*others]
    for key in keys:
        if key not in names:
            close = get_close_matches(key, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise ConfigError(f"hydra.sweeper.{key} is no setting of the source {source}; {hint}")
    return kind(**keys)


def _stop(settings: "GridSettings | StudySettings") -> Stop:
    return Stop.after(settings.max_hours, at_first_failure=settings.stop_at_first_failure)


def _refuse_ends(settings: GridSettings) -> None:
    """Refuse what ends a grid between two trials, with a launcher that takes all at once."""
    for name, default in (("max_hours", "null"), ("stop_at_first_failure", "false")):
        if getattr(settings, name):
            raise ConfigError(
                f"hydra.sweeper.{name} must be {default} with this hydra/launcher, which takes "
                "all trials of a grid at once; local and basic can end between two"
            )
