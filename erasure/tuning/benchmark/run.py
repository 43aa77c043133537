"""The story of a benchmark: tune every method, write recipes, confirm them, compare.

Nothing is kept but what studies and stored results hold anyway, so that a benchmark that was
killed at any point goes on with the same command.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from erasure.config.compose import Compositions
from erasure.config.errors import SweepError
from erasure.config.paths import to_absolute
from erasure.core.errors import ConfigError
from erasure.core.fingerprint import combine
from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.results.store import ResultStore
from erasure.sweep.grid import Grid, run_all
from erasure.sweep.models_to_train import RequiredModel, required_models, summarize_models
from erasure.sweep.run_results import RunResult
from erasure.training.model_store import ModelStore
from erasure.trial.places import store_root
from erasure.tuning.benchmark.table import BenchmarkTable, Method, TrialMetrics
from erasure.tuning.benchmark.trials import Composer, Confirmation, MethodRuns
from erasure.tuning.client import is_hopeless
from erasure.tuning.plan import StudyPlan
from erasure.tuning.recipe import KeptStudy, kept_studies, recipe_name
from erasure.tuning.settings import StudySettings
from erasure.tuning.study import Search, compose_studies, run_plans, trials_of


def run_benchmark(
    search: Search, confirmation: Confirmation, arguments: Sequence[str]
) -> list[RunResult]:
    """Tune every method that ``arguments`` name, then compare tuned settings and defaults.

    Returns:
        One result per confirming run.

    Raises:
        ErasureError: If something cannot work; then nothing was run. Or if tuning ended early.
            Or, when all is summed up, if a method has no tuned setting or a trial no result.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    stop = Stop.after(search.settings.max_hours)
    with search.console.status("composing the benchmark"):
        plans = compose_studies(search, arguments)
        _refuse(search.settings, confirmation, plans)
        composer = Composer(
            compositions=Compositions(loader=search.loader, master=search.master),
            confirmation=confirmation,
            typed=tuple(arguments),
            first=search.settings.n_trials * len(search.settings.seeds) * len(plans),
        )
        methods = composer.untuned(plans)
    _check(search, methods)
    tuning_problem = _tune(search, plans, stop)
    studies = _finished(search, plans, tuning_problem)
    folder = _folder(confirmation, plans)
    recipes = [study.recipe().write(folder) for study in studies.values() if study.best]
    with search.console.status("composing what confirms"):
        methods = composer.tuned(methods, studies)
    run_results, confirming_problem = _confirm(search, methods, confirmation, stop)
    table = _table(search, methods, recipes, confirmation)
    table.write(folder)
    table.show(search.console, folder)
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


def _check(search: Search, methods: Sequence[MethodRuns]) -> None:
    """Refuse what could not be confirmed hours later, before anything is tuned."""
    runs = [run for method in methods for run in method.defaults]
    root = store_root(runs[0].config)
    results, required = ResultStore(root), list[RequiredModel]()
    for run in runs:
        models = required_models([run.config])  # also of what finished: it checks as well
        if results.finished(run.record.fingerprint) is None:
            required += models
    to_train = summarize_models(required, ModelStore(root)) or "no model to train"
    outlook = f"a benchmark of {len(methods)} methods: tuning, then {2 * len(runs)} trials at most"
    search.console.print(Text(f"{outlook} to confirm; for those {to_train}"), soft_wrap=True)


def _tune(search: Search, plans: Sequence[StudyPlan], stop: Stop) -> str:
    """Bring the studies to their number of trials and return what went wrong, if anything."""
    search.console.print("tuning, on validation data", style="bold")
    try:
        run_plans(search, plans, stop)
    except SweepError as error:
        return str(error)
    return ""


def _finished(search: Search, plans: Sequence[StudyPlan], problem: str) -> dict[str, KeptStudy]:
    """Return the studies; a method that was tuned less than others must not be compared."""
    settings, names = search.settings, {plan.name for plan in plans}
    kept = kept_studies(store_root(plans[0].base), settings.storage)
    studies = {study.name: study for study in kept if study.name in names}
    unfinished = [
        plan.label
        for plan in plans
        if plan.name not in studies or not _is_over(studies[plan.name], plan, settings)
    ]
    if unfinished:
        message = f"tuning of {', '.join(unfinished)} is not finished, so nothing was confirmed"
        reason = f" ({problem})" if problem else ""
        raise SweepError(f"{message}{reason}; the same command goes on")
    return studies


def _is_over(study: KeptStudy, plan: StudyPlan, settings: StudySettings) -> bool:
    ended = sum(trial.state.is_finished() for trial in study.trials)
    if is_hopeless(study.trials, settings.max_failures):
        return True
    return ended >= trials_of(plan, settings)


def _folder(confirmation: Confirmation, plans: Sequence[StudyPlan]) -> Path:
    if confirmation.output is not None:
        return Path(to_absolute(confirmation.output))
    identity = combine(sorted(f"{plan.name} {plan.fixed}" for plan in plans))
    return store_root(plans[0].base) / "benchmark" / identity[:12]


def _confirm(
    search: Search, methods: Sequence[MethodRuns], confirmation: Confirmation, stop: Stop
) -> tuple[list[RunResult], str]:
    """Run the comparison and return its results, or what went wrong."""
    title = f"\nconfirming on other seeds, evaluator={confirmation.evaluator}"
    search.console.print(title, style="bold")
    every = (run for method in methods for run in (*method.defaults, *method.tuned))
    # by number: where nothing beats the defaults, defaults and tuned are the same runs
    runs = list({run.number: run for run in every}.values())
    axes = {
        "unlearner": [f"unlearner={method.plan.label}" for method in methods],
        "settings": ["settings=defaults", "settings=tuned"],
        "seed": [f"seed={seed}" for seed in confirmation.seeds],
    }
    grid = Grid(
        launcher=search.launcher,
        loader=search.loader,
        master=search.master,
        console=search.console,
    )
    try:
        return run_all(grid, runs, axes, stop), ""
    except SweepError as error:
        return [], str(error)


def _table(
    search: Search,
    methods: Sequence[MethodRuns],
    recipes: Sequence[Path],
    confirmation: Confirmation,
) -> BenchmarkTable:
    store = ResultStore(store_root(methods[0].plan.base))

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
            "trials of each method": str(search.settings.n_trials),
            "tuned with seeds": ", ".join(map(str, search.settings.seeds)),
            "confirmed with seeds": ", ".join(map(str, confirmation.seeds)),
            "evaluator": confirmation.evaluator,
        },
        recipes=recipes,
    )
