"""The sweep's tables, the report's and the one of Python have the same numbers in one order."""

import ast
import csv
import io
import math
from pathlib import Path

import pytest
from rich.console import Console
from tracked import entries
from trials import stand_in

import erasure
import multirun_analysis
from erasure.launch.run import Run
from erasure.results.record import TrialRecord, TrialResult
from erasure.schema import format_number
from erasure.sweeps.files import SweepSummary
from erasure.sweeps.grid_table import GridTable
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.summary import leaderboard as sweep_leaderboard
from erasure.sweeps.summary import spread
from erasure.trial.objective import Objective
from multirun_analysis import leaderboard
from multirun_analysis.read.in_memory import from_runs
from multirun_analysis.read.source import RawRun

GAP = Objective(metrics={"gap/avg": "minimize"})
UTILITY = Objective(metrics={"retain/accuracy": "maximize", "gap/avg": "minimize"})
CRAFTED = {
    "far": [(0, 0.4, 0.9), (1, 0.6, 0.7)],
    "near": [(0, 0.1, 0.8), (1, 0.3, 0.9), (2, 0.2, None)],
    "b_tied": [(0, 0.25, 0.5), (1, 0.75, 0.5)],
    "a_tied": [(0, 0.75, 0.5), (1, 0.25, 0.5)],
    "one_seed": [(0, 0.35, 0.6)],
    "shared": [(0, 0.2, 0.5), (0, 0.4, 0.7), (1, 0.7, 0.9)],
    "endless": [(0, math.inf, 0.5), (1, 0.45, 0.6)],
    "half": [(0, 0.15, 0.4), "diverged"],
    "dead": ["failed", "failed"],
    "retrain": [(0, 0.0, 0.9), (1, 0.02, 0.9)],
    "identity": [(0, 0.9, 0.9), (1, 0.8, 0.9)],
}
"""By method its trials: training seed, gap and retain accuracy; or how it ended without them."""


def crafted(objective):
    """The trials of all methods as results; what is None was not measured."""
    results = []
    for method, trials in CRAFTED.items():
        for number, trial in enumerate(trials):
            failed = isinstance(trial, str)
            seed, gap, retain = (number, None, None) if failed else trial
            values = {"gap/avg": gap, "retain/accuracy": retain}
            ranking = {f"objective.metrics.{n}": way for n, way in objective.metrics.items()}
            record = TrialRecord(
                name=f"{method} {number}",
                fingerprint=f"{method}-{number}",
                params={"unlearner._target_": f"x.{method.capitalize()}", **ranking},
                tags={
                    "unlearner": method,
                    "dataset": "digits",
                    "model": "mlp",
                    "split": "random",
                    **{f"seed.{stage}": str(seed) for stage in ("split", "train", "evaluate")},
                    "seed.unlearn": str(number),
                },
            )
            measured = {name: value for name, value in values.items() if value is not None}
            outcome = trial if failed else "finished"
            reason = "the loss is nan" if failed else ""
            result = TrialResult(trial=record, outcome=outcome, reason=reason, metrics=measured)
            results.append(result)
    return results


def run_results(results):
    return [
        RunResult(
            run=Run(
                number=number,
                trial=stand_in(result.trial),
                label=result.trial.name,
                variant=result.trial.tags["unlearner"],
            ),
            state="finished" if result.outcome == "finished" else "failed",
            result=result,
            reason=result.reason,
        )
        for number, result in enumerate(results)
    ]


def summary_of(results, objective):
    return SweepSummary(
        name="crafted",
        fingerprint="f",
        command="python run.py -m",
        tracking_run="r",
        table=GridTable(
            run_results=run_results(results),
            board=sweep_leaderboard(run_results(results), objective),
        ),
    )


def analysed(results):
    """What the analysis makes of the trials if they were tracked."""
    runs = [
        RawRun(
            run_id=result.trial.fingerprint,
            name=result.trial.name,
            experiment="",
            status="",
            started=0.0,
            ended=0.0,
            artifact_uri="",
            tags={
                **result.trial.tags,
                "erasure.fingerprint": result.trial.fingerprint,
                "erasure.outcome": result.outcome,
            },
            params=result.trial.params,
            metrics=result.metrics,
        )
        for result in results
    ]
    files = {r.trial.fingerprint: entries({"unlearned": dict(r.metrics)}) for r in results}
    return from_runs(runs, files)


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("objective", [GAP, UTILITY], ids=["minimize", "maximize_first"])
def test_every_table_has_the_same_numbers_in_the_same_order(objective):
    results = crafted(objective)
    table = erasure.leaderboard(results)
    sweep = sweep_leaderboard(run_results(results), objective)
    report = leaderboard(analysed(results))
    order = [row.label for row in sweep.rows]
    assert list(table["method"]) == order == [line.method for line in report.lines]
    assert order[-2:] == ["retrain", "identity"]
    assert order.index("a_tied") + 1 == order.index("b_tied")
    assert order[-3] == "dead"
    for row, line, (_, numbers) in zip(sweep.rows, report.lines, table.iterrows(), strict=True):
        assert (row.finished, row.total) == (line.finished, line.total)
        assert (row.finished, row.total) == (numbers["finished"], numbers["n"])
        assert row.is_yardstick == line.reference == numbers["reference"]
        for metric in sweep.metrics:
            cell = row.spreads.get(metric)
            mean, sd, count = (
                (cell.mean, cell.deviation, cell.count) if cell else (math.nan, math.nan, 0)
            )
            assert same(numbers[metric], mean)
            assert same(numbers[f"{metric} sd"], sd)
            assert same(line.cells[metric].mean, mean)
            assert numbers[f"{metric} n"] == line.cells[metric].n_ok == count


def test_the_files_and_the_terminal_of_a_sweep_show_these_numbers(tmp_path):
    results = crafted(GAP)
    summary = summary_of(results, GAP)
    summary.write(tmp_path)
    out = io.StringIO()
    summary.table.show(Console(file=out, width=200, highlight=False))
    markdown = (tmp_path / "summary.md").read_text(encoding="utf-8")
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as file:
        trials = list(csv.DictReader(file))
    for _, numbers in erasure.leaderboard(results).iterrows():
        method, mean, sd = numbers["method"], numbers["gap/avg"], numbers["gap/avg sd"]
        text = format_number(mean) + ("" if math.isnan(sd) else f" ± {format_number(sd)}")
        name = f"*{method}*" if numbers["reference"] else method
        (line,) = (line for line in markdown.splitlines() if line.startswith(f"| {name} |"))
        assert f"| {text} |" in line
        # the first: a failure has a line of its own below the table
        shown = [line for line in out.getvalue().splitlines() if line.startswith(f"{method} ")]
        line = shown[0]
        assert text.replace(" ± ", " ±") in line
        # a row of the file is a trial: its numbers make the table
        mine = [trial for trial in trials if trial["variant"] == method]
        values = [float(trial["gap/avg"] or "nan") for trial in mine]
        cell = spread(values, [trial["seed.train"] for trial in mine])
        assert (cell is None and math.isnan(mean)) or (cell and cell.mean == mean)


def test_trials_of_one_training_seed_are_averaged_first():
    (row,) = (
        row
        for row in sweep_leaderboard(run_results(crafted(GAP)), GAP).rows
        if row.label == "shared"
    )
    cell = row.spreads["gap/avg"]
    # 0.2 and 0.4 are of one original: the units are 0.3 and 0.7
    assert (cell.mean, cell.count) == (pytest.approx(0.5), 3)
    assert cell.deviation == pytest.approx(math.sqrt(0.08))


def test_infinity_is_no_value():
    cell = spread([math.inf, 0.5])
    assert (cell.mean, cell.count) == (0.5, 1)
    assert spread([math.inf]) is None


def test_the_order_of_a_report_is_that_of_the_objective_and_its_second_metric_breaks_ties():
    trials = {
        "slow": {"gap/avg": 0.1, "guard/change": 2.0},
        "fast": {"gap/avg": 0.1, "guard/change": 9.0},
        "poor": {"gap/avg": 0.2, "guard/change": 9.0},
    }
    objective = {"gap/avg": "minimize", "guard/change": "maximize"}
    results = [
        TrialResult(
            trial=TrialRecord(
                name=name,
                fingerprint=name,
                params={f"objective.metrics.{metric}": way for metric, way in objective.items()},
                tags={"unlearner": name, "seed.train": "0"},
            ),
            outcome="finished",
            metrics=values,
        )
        for name, values in trials.items()
    ]
    assert [line.method for line in leaderboard(analysed(results)).lines] == [
        "fast",
        "slow",
        "poor",
    ]


def test_a_sweep_loads_nothing_of_the_analysis_that_takes_time():
    package = Path(multirun_analysis.__file__).parent
    modules = [*package.glob("statistics/*.py"), package / "tables" / "ranking.py"]
    modules += [package / "__init__.py", package / "tables" / "__init__.py"]
    for module in modules:
        body = ast.parse(module.read_text(encoding="utf-8")).body
        names = [
            alias.name for node in body if isinstance(node, ast.Import) for alias in node.names
        ]
        names += [node.module for node in body if isinstance(node, ast.ImportFrom)]
        heavy = {"pandas", "scipy", "matplotlib", "jinja2", "mlflow", "torch"}
        assert not heavy & {name.partition(".")[0] for name in names}, module
