"""The story of a benchmark: tune every method, write recipes, confirm them, compare.

Nothing is kept but what studies and stored results hold anyway, so that a benchmark that was
killed at any point goes on with the same command.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from erasure.config.paths import to_absolute
from erasure.core.errors import ConfigError
from erasure.core.fingerprint import combine
from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.results.store import ResultStore
from erasure.sweeps.grid import Grid
from erasure.sweeps.models_to_train import RequiredModel, required_models, summarize_models
from erasure.sweeps.run import GOES_ON, SweepError
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.source import Source
from erasure.training.model_store import ModelStore
from erasure.trial.places import store_root
from erasure.tuning.benchmark.table import BenchmarkTable, Method, TrialMetrics
from erasure.tuning.benchmark.trials import Composer, Confirmation, MethodRuns
from erasure.tuning.client import is_hopeless, trials_of
from erasure.tuning.plan import StudyPlan
from erasure.tuning.recipe import KeptStudy, kept_studies, recipe_name
from erasure.tuning.settings import StudySettings
from erasure.tuning.study import Studies


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is tuned and confirmed, and how.

    Args:
        plans: One study for each method.
        settings: How to search.
        composer: Composes the confirming trials, and has their seeds.
        stop: Due when no trial may be started any more, by either half.
        sweep: Carries out the runs of a source.
        console: Where to say how it goes.
    """

    plans: Sequence[StudyPlan]
    settings: StudySettings
    composer: Composer
    stop: Stop
    sweep: Callable[[Source], list[RunResult]]
    console: Console

    @property
    def confirmation(self) -> Confirmation:
        """How tuned settings are compared with those a method has by itself."""
        return self.composer.confirmation

    @property
    def root(self) -> Path:
        """The store."""
        return store_root(self.plans[0].base)

    def half(self, source: Source, title: str) -> tuple[list[RunResult], str]:
        """Run one half and return its results, or what went wrong."""
        self.console.print(title, style="bold")
        try:
            return self.sweep(source), ""
        except SweepError as error:
            return [], str(error)


def run_benchmark(benchmark: Benchmark) -> list[RunResult]:
    """Tune every method, then compare tuned settings and defaults.

    Two sweeps follow each other, each with its own records: the second is over a list that is
    known only when the first is over.

    Returns:
        One result per confirming run.

    Raises:
        ErasureError: If something cannot work; then nothing was run. Or if tuning ended early.
            Or, when all is summed up, if a method has no tuned setting or a trial no result.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    plans, settings, console = benchmark.plans, benchmark.settings, benchmark.console
    with console.status("composing the benchmark"):
        _refuse(settings, benchmark.confirmation, plans)
        methods = benchmark.composer.untuned(plans)
    _check(benchmark, methods)
    studies = Studies.of(plans, settings, benchmark.stop)
    _, tuning_problem = benchmark.half(studies, "tuning, on validation data")
    kept = _finished(benchmark, tuning_problem)
    folder = _folder(benchmark)
    recipes = [study.recipe().write(folder) for study in kept.values() if study.best]
    with console.status("composing what confirms"):
        methods = benchmark.composer.tuned(methods, kept)
    evaluator = benchmark.confirmation.evaluator
    title = f"\nconfirming on other seeds, evaluator={evaluator}"
    run_results, confirming_problem = benchmark.half(_confirming(benchmark, methods), title)
    table = _table(benchmark, methods, recipes)
    table.write(folder)
    table.show(console, folder)
    problems = [problem for problem in (tuning_problem, confirming_problem) if problem]
    if problems:
        raise SweepError("; ".join(problems))
    return run_results


def _refuse(
    settings: StudySettings, confirmation: Confirmation, plans: Sequence[StudyPlan]
) -> None:
    """Refuse a comparison that would be none, and recipes that would replace each other."""
    shared = sorted({*settings.seeds} & {*confirmation.seeds})
    if shared:
        raise ConfigError(
            "hydra.sweeper.confirm_seeds must share none with hydra.sweeper.seeds, with which "
            f"settings are tuned; got {', '.join(map(str, shared))} in both"
        )
    names = [recipe_name(plan.choices) for plan in plans]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            "a benchmark must have one study for each dataset, model, split and unlearner, "
            f"which name its recipe; got several for {', '.join(twice)}: start one benchmark each"
        )


def _check(benchmark: Benchmark, methods: Sequence[MethodRuns]) -> None:
    """Refuse what could not be confirmed hours later, before anything is tuned."""
    runs = [run for method in methods for run in method.defaults]
    results, required = ResultStore(benchmark.root), list[RequiredModel]()
    for run in runs:
        models = required_models([run])  # also of what finished: it checks as well
        if results.finished(run.record.fingerprint) is None:
            required += models
    to_train = summarize_models(required, ModelStore(benchmark.root)) or "no model to train"
    outlook = f"a benchmark of {len(methods)} methods: tuning, then {2 * len(runs)} trials at most"
    benchmark.console.print(Text(f"{outlook} to confirm; for those {to_train}"), soft_wrap=True)


def _finished(benchmark: Benchmark, problem: str) -> dict[str, KeptStudy]:
    """Return the studies; a method that was tuned less than others must not be compared."""
    plans, settings = benchmark.plans, benchmark.settings
    names = {plan.name for plan in plans}
    kept = kept_studies(benchmark.root, settings.storage)
    studies = {study.name: study for study in kept if study.name in names}
    unfinished = [
        plan.label
        for plan in plans
        if plan.name not in studies or not _is_over(studies[plan.name], plan, settings)
    ]
    if unfinished:
        message = f"tuning of {', '.join(unfinished)} is not finished, so nothing was confirmed"
        reason = f" ({problem.removesuffix(GOES_ON)})" if problem else ""
        raise SweepError(f"{message}{reason}{GOES_ON}")
    return studies


def _is_over(study: KeptStudy, plan: StudyPlan, settings: StudySettings) -> bool:
    ended = sum(trial.state.is_finished() for trial in study.trials)
    if is_hopeless(study.trials, settings.max_failures):
        return True
    return ended >= trials_of(plan, settings)


def _folder(benchmark: Benchmark) -> Path:
    if benchmark.confirmation.output is not None:
        return Path(to_absolute(benchmark.confirmation.output))
    identity = combine(sorted(f"{plan.name} {plan.fixed}" for plan in benchmark.plans))
    return benchmark.root / "benchmark" / identity[:12]


def _confirming(benchmark: Benchmark, methods: Sequence[MethodRuns]) -> Grid:
    """Return the comparison, as a list of runs."""
    every = (run for method in methods for run in (*method.defaults, *method.tuned))
    # by number: where nothing beats the defaults, defaults and tuned are the same runs
    runs = list({run.number: run for run in every}.values())
    axes = {
        "unlearner": [f"unlearner={method.plan.label}" for method in methods],
        "settings": ["settings=defaults", "settings=tuned"],
        "seed": [f"seed={seed}" for seed in benchmark.confirmation.seeds],
    }
    return Grid.of(runs, axes, benchmark.stop)


def _table(
    benchmark: Benchmark, methods: Sequence[MethodRuns], recipes: Sequence[Path]
) -> BenchmarkTable:
    store, settings = ResultStore(benchmark.root), benchmark.settings

    def measured(runs: Sequence[Run]) -> list[TrialMetrics]:
        results = [store.finished(run.record.fingerprint) for run in runs]
        return [dict(result.metrics) if result else {} for result in results]

    return BenchmarkTable(
        methods=[
            Method(
                label=method.plan.label,
                defaults=measured(method.defaults),
                tuned=measured(method.tuned),
                # the composer hands the same list on where nothing beats the defaults
                untouched=method.tuned is method.defaults,
            )
            for method in methods
        ],
        objective=methods[0].plan.objective,
        conditions={
            "trials of each method": str(settings.n_trials),
            "tuned with seeds": ", ".join(map(str, settings.seeds)),
            "confirmed with seeds": ", ".join(map(str, benchmark.confirmation.seeds)),
            "evaluator": benchmark.confirmation.evaluator,
        },
        recipes=recipes,
    )
