"""Optuna's own plots of a study, as files."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from erasure.trial.objective import Objective
from erasure.tuning.sampler import quiet_optuna

ENOUGH_TO_PLOT = 4
"""Complete trials from which importances mean anything."""


def importances(study: optuna.Study, objective: Objective) -> Mapping[str, float]:
    """Return how much of the variance of the first objective each setting explains.

    By functional ANOVA over a random forest (F. Hutter et al., "An Efficient Approach for
    Assessing Hyperparameter Importance", ICML 2014). Empty with too few complete trials, or
    where nothing varies.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    varied = {name for trial in complete for name in trial.params}
    values = {trial.values[0] for trial in complete}
    if len(complete) < ENOUGH_TO_PLOT or len(values) < 2 or not varied:
        return {}
    # without a target Optuna refuses several objectives
    target = _first if len(objective.metrics) > 1 else None
    with quiet_optuna():
        return get_param_importances(
            study, evaluator=FanovaImportanceEvaluator(seed=0), target=target
        )


def write_plots(study: optuna.Study, objective: Objective, folder: Path) -> None:
    """Write history, importances, slices, parallel coordinates and Pareto front as PNG files."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 2 or not any(trial.params for trial in complete):
        return
    from optuna.visualization import matplotlib as draw

    several = len(objective.metrics) > 1
    about: dict[str, Any] = {"target_name": next(iter(objective.metrics))}
    if several:
        about["target"] = _first
    plots: dict[str, Callable[[], Any]] = {
        "history": lambda: draw.plot_optimization_history(study, **about),
        "slice": lambda: draw.plot_slice(study, **about),
        "parallel_coordinate": lambda: draw.plot_parallel_coordinate(study, **about),
    }
    if importances(study, objective):
        plots["importances"] = lambda: draw.plot_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0), **about
        )
    if several and len(objective.metrics) <= 3:
        names = list(objective.metrics)
        plots["pareto_front"] = lambda: draw.plot_pareto_front(study, target_names=names)
    # a study's name may hold slashes and spaces
    study_folder = folder / re.sub(r"[^\w.=-]+", "_", study.study_name)
    study_folder.mkdir(parents=True, exist_ok=True)
    with _drawing():
        for name, plot in plots.items():
            _save(plot(), study_folder / f"{name}.png")


@contextmanager
def _drawing() -> Iterator[None]:
    """Draw into files, and leave the style of others alone."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    plt.switch_backend("agg")
    remarks = logging.getLogger("matplotlib.category")  # choices that look like numbers
    before, remarks.disabled = remarks.disabled, True
    try:
        with quiet_optuna(), mpl.rc_context():
            yield
    finally:
        plt.close("all")
        remarks.disabled = before


def _save(drawn: Any, path: Path) -> None:
    axes = drawn if hasattr(drawn, "figure") else drawn.flat[0]  # one plot, or one per setting
    figure = axes.figure
    figure.savefig(path, dpi=120, bbox_inches="tight")


def _first(trial: FrozenTrial) -> float:
    return float(trial.values[0])
