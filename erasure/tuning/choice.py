"""Which trial of a study to take."""

import math
from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from erasure.config.overrides import override_value
from erasure.trial.objective import Objective
from erasure.tuning.search_space import Space, Value
from erasure.tuning.storage import CONSTRAINTS

RULE = "minimum L2 norm of the first two objectives on the Pareto front, ties by the third"


def candidates(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that are complete and keep every constraint."""
    return [
        trial
        for trial in trials
        if trial.state == TrialState.COMPLETE
        and all(value <= 0 for value in trial.user_attrs.get(CONSTRAINTS, {}).values())
    ]


def pareto_front(trials: Sequence[FrozenTrial], objective: Objective) -> list[FrozenTrial]:
    """Return the candidates that no other one beats in every objective, in order of number.

    Of trials with equal values the first stands for all.
    """
    costs = {trial.number: objective.costs(trial.values) for trial in candidates(trials)}
    front = {
        number: cost
        for number, cost in costs.items()
        if not any(_beats(other, cost) for other in costs.values())
    }
    # reversed, so that of equal costs the first number is written last and stays
    first = {cost: number for number, cost in reversed(front.items())}
    return [trial for trial in trials if trial.number in first.values()]


def best_trial(trials: Sequence[FrozenTrial], objective: Objective) -> FrozenTrial | None:
    """Return the best trial, or None if no candidate is there.

    With several objectives that is the one of the Pareto front nearest to the origin in the
    first two; of an objective to be maximized the distance to the best value counts.
    """
    front = pareto_front(trials, objective)
    if not front:
        return None
    best = [
        min(column) for column in zip(*(objective.costs(t.values) for t in front), strict=True)
    ]
    # what is best is 0 for a cost; of what is maximized the best of the front stands for it
    turned = [direction == "maximize" for direction in objective.directions]

    def rank(trial: FrozenTrial) -> tuple[float, ...]:
        costs = objective.costs(trial.values)
        if len(costs) == 1:
            return (*costs, trial.number)
        parts = [
            cost - ideal if is_turned else cost
            for cost, ideal, is_turned in zip(costs, best, turned, strict=True)
        ]
        return (math.hypot(*parts[:2]), *parts[2:], trial.number)

    return min(front, key=rank)


def settings_of(trial: FrozenTrial, space: Space) -> dict[str, Value]:
    """Return what a trial set, by dotted setting."""
    # a space that lost an axis since: what was drawn for it is no setting any more
    drawn = {name: value for name, value in trial.params.items() if name in space}
    return {name: space[name].setting(value) for name, value in drawn.items()}


def overrides_of(settings: Mapping[str, Value]) -> list[str]:
    """Return settings as one writes them on a command line."""
    return [f"{name}={override_value(value)}" for name, value in settings.items()]


def _beats(costs: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(costs, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
