"""``erasure.leaderboard``; that its numbers are those of sweep and report is tested there."""

import math
from dataclasses import replace

import pytest

import erasure
from erasure.core.errors import ConfigError
from erasure.results.record import TrialRecord, TrialResult

EVALUATOR = {
    "evaluator._target_": "erasure.evaluation.Evaluator",
    "evaluator.heldout": "test",
    "evaluator.metrics.accuracy._target_": "erasure.metrics.Accuracy",
}


def result(unlearner, seed, metrics=None, params=None, **settings):
    """A trial of which nothing is there but its record."""
    stages = ("split", "train", "unlearn", "evaluate")
    record = TrialRecord(
        name=f"{unlearner} {seed}",
        fingerprint=f"{unlearner}-{settings}-{seed}",
        params={
            "unlearner._target_": f"x.{unlearner.capitalize()}",
            **{f"unlearner.{key}": str(value) for key, value in settings.items()},
            **(params or {}),
        },
        tags={
            "unlearner": unlearner,
            "dataset": "digits",
            "model": "mlp",
            "split": "random",
            **{f"seed.{stage}": str(seed) for stage in stages},
        },
    )
    if metrics is None:
        return TrialResult(trial=record, outcome="failed", reason="no memory")
    return TrialResult(trial=record, outcome="finished", metrics=metrics)


RESULTS = [
    result("ssd", 0, {"gap/avg": 0.3}, alpha=1.0),
    result("ssd", 1, {"gap/avg": 0.5}, alpha=1.0),
    result("ssd", 0, {"gap/avg": 0.1}, alpha=5.0),
    result("ssd", 1, None, alpha=5.0),
    result("retrain", 0, {"gap/avg": 0.0}),
]


def test_a_setting_is_what_differs_besides_seeds():
    table = erasure.leaderboard(RESULTS, by={"gap/avg": "minimize"})
    assert list(table["method"]) == ["ssd (alpha=5)", "ssd (alpha=1)", "retrain"]
    assert list(table["block"]) == ["digits · mlp · random"] * 3
    assert list(table["reference"]) == [False, False, True]
    assert list(table["n"]) == [2, 2, 1]
    assert list(table["finished"]) == [1, 2, 1]
    assert list(table["gap/avg"]) == pytest.approx([0.1, 0.4, 0.0])
    # two values of 0.1 from the mean: sqrt(0.02), and Student's 12.706 for one degree of freedom
    assert table["gap/avg sd"][1] == pytest.approx(math.sqrt(0.02))
    assert table["gap/avg high"][1] == pytest.approx(0.4 + 12.7062 * 0.1, abs=1e-5)
    assert math.isnan(table["gap/avg sd"][0])


def test_the_order_can_be_turned_around():
    table = erasure.leaderboard(RESULTS, by={"gap/avg": "maximize"})
    assert list(table["method"]) == ["ssd (alpha=1)", "ssd (alpha=5)", "retrain"]


def test_the_meaning_of_a_metric_says_which_way_is_better():
    """Retain accuracy is better when higher, forget accuracy when closer to that of gold."""
    low = {"retain/accuracy": 0.7, "forget/accuracy": 0.6, "gold/forget/accuracy": 0.5}
    high = {"retain/accuracy": 0.9, "forget/accuracy": 0.1, "gold/forget/accuracy": 0.5}
    results = [result("low", 0, low, EVALUATOR), result("high", 0, high, EVALUATOR)]
    assert list(erasure.leaderboard(results, by="retain/accuracy")["method"]) == ["high", "low"]
    by_gold = erasure.leaderboard(results, by="forget/accuracy", metrics=["forget/accuracy"])
    assert list(by_gold["method"]) == ["low", "high"]
    assert list(by_gold["forget/accuracy"]) == [0.6, 0.1]


def test_the_objective_of_the_trials_ranks_them_by_default():
    objective = {"objective.metrics.gap/avg": "maximize"}
    results = [result("a", 0, {"gap/avg": 0.1}, objective)]
    results += [result("b", 0, {"gap/avg": 0.2}, objective)]
    assert list(erasure.leaderboard(results)["method"]) == ["b", "a"]
    assert list(erasure.leaderboard(results, by="gap/avg")["method"]) == ["b", "a"]


def test_a_trial_that_is_handed_over_twice_counts_once():
    once = result("a", 0, {"gap/avg": 0.1})
    (row,) = erasure.leaderboard([once, replace(once, run="read back")]).to_dict("records")
    assert (row["n"], row["gap/avg n"]) == (1, 1)


def test_trials_that_all_failed_are_a_table_too():
    table = erasure.leaderboard([result("b", 0), result("a", 0)])
    assert table[["method", "n", "finished"]].to_dict("list") == {
        "method": ["a", "b"],
        "n": [1, 1],
        "finished": [0, 0],
    }


@pytest.mark.parametrize(
    ("results", "arguments", "message"),
    [
        ([], {}, "results must have at least one trial"),
        (RESULTS, {"by": "gap/agv"}, "no run has the metric 'gap/agv'; did you mean gap/avg"),
        (RESULTS, {"by": "gap/avg"}, "by must say which way gap/avg is better"),
        (RESULTS, {"by": {"gap/avg": "less"}}, r"by\[gap/avg\] must be minimize or maximize"),
        (RESULTS, {"metrics": ["accuracy"]}, "no run has the metric 'accuracy'"),
        (RESULTS, {"level": 95}, "level must be between 0 and 1, got 95"),
    ],
)
def test_what_cannot_be_meant_is_refused(results, arguments, message):
    with pytest.raises(ConfigError, match=message):
        erasure.leaderboard(results, **arguments)
