import io
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from trials import stand_in

from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.results.record import TrialRecord, TrialResult
from erasure.sweeps.files import SweepSummary
from erasure.sweeps.grid import Grid, run_line
from erasure.sweeps.grid_table import GridTable
from erasure.sweeps.progress import Tally, progress
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.summary import format_number, leaderboard
from erasure.trial.objective import Objective

GAP = Objective(metrics={"gap/avg": "minimize"})


def run_result(variant, seed, metrics=None, *, reason="", read_back=False, trained=0):
    record = TrialRecord(
        name=f"{variant} · seed {seed}",
        fingerprint=f"{variant}{seed}",
        params={},
        tags={"unlearner": variant, "dataset": "digits", "seed": str(seed)},
    )
    run = Run(
        number=seed,
        overrides=(f"unlearner={variant}", f"seed={seed}"),
        trial=stand_in(record),
        label=record.name,
        variant=variant,
    )
    result = TrialResult(trial=record, outcome="finished", metrics=metrics or {}, trained=trained)
    return RunResult(
        run=run,
        state="failed" if reason else "finished",
        result=None if reason else result,
        reason=reason,
        read_back=read_back,
        seconds=1.25,
        log=Path("multirun/0/output.log") if reason else None,
        trained=0 if read_back else trained,
    )


RUN_RESULTS = [
    run_result("poor", 0, {"gap/avg": 0.5, "forget/accuracy": 1.0}, trained=2),
    run_result("poor", 1, {"gap/avg": 0.7, "forget/accuracy": 0.5}, read_back=True, trained=2),
    run_result("good", 0, {"gap/avg": 0.1, "forget/accuracy": 0.9, "odd": 3.0}, trained=1),
    run_result("good", 1, reason="lr must be smaller"),
    run_result("dead", 0, reason="the worker died (exit code 9)"),
]


def report():
    return SweepSummary(
        name="3 unlearners",
        fingerprint="f",
        command="python run.py -m seed=0,1",
        tracking_run="r",
        table=GridTable(run_results=RUN_RESULTS, board=leaderboard(RUN_RESULTS, GAP)),
    )


def test_rows_are_means_over_seeds_best_first():
    board = leaderboard(RUN_RESULTS, GAP)
    assert [row.label for row in board.rows] == ["good", "poor", "dead"]
    assert board.metrics == ["forget/accuracy", "gap/avg"]
    poor = board.rows[1].spreads
    assert poor["gap/avg"].mean == pytest.approx(0.6)
    # deviations from the mean are 0.1 and 0.1: sqrt((0.01 + 0.01) / (2 - 1))
    assert poor["gap/avg"].deviation == pytest.approx(math.sqrt(0.02))
    assert str(poor["forget/accuracy"]) == "0.750 ± 0.354"  # sqrt(2 * 0.25**2) = 0.3536


def test_one_value_has_no_spread_and_none_has_no_cell():
    good, _, dead = leaderboard(RUN_RESULTS, GAP).rows
    assert str(good.spreads["gap/avg"]) == "0.100"
    assert (good.finished, good.total) == (1, 2)
    assert dead.spreads == {}


def test_maximizing_turns_the_order_around():
    board = leaderboard(RUN_RESULTS, Objective(metrics={"gap/avg": "maximize"}))
    assert [row.label for row in board.rows] == ["poor", "good", "dead"]


def test_a_second_metric_breaks_ties():
    both = Objective(metrics={"gap/avg": "minimize", "cost/speedup": "maximize"})
    slow = run_result("slow", 0, {"gap/avg": 0.1, "cost/speedup": 2.0})
    fast = run_result("fast", 0, {"gap/avg": 0.1, "cost/speedup": 9.0})
    assert [row.label for row in leaderboard([slow, fast], both).rows] == ["fast", "slow"]


def test_values_that_are_not_numbers_are_left_out_of_the_mean():
    entries = [run_result("a", 0, {"gap/avg": math.nan}), run_result("a", 1, {"gap/avg": 0.2})]
    spread = leaderboard(entries, GAP).rows[0].spreads["gap/avg"]
    assert (spread.mean, spread.count) == (0.2, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (0.0004, "0.0004"),
        (7.09e-6, "7.09e-06"),
        (54700, "5.47e+04"),
    ],
)
def test_numbers_are_short(value, text):
    assert format_number(value) == text


def test_the_report_counts_every_kind_and_the_models_of_this_sweep():
    counts = "5 trials: 2 finished, 1 finished before, 2 failed; 3 models trained"
    assert report().table.counts() == counts
    assert report().table.missing == 2


def test_markdown_has_table_failures_and_command():
    lines = report().markdown().splitlines()
    assert "| unlearner | n | forget/accuracy | gap/avg |" in lines
    assert "| good | 1 of 2 | 0.900 | 0.100 |" in lines
    assert "| dead | 0 of 1 | – | – |" in lines
    assert "- good · seed 1: lr must be smaller (log: multirun/0/output.log)" in lines
    assert "python run.py -m seed=0,1" in lines


def test_the_csv_has_a_row_per_trial_and_a_column_per_metric(tmp_path):
    report().write(tmp_path)
    rows = (tmp_path / "summary.csv").read_text().splitlines()
    assert len(rows) == 6
    assert rows[0].endswith("gap/avg,forget/accuracy,odd")
    assert rows[3].endswith(",0.1,0.9,3.0")


@pytest.mark.parametrize("width", [60, 200])
def test_the_terminal_table_is_whole_at_any_width(width):
    out = io.StringIO()
    report().table.show(Console(file=out, width=width, highlight=False))
    text = out.getvalue()
    assert "0.600" in text
    assert "±0.141" in text
    assert "…" not in text


def shown(run_result, width=0):
    return run_line(run_result.run, run_result, GAP, width)


def grid(objective, tell=()):
    """A grid that was told of results."""
    runs = [run_result.run for run_result in RUN_RESULTS]
    made = Grid(runs=runs, records=SimpleNamespace(objective=objective), stop=Stop())
    for run_result in tell:
        made.tell(run_result.run, run_result)
    return made


def test_plain_progress_is_one_line_per_trial():
    out = io.StringIO()
    console = Console(file=out, width=200, highlight=False)
    with progress(12, 1, grid(GAP).best, console) as show:
        show(shown(RUN_RESULTS[0]))
        show(shown(RUN_RESULTS[3]))
    assert out.getvalue().splitlines() == [
        "[ 2/12] poor · seed 0   gap/avg 0.500   1.2 s",
        "the first trial took 1 s, for which 2 models were trained; 10 more take about 0 s at "
        "this pace, and less once the models are in the store",
        "[ 3/12] good · seed 1   failed: lr must be smaller",
    ]


def test_the_time_left_counts_only_trials_that_ran():
    clock = iter([100.0, 130.0, 130.0, 130.0])
    tally = Tally(total=10, now=lambda: next(clock))
    tally.add(shown(RUN_RESULTS[1]))  # finished before, took no time
    assert math.isnan(tally.remaining())
    tally.add(shown(RUN_RESULTS[0]))
    tally.add(shown(RUN_RESULTS[3]))
    assert tally.remaining() == pytest.approx(30 / 2 * 7)
    assert tally.text(grid(GAP, RUN_RESULTS[:2]).best()) == (
        "best gap/avg 0.500 · 1 failed · 2 min left"  # 105 s
    )


def test_the_best_follows_the_direction():
    made = grid(Objective(metrics={"gap/avg": "maximize"}), RUN_RESULTS[:3])
    assert made.best() == "best gap/avg 0.700"
    assert grid(GAP, RUN_RESULTS).best() == "best gap/avg 0.100"
    assert grid(GAP).best() == ""
