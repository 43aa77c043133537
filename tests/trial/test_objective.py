"""What a person sees: the objective, the table at the end, the stages in between."""

import io
import math

import pytest
from rich.console import Console

from erasure.core.errors import ConfigError
from erasure.results.record import TrialRecord, TrialResult
from erasure.trial.objective import Objective
from erasure.trial.progress import Progress
from erasure.trial.table import show_result


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120)


def text_of(console):
    return console.file.getvalue()


def test_objectives_are_read_in_order_and_missing_ones_are_nan():
    objective = Objective(metrics={"b": "minimize", "a": "maximize", "c": "minimize"})
    b, a, c = objective.values({"a": 1.0, "b": 2.0})
    assert (b, a) == (2.0, 1.0)
    assert math.isnan(c)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, "metrics must name at least one metric"),
        ({"gap/avg": "down"}, "metrics[gap/avg] must be minimize or maximize, got 'down'"),
    ],
)
def test_impossible_objectives_are_refused(metrics, message):
    with pytest.raises(ConfigError) as error:
        Objective(metrics=metrics)
    assert str(error.value) == message


def result(**metrics):
    trial = TrialRecord(name="scrub · digits", fingerprint="f", params={}, tags={})
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    return TrialResult(trial=trial, outcome="finished", metrics=named)


def row(console, label):
    line = next(line for line in text_of(console).splitlines() if label in line)
    return [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]


def test_the_table_shows_the_three_models_side_by_side(console):
    trial_result = result(
        original__forget__accuracy=1.0,
        forget__accuracy=0.8125,
        gold__forget__accuracy=0.75,
        original__test__accuracy=0.7561,
        mia__loss__auc=0.5129,
        gap__avg=0.01234,
        cost__original_seconds=2.0,
        cost__unlearn_seconds=0.25,
        cost__retrain_seconds=1.875,
        cost__speedup=7.5,
    )
    show_result(trial_result, console)
    assert text_of(console).startswith("scrub · digits")
    assert row(console, "gold")[1:] == ["original", "unlearned", "retrained gold"]
    assert row(console, "forget accuracy")[1:] == ["100.0 %", "81.2 %", "75.0 %"]
    assert row(console, "test accuracy")[1:] == ["75.6 %", "-", "-"]
    assert row(console, "loss-MIA AUC")[1:] == ["-", "0.513", "-"]
    assert row(console, "average gap to gold")[1:] == ["-", "0.012", "-"]
    assert row(console, "seconds")[1:] == ["2.00", "0.25", "1.88"]
    assert row(console, "speed-up over retraining")[1:] == ["", "7.5x", "1.0x"]


def test_rows_without_a_number_are_left_out(console):
    show_result(result(forget__accuracy=0.5), console)
    assert "test accuracy" not in text_of(console)
    assert "speed-up" not in text_of(console)
    assert row(console, "seconds")[1:] == ["-", "-", "-"]


def test_a_stage_is_timed_and_its_reports_become_curves(console):
    watch = Progress(console)
    with watch.stage("original", "training") as report:
        report(1, 2, loss=2.0, lr=0.1)
        report(2, 2, loss=1.0, lr=0.05)
    assert watch.curves == {
        "original/loss": [(1, 2.0), (2, 1.0)],
        "original/lr": [(1, 0.1), (2, 0.05)],
    }
    assert 0 <= watch.seconds["original"] < 1
    assert text_of(console).startswith("training")
    assert text_of(console).endswith(" s\n")


def test_stages_nest_and_add_up(console):
    watch = Progress(console)
    for _ in range(2):
        with watch.stage("outer", "outer title"), watch.stage("inner", "inner title") as report:
            report(1, 1, loss=3.0)
    assert watch.curves == {"inner/loss": [(1, 3.0), (1, 3.0)]}
    assert watch.seconds["inner"] <= watch.seconds["outer"]
    lines = [line.split("  ")[0] for line in text_of(console).splitlines()]
    assert lines == ["inner title", "outer title"] * 2


def test_an_error_in_a_stage_passes_and_the_next_one_works():
    terminal = Console(file=io.StringIO(), width=120, force_terminal=True)
    watch = Progress(terminal)

    def fail():
        with watch.stage("outer", "outer"), watch.stage("inner", "inner") as report:
            report(1, 4, loss=1.0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with watch.stage("next", "next title"):
        pass
    assert list(watch.seconds) == ["next"]
    assert "next title" in text_of(terminal)
