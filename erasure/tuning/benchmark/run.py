"""The story of a benchmark: tune every method, write recipes, confirm them, compare.

Nothing is kept but what studies and the ledger hold anyway, so that a benchmark that was killed
at any point goes on with the same command.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from erasure.config.compose import Compositions
from erasure.config.errors import SweepError
from erasure.core.errors import ConfigError
from erasure.core.fingerprint import combine
from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.results.store import ResultStore
from erasure.sweep.grid import Grid, run_planned
from erasure.sweep.models_to_train import RequiredModel, in_words, required_models
from erasure.sweep.run_results import Entry
from erasure.training.model_store import ModelStore
from erasure.trial.assemble import store_root
from erasure.trial.describe import to_absolute
from erasure.tuning.benchmark.table import Comparison, Method, MetricValue
from erasure.tuning.benchmark.trials import Composer, Confirmation, Contest
from erasure.tuning.plan import StudyPlan
from erasure.tuning.recipe import recipe_name
from erasure.tuning.recipes import KeptStudy, kept_studies
from erasure.tuning.schedule import is_hopeless
from erasure.tuning.settings import StudySettings
from erasure.tuning.study import Search, composed, run_plans, trials_of


def run_benchmark(
    search: Search, confirmation: Confirmation, arguments: Sequence[str]
) -> list[Entry]:
    """Tune every method that ``arguments`` name, then compare tuned settings and defaults.

    Returns:
        One entry per confirming trial.

    Raises:
        ErasureError: If something cannot work; then nothing was run. Or if tuning ended early.
            Or, when all is summed up, if a method has no tuned setting or a trial no result.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    stop = Stop.after(search.settings.max_hours)
    with search.console.status("composing the benchmark"):
        plans = composed(search, arguments)
        _refuse(search.settings, confirmation, plans)
        composer = Composer(
            compositions=Compositions(loader=search.loader, master=search.master),
            confirmation=confirmation,
            given=tuple(arguments),
            first=search.settings.n_trials * len(search.settings.seeds) * len(plans),
        )
        methods = composer.untuned(plans)
    _check(search, methods)
    problems = [_tuned(search, plans, stop)]
    studies = _finished(search, plans, problems[0])
    folder = _folder(confirmation, plans)
    recipes = [study.recipe().write(folder) for study in studies.values() if study.best]
    with search.console.status("composing what confirms"):
        methods = composer.tuned(methods, studies)
    entries, problem = _confirmed(search, methods, confirmation, stop)
    comparison = _comparison(search, methods, recipes, confirmation)
    comparison.write(folder)
    comparison.show(search.console, folder)
    problems = [found for found in (*problems, problem) if found]
    if problems:
        raise SweepError("; ".join(problems))
    return entries


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


def _check(search: Search, methods: Sequence[Contest]) -> None:
    """Refuse what could not be confirmed hours later, before anything is tuned."""
    trials = [trial for method in methods for trial in method.defaults]
    root = store_root(trials[0].config)
    ledger, needs = ResultStore(root), list[RequiredModel]()
    for trial in trials:
        found = required_models([trial.config])
        if ledger.finished(trial.trial.fingerprint) is None:
            needs += found
    models = in_words(needs, ModelStore(root)) or "no model to train"
    told = f"a benchmark of {len(methods)} methods: tuning, then {2 * len(trials)} trials at most"
    search.console.print(Text(f"{told} to confirm; for those {models}"), soft_wrap=True)


def _tuned(search: Search, plans: Sequence[StudyPlan], stop: Stop) -> str:
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
    found = {study.name: study for study in kept if study.name in names}
    open_ones = [
        plan.label
        for plan in plans
        if plan.name not in found or not _is_over(found[plan.name], plan, settings)
    ]
    if open_ones:
        told = f"tuning of {', '.join(open_ones)} is not finished, so nothing was confirmed"
        reason = f" ({problem})" if problem else ""
        raise SweepError(f"{told}{reason}; the same command goes on")
    return found


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


def _confirmed(
    search: Search, methods: Sequence[Contest], confirmation: Confirmation, stop: Stop
) -> tuple[list[Entry], str]:
    """Run the comparison and return its entries, or what went wrong."""
    told = f"\nconfirming on other seeds, evaluator={confirmation.evaluator}"
    search.console.print(told, style="bold")
    every = (trial for method in methods for trial in (*method.defaults, *method.tuned))
    trials = list({trial.number: trial for trial in every}.values())
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
        return run_planned(grid, trials, axes, stop), ""
    except SweepError as error:
        return [], str(error)


def _comparison(
    search: Search,
    methods: Sequence[Contest],
    recipes: Sequence[Path],
    confirmation: Confirmation,
) -> Comparison:
    ledger = ResultStore(store_root(methods[0].plan.base))

    def measured(trials: Sequence[Run]) -> list[MetricValue]:
        found = [ledger.finished(trial.trial.fingerprint) for trial in trials]
        return [dict(result.metrics) if result else {} for result in found]

    return Comparison(
        methods=[
            Method(
                label=method.plan.label,
                defaults=measured(method.defaults),
                tuned=measured(method.tuned),
                untouched=method.tuned is method.defaults,
            )
            for method in methods
        ],
        objective=methods[0].plan.objective,
        facts={
            "trials of each method": str(search.settings.n_trials),
            "tuned with seeds": ", ".join(map(str, search.settings.seeds)),
            "confirmed with seeds": ", ".join(map(str, confirmation.seeds)),
            "evaluator": confirmation.evaluator,
        },
        recipes=recipes,
    )
