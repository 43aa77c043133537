"""Means, intervals and tables, against numbers worked out by hand."""

import csv
import io
import math
import statistics

import pandas as pd
import pytest
from tracked import FORGET, GOLD_FORGET, SECONDS, SEEDS, entries, roles, trial_of

import erasure
from erasure.results.record import TrialResult
from erasure.schema import format_number, without_password
from multirun_analysis import AnalysisError, aggregate, leaderboard, load
from multirun_analysis.read.frame import MetricMeaning
from multirun_analysis.statistics import t_interval
from multirun_analysis.tables.board import Board, lay_out
from multirun_analysis.tables.cells import BoardCell, Line
from multirun_analysis.tables.export import to_csv, to_latex, to_markdown, write_tables
from multirun_analysis.tables.provenance import provenance_of

T4 = 2.776445105
"""Student's 97.5 % quantile with 4 degrees of freedom."""


@pytest.fixture(scope="module")
def table(results):
    return aggregate(results)


@pytest.fixture(scope="module")
def board(results):
    return leaderboard(results)


def row(table, method, metric):
    (matching,) = table[(table["method"] == method) & (table["metric"] == metric)].to_dict(
        "records"
    )
    return matching


def test_mean_deviation_and_interval_of_the_specification(table):
    cell = row(table, "finetune", "cost/unlearn_seconds")
    assert cell["mean"] == pytest.approx(1.2)
    assert cell["sd"] == pytest.approx(0.169558, abs=1e-6)
    assert (cell["high"] - cell["low"]) / 2 == pytest.approx(0.210534, abs=1e-6)
    assert (cell["n_ok"], cell["n"], cell["units"]) == (5, 5, 5)


def test_the_gap_is_the_mean_distance_of_a_run_from_its_own_gold(table):
    cell = row(table, "finetune", "forget/accuracy")
    gaps = [FORGET["finetune"] - gold for gold in GOLD_FORGET]
    assert cell["gap"] == pytest.approx(statistics.fmean(gaps))
    half = T4 * statistics.stdev(gaps) / math.sqrt(5)
    assert cell["gap_high"] - cell["gap"] == pytest.approx(half)
    assert (cell["cost"], cell["cost_low"]) == (cell["gap"], cell["gap_low"])


def test_intervals_are_those_of_the_statistics(results, table):
    rows = results.measured("retain/accuracy")
    values = rows[rows["method"] == "finetune"]["value"]
    cell, expected = row(table, "finetune", "retain/accuracy"), t_interval(values)
    assert (cell["low"], cell["high"]) == pytest.approx((expected.low, expected.high))
    assert (cell["cost_low"], cell["cost_high"]) == (-cell["high"], -cell["low"])


def test_gold_and_original_count_each_model_once(table):
    gold = row(table, "gold", "forget/accuracy")
    assert (gold["n"], gold["mean"]) == (5, pytest.approx(0.72))
    assert row(table, "original", "mia/loss/auc")["mean"] == 0.75


def test_missing_values_are_counted_and_explained(table):
    cell = row(table, "grad_ascent", "forget/accuracy")
    assert (cell["n_ok"], cell["n"]) == (3, 5)
    assert set(cell["missing"].split("; ")) == {
        "1 diverged: the loss became nan",
        "1 not run: not run",
    }
    cell = row(table, "scrub (alpha=0.9)", "mia/loss/auc")
    assert (cell["n_ok"], cell["missing"]) == (4, "1 degenerate: constant_score")


def test_seeds_of_one_training_seed_are_no_independent_units(results):
    """Two unlearning seeds per training seed: the unit is their mean, five seeds become three."""
    shared = results.runs.assign(seed_train=results.runs["seed_train"] // 2)
    nested = type(results)(**{**vars(results), "runs": shared})
    cell = row(aggregate(nested), "finetune", "cost/unlearn_seconds")
    means = [(SECONDS[0] + SECONDS[1]) / 2, (SECONDS[2] + SECONDS[3]) / 2, SECONDS[4]]
    assert (cell["units"], cell["n_ok"]) == (3, 5)
    assert cell["mean"] == pytest.approx(statistics.fmean(means))
    assert cell["sd"] == pytest.approx(statistics.stdev(means))


def test_one_seed_has_no_interval_and_the_table_says_so(uri):
    board = leaderboard(load(uri))
    cells = [cell for line in board.lines for cell in line.cells.values()]
    assert all(math.isnan(cell.half_width) for cell in cells)
    assert "cells without interval: an interval needs 2 values, got 1" in to_markdown(board)
    assert "±" not in to_markdown(board).split("- ")[0]


def test_best_is_bold_only_if_its_interval_excludes_all_others(board):
    best = {
        (line.method, metric)
        for line in board.lines
        for metric, cell in line.cells.items()
        if cell.best
    }
    # Distances to gold of forget accuracy are 0.08 ± 0.020 and 0.11 ± 0.025, which overlap; those
    # of the attack are 0.06 and 0.08 on every seed; retain accuracy is the same for all.
    assert best == {("finetune", "cost/unlearn_seconds"), ("grad_ascent", "mia/loss/auc")}


def test_yardsticks_are_never_best_and_come_last(board):
    methods = [line.method for line in board.lines]
    assert methods[-2:] == ["gold", "original"]
    assert set(methods[-4:-2]) == {"identity", "retrain"}
    assert methods[0] == "scrub (alpha=0.5)"
    assert board.ranked_by == "gap/avg"


def test_python_has_the_numbers_of_the_tracked_sweep(table, board):
    """The same trials, once written to MLflow and loaded, and once handed over in memory."""
    methods = [("scrub", "0.5"), ("scrub", "0.9")]
    methods += [(name, "") for name in ("identity", "retrain", "finetune", "grad_ascent")]
    in_memory = [
        TrialResult(
            trial=trial_of(name, alpha, seed),
            outcome="diverged" if (name, seed) == ("grad_ascent", 3) else "finished",
            metrics={
                key: entry["value"]
                for key, entry in entries(roles(name, alpha, seed)).items()
                if entry["value"] is not None
            },
        )
        for name, alpha in methods
        for seed in SEEDS
        if (name, seed) != ("grad_ascent", 4)  # never started
    ]
    settings = erasure.leaderboard(
        in_memory, metrics=["forget/accuracy", "mia/loss/auc", "gap/avg"]
    )
    lines = [line for line in board.lines if not line.model]
    assert list(settings["method"]) == [line.method for line in lines]
    assert list(settings["reference"]) == [line.reference for line in lines]
    tracked = table[table["role"] == "unlearned"].set_index(["method", "metric"])
    for _, row in settings.iterrows():
        for metric in ("forget/accuracy", "mia/loss/auc", "gap/avg"):
            cell = tracked.loc[(row["method"], metric)]
            for name, suffix in (("mean", ""), ("sd", " sd"), ("low", " low"), ("high", " high")):
                assert row[metric + suffix] == pytest.approx(cell[name], rel=0, abs=0, nan_ok=True)
            assert row[f"{metric} n"] == cell["n_ok"]


def test_a_metric_no_run_has_is_refused_with_names_that_are_near(results):
    with pytest.raises(AnalysisError, match="did you mean forget/accuracy"):
        leaderboard(results, ["forget/acuracy"])


def test_the_provenance_of_a_table_are_complete(results, uri):
    provenance = provenance_of(results)
    assert provenance == {
        "runs": "28 finished, 1 diverged, 1 not run",
        "seeds": "5 split, 5 train, 5 unlearn, 5 evaluate",
        "forget set": "RandomForget (fraction=0.1)",
        "samples": "forgotten 50; attacked, with those never seen 50",
        "held-out part": "test",
        "gold models": "5",
        "hardware": "box, device=cuda, threads=1",
        "commit": "a" * 12,
        "ranked by": "gap/avg (minimize)",
        "tracked at": uri,
    }


def test_a_password_is_not_shown():
    assert without_password("http://me:secret@host:1/x") == "http://me:***@host:1/x"
    assert without_password("sqlite:///a/b.db") == "sqlite:///a/b.db"


def test_markdown_golden(results):
    board = leaderboard(results, ["forget/accuracy", "cost/unlearn_seconds"])
    lines = to_markdown(board).splitlines()
    assert lines[0] == "**digits · mlp · random**"
    assert lines[2] == ("| method | n | forget/accuracy → gold | cost/unlearn_seconds [s] ↓ |")
    # 11.5, 14.0 and 9.5 have the s.d. 2.2546; 4.302653 is Student's quantile for three
    assert format_number(4.302653 * 2.2546 / 3**0.5) == "5.601"
    by_method = {line.split(" | ")[0][2:]: line for line in lines if line.startswith("| ")}
    assert by_method["finetune"] == (
        "| finetune | 5 | 0.950 ± 0.000 (0.230) | **1.200** ± 0.211 |"
    )
    assert by_method["grad_ascent"] == (
        "| grad_ascent | 3 of 5 | 0.600 ± 0.000 (0.110) 3/5 [a] | 11.667 ± 5.601 3/5 [a] |"
    )
    assert by_method["*gold*"] == "| *gold* | 5 | 0.720 ± 0.020 | – |"
    notes = [line for line in lines if line.startswith("- ")]
    assert notes[0] == "- [a] 1 diverged: the loss became nan; 1 not run: not run"
    assert "- gold models: 5" in notes


def test_latex_is_balanced_escaped_and_has_booktabs_rules(board):
    text = to_latex(board)
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {line.count(" & ") for line in rows} == {len(board.metrics) + 1}
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert r"cost/unlearn\_seconds [s] $\downarrow$" in text
    assert r"grad\_ascent & 3 of 5" in text
    assert r"$\mathbf{1.200}$ $\pm\,0.211$" in text
    assert "–" not in text.replace("--", "")


def test_latex_writes_small_numbers_as_powers_of_ten():
    text = to_latex(board_of(1.5e-6, "50 % of {x}_1"))
    assert r"$1.5 \cdot 10^{-6}$" in text
    assert r"50 \% of \{x\}\_1" in text


def test_csv_has_every_number_and_the_provenance(results, table):
    rows = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert len(rows) == len(table)
    csv_row = next(
        r for r in rows if (r["method"], r["metric"]) == ("finetune", "cost/unlearn_seconds")
    )
    assert float(csv_row["mean"]) == pytest.approx(1.2)
    assert (csv_row["unit"], csv_row["direction"], csv_row["gold_models"]) == ("s", "min", "5")


def test_tables_are_written(results, board, tmp_path):
    paths = write_tables(results, board, tmp_path / "new")
    assert [path.name for path in paths] == [
        "leaderboard.md",
        "leaderboard.tex",
        "leaderboard.csv",
    ]
    assert all(path.read_text() for path in paths)
    assert len(pd.read_csv(paths[2])) > 0


def test_a_notebook_shows_markdown(board):
    assert board._repr_markdown_() == to_markdown(board)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (7.14e-6, "7.14e-06"),
        (92636.0, "9.26e+04"),
        (math.nan, "–"),
    ],
)
def test_figures_are_short(value, text):
    assert format_number(value) == text


def test_letters_of_footnotes_go_on_after_z():
    lines = [line_of(f"m{k}", missing=f"reason {k}") for k in range(28)]
    layout = lay_out(board_of(1.0, "", lines))
    assert list(layout.footnotes)[24:] == ["y", "z", "aa", "ab"]


def line_of(method, mean=1.0, missing=""):
    cell = BoardCell(
        mean=mean,
        half_width=math.nan,
        gap=math.nan,
        n_ok=1,
        n=2 if missing else 1,
        best=False,
        in_null_band=False,
        missing=missing,
        no_interval="",
    )
    return Line(
        block="block",
        method=method,
        reference=False,
        model=False,
        finished=1,
        total=1,
        cells={"x": cell},
    )


def board_of(mean, method, lines=()):
    meaning = MetricMeaning(
        direction="closer_to_ideal", low=0.0, high=1.0, ideal=0.5, description="", unit=""
    )
    return Board(
        metrics={"x": meaning},
        lines=lines or [line_of(method, mean)],
        level=0.95,
        ranked_by="",
        silent={},
        provenance={},
        notes=[],
    )


def test_what_is_closer_to_an_ideal_is_told_by_its_value():
    assert "| x → 0.5 |" in to_markdown(board_of(1.0, "m"))
