"""The command line: what it prints, exit codes, and how fast it starts."""

import shlex
import sys
import types

import pytest

from multirun_analysis import AnalysisError, best, command, load, side_by_side
from multirun_analysis.cli import main
from multirun_analysis.read.finding import find

MAIN = "6 methods × 5 seeds"


@pytest.fixture
def shell(uri, monkeypatch, capsys):
    """Run the command line on the database; return exit code, output and errors."""

    def run(*arguments, width=200):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("COLUMNS", str(width))
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code
        found = capsys.readouterr()
        return code, found.out, found.err

    return run


def test_alone_it_prints_the_leaderboard_of_the_last_sweep(shell):
    code, out, err = shell()
    assert (code, err) == (0, "")
    assert out.startswith("one seed")
    assert "finetune" in out
    assert "needs 2 values, got 1" in out


def test_the_leaderboard_shows_methods_failures_and_facts(shell):
    code, out, _ = shell("leaderboard", "--parent", MAIN)
    assert code == 0
    assert "1.200 ± 0.211" in out
    assert "diverged: grad_ascent · digits · mlp · seed 3: the loss became nan" in out
    assert "[a] 1 diverged: the loss became nan; 1 not run: not run" in out
    assert "gold models: 5" in out


def test_a_narrow_terminal_stacks_the_numbers(shell):
    _, wide, _ = shell("--parent", MAIN)
    _, narrow, _ = shell("--parent", MAIN, width=80)
    assert "1.200 ± 0.211" in wide
    table = narrow.split("diverged:")[0]
    assert "±0.211" in table
    assert max(map(len, table.splitlines())) <= 80


def test_rows_limits_the_methods_and_says_so(shell):
    _, out, _ = shell("--parent", MAIN, "--rows", "1")
    assert "3 more, --rows 0 shows all" in out
    assert "finetune" not in out
    assert "gold" in out


def test_two_methods_are_compared_seed_by_seed(results):
    found = side_by_side(results, "finetune", "scrub (alpha=0.5)", ["forget/accuracy", "gap/avg"])
    forget, gap = found.differences
    assert (forget.a, forget.b) == pytest.approx((0.95, 0.80))
    assert forget.difference == pytest.approx(0.15)
    assert (forget.pairs, forget.smallest_p) == (5, 0.0625)
    assert (forget.better, gap.better) == ("b", "b")
    assert found.settings == {"unlearner.alpha": ("", "0.5")}


def test_two_runs_are_compared_by_settings_and_values(results):
    runs = results.runs[results.runs["method"] == "finetune"]["run_id"].tolist()
    found = side_by_side(results, runs[0], runs[1][:12], ["cost/unlearn_seconds", "guard/change"])
    seconds, info = found.differences
    assert seconds.difference == pytest.approx(-0.25)
    assert (seconds.better, info.better) == ("a", "")
    assert found.settings["seeds.train"] == ("0", "1")
    assert "objective.metrics.gap/avg" not in found.settings


def test_compare_prints_both_and_how_small_p_can_be(shell):
    code, out, _ = shell("compare", "finetune", "identity", "--parent", MAIN)
    assert code == 0
    assert "5 pairs give no p below 0.062" in out
    assert "forget/accuracy → gold" in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scrub", "'scrub' fits 2 methods: scrub (alpha=0.5), scrub (alpha=0.9)"),
        ("finetun", "did you mean finetune"),
    ],
)
def test_a_name_that_fits_nothing_or_two_is_refused(results, name, message):
    with pytest.raises(AnalysisError) as error:
        find(results, name)
    assert message in str(error.value)


def test_a_run_and_a_method_cannot_be_compared(results):
    run = results.runs.iloc[0]["run_id"]
    with pytest.raises(AnalysisError, match="name two alike"):
        side_by_side(results, run, "finetune")
    with pytest.raises(AnalysisError, match="both names mean"):
        side_by_side(results, "finetune", "finetune")


def test_the_best_trial_is_no_yardstick_and_has_a_command(results):
    (found,) = best(results)
    # scrub at 0.5 forgets to 0.80, and gold is nearest to that on the last seed
    assert found.name == "scrub · digits · mlp · seed 4 · unlearner.alpha=0.5"
    assert (found.metric, found.others) == ("gap/avg", 17)
    assert found.value == pytest.approx(0.03)
    assert found.command == "python run.py unlearner=scrub seed=4 unlearner.alpha=0.5"
    (cheap,) = best(results, "cost/unlearn_seconds")
    assert cheap.value == 0.95
    with pytest.raises(AnalysisError, match="no better and worse"):
        best(results, "guard/change")


def test_a_trial_without_a_sweep_gets_its_whole_configuration(uri):
    found = load(uri, experiments=["mixed"], allow_mixed=True)
    words = shlex.split(command(found, found.runs.iloc[1]["run_id"]))
    assert words[:3] == ["python", "run.py", "dataset=other"]
    assert {"unlearner=scrub", "split.fraction=0.1", "split.count=null", "seed=1"} <= set(words)
    assert not [word for word in words if "_target_" in word or word.startswith("objective")]


def test_best_prints_a_command_in_one_line_and_warns_of_the_test_set(shell):
    code, out, _ = shell("best", "--parent", MAIN, width=40)
    assert code == 0
    assert "python run.py unlearner=scrub seed=4 unlearner.alpha=0.5\n" in out
    assert "chosen on the test set" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--experiment", "erasur"], 1, "error: there is no experiment 'erasur'"),
        (["--metric", "gap/av"], 1, "did you mean gap/avg"),
        (["--tracking-uri", "sqlite:///no/such.db"], 1, "there is no file no/such.db"),
        (["--tracking-uri", "nonsense://x"], 1, "error: tracking-uri nonsense://x"),
        (["compare", "a"], 2, "compare needs two runs or two methods, got 1"),
        (["leaderboard", "a"], 2, "leaderboard takes no names"),
        (["report"], 2, "report needs --output DIR"),
        (["best", "--output", "x"], 2, "best writes no files"),
        (["--level", "95"], 2, "must be between 0 and 1, got 95"),
        (["--rows", "-1"], 2, "must be 0 or more, got -1"),
        (["nonsense"], 2, "invalid choice"),
    ],
)
def test_misuse_is_one_message_without_a_traceback(shell, arguments, code, message):
    found, out, err = shell(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    if code == 1:
        assert err.count("\n") == 1


def test_output_without_a_command_means_the_report(shell, uri, monkeypatch, tmp_path):
    asked = []
    report = types.ModuleType("multirun_analysis.report.build")
    report.write_report = lambda results, folder, **_: asked.append(folder) or folder
    report.attach_report = lambda results, folder: asked.append(results.uri) or "the sweep"
    monkeypatch.setitem(sys.modules, "multirun_analysis.report.build", report)
    code, out, _ = shell("--output", str(tmp_path / "r"))
    assert code == 0
    assert out == f"written to {tmp_path / 'r'}\nattached to the sweep, folder report\n"
    assert asked == [tmp_path / "r", uri]


def test_help_loads_nothing_heavy(python):
    code = """
import sys
from multirun_analysis.cli import main
try:
    main(["--help"])
except SystemExit:
    heavy = {"pandas", "numpy", "mlflow", "rich", "sqlalchemy", "torch", "erasure"}
    print(sorted(heavy & sys.modules.keys()))
"""
    found = python("-c", code)
    assert found.stdout.splitlines()[-1] == "[]"
    assert "examples:" in found.stdout


def test_a_leaderboard_loads_neither_mlflow_nor_torch_nor_erasure(python, uri):
    code = f"""
import sys
from multirun_analysis.cli import main
main(["--tracking-uri", {uri!r}])
print(sorted({{"mlflow", "torch", "hydra", "erasure"}} & sys.modules.keys()))
"""
    found = python("-W", "error", "-c", code)
    assert found.stdout.splitlines()[-1] == "[]", found.stderr
