"""Which trial of a study is taken."""

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from erasure.trial.objective import Objective
from erasure.tuning.choice import best_trial, candidates, overrides_of, pareto_front

TWO = Objective(metrics={"a": "minimize", "b": "minimize"})


def study(*rows, directions=("minimize", "minimize"), violations=None):
    made = optuna.create_study(directions=list(directions))
    for number, values in enumerate(rows):
        attrs = {"erasure.constraints": {"c": violations[number]}} if violations else {}
        made.add_trial(create_trial(values=list(values), user_attrs=attrs))
    return made


def test_the_front_has_what_nobody_beats():
    trials = study((0.2, 0.6), (0.5, 0.3), (0.6, 0.6), (0.2, 0.6)).trials
    assert [trial.number for trial in pareto_front(trials, TWO)] == [0, 1]


def test_the_front_is_that_of_optuna():
    rows = [(0.1 * (i * 7 % 11), 0.1 * (i * 5 % 11)) for i in range(11)]
    made = study(*rows)
    ours = {trial.number for trial in pareto_front(made.trials, TWO)}
    assert ours == {trial.number for trial in made.best_trials}


def test_the_smallest_norm_of_the_front_wins_and_the_third_objective_breaks_ties():
    trials = study((0.2, 0.6), (0.5, 0.3), (0.1, 0.9)).trials
    assert best_trial(trials, TWO).number == 1  # norms 0.632, 0.583, 0.906
    three = Objective(metrics={"a": "minimize", "b": "minimize", "t": "minimize"})
    tied = study((0.3, 0.4, 2.0), (0.4, 0.3, 1.0), directions=["minimize"] * 3).trials
    assert best_trial(tied, three).number == 1


def test_what_is_maximized_counts_from_the_best():
    mixed = Objective(metrics={"score": "maximize", "loss": "minimize"})
    trials = study((0.9, 0.3), (0.8, 0.1), directions=["maximize", "minimize"]).trials
    assert best_trial(trials, mixed).number == 1  # (0, 0.3) against (0.1, 0.1)


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 0)])
def test_one_objective_takes_its_best(direction, best):
    trials = study((0.5,), (0.2,), (0.2,), directions=[direction]).trials
    assert best_trial(trials, Objective(metrics={"a": direction})).number == best


def test_a_broken_constraint_is_never_chosen():
    trials = study((0.1, 0.1), (0.5, 0.5), violations=[0.01, 0.0]).trials
    assert best_trial(trials, TWO).number == 1
    broken = study((0.1, 0.1), violations=[0.01]).trials
    assert best_trial(broken, TWO) is None


def test_only_complete_trials_count():
    made = optuna.create_study()
    made.add_trial(create_trial(state=TrialState.PRUNED, value=0.0))
    made.add_trial(create_trial(state=TrialState.FAIL))
    assert candidates(made.trials) == []


def test_settings_are_written_as_overrides():
    assert overrides_of({"a.b": None, "c": 0.5}) == ["a.b=null", "c=0.5"]


@pytest.mark.parametrize(
    ("bound", "measured", "violation"), [(0.05, 0.02, -0.03), (0.05, 0.1, 0.05)]
)
def test_violations_are_at_most_zero_where_a_bound_is_kept(bound, measured, violation):
    objective = Objective(metrics={"a": "minimize"}, constraints={"drop": bound})
    assert objective.violations({"drop": measured}) == {"drop": pytest.approx(violation)}
    assert objective.names == ["a", "drop"]
