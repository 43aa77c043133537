"""Benchmarks: every method tuned, confirmed on fresh seeds, and compared with its defaults."""

import json
import math
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from optuna.trial import TrialState
from patience import wait_until
from rich.console import Console
from studies import opened, planned, settings

from erasure.config.axes import SweeperAxes
from erasure.config.compose import Compositions, hydra_sees
from erasure.config.folders import conf_folder
from erasure.config.schema import register_schema
from erasure.core.errors import ConfigError
from erasure.launch.interrupts import Stop
from erasure.sweeps.run import SweepError
from erasure.trial.objective import Objective
from erasure.tuning.benchmark import run as benchmark
from erasure.tuning.benchmark.run import Benchmark, run_benchmark
from erasure.tuning.benchmark.table import BenchmarkTable, Method
from erasure.tuning.benchmark.trials import Composer, Confirmation
from erasure.tuning.command import read_commands
from erasure.tuning.plan import plan_studies

GIVEN = ("unlearner=ssd,grad_ascent", "dataset=digits", "tracking=none", "split.fraction=0.2")
SCORES = Objective(metrics={"gap/avg": "minimize", "tow": "maximize"})


@pytest.fixture(scope="module")
def plans():
    return planned(*GIVEN)


@pytest.fixture(scope="module")
def plan_without_pictures():
    (plan,) = planned("unlearner=ssd", "dataset=digits", "tracking=none", "pictures=false")
    return plan


@pytest.fixture
def compositions():
    """The real configuration."""
    register_schema()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield Compositions(
            loader=GlobalHydra.instance().config_loader(),
            master=compose("config", ["hydra/sweeper=benchmark"], return_hydra_config=True),
        )


def composer(compositions, typed=GIVEN, **changes):
    confirmation = Confirmation(**{"seeds": (10, 11), **changes})
    return Composer(compositions=compositions, confirmation=confirmation, typed=typed, first=16)


def begun(plans, composer):
    """A benchmark with nothing that could run a trial."""
    return Benchmark(
        plans=plans,
        settings=settings(n_trials=4),
        composer=composer,
        stop=Stop(),
        sweep=lambda _: pytest.fail("it was tuned"),
        console=Console(quiet=True),
    )


def best(drawn):
    trial = optuna.trial.create_trial(
        params=drawn,
        distributions={name: around(value) for name, value in drawn.items()},
        value=0.1,
    )
    return SimpleNamespace(best=trial)


def around(value):
    return optuna.distributions.FloatDistribution(value - 1, value + 1)


@pytest.mark.slow
def test_a_method_is_confirmed_with_its_tuned_settings_beside_its_own(plans, compositions):
    made = composer(compositions)
    methods = made.untuned(plans)
    drawn = {"unlearner.alpha": 50.0, "unlearner.dampening": 0.5}
    contests = made.tuned(
        methods, {plans[0].name: best(drawn), plans[1].name: SimpleNamespace(best=None)}
    )
    ssd, ascent = contests
    assert [trial.number for trial in (*ssd.defaults, *ascent.defaults)] == [16, 17, 18, 19]
    assert [trial.number for trial in ssd.tuned] == [20, 21]
    for trials, alpha, kind in ((ssd.defaults, 10.0, "defaults"), (ssd.tuned, 50.0, "tuned")):
        assert [trial.config.seed for trial in trials] == [10, 11]
        for trial in trials:
            with hydra_sees(trial.config):
                assert trial.config.unlearner.alpha == alpha
                assert trial.config.evaluator.heldout == "test"
                assert trial.config.split.fraction == 0.2
                assert trial.config.pictures is True
                assert "tuning" not in trial.overrides
            assert trial.variant == f"ssd · {kind}"
            assert trial.config.hydra.job.num == trial.number
            assert "evaluator=fast" not in trial.overrides
    assert len({r.record.fingerprint for m in contests for r in (*m.defaults, *m.tuned)}) == 6


def test_settings_that_are_the_defaults_are_not_run_twice(plans, compositions):
    made = composer(compositions)
    methods = made.untuned(plans[:1])
    same = {"unlearner.alpha": 10.0, "unlearner.dampening": 1.0}
    (ssd,) = made.tuned(methods, {plans[0].name: best(same)})
    assert ssd.tuned is ssd.defaults
    (none,) = made.tuned(methods, {plans[0].name: SimpleNamespace(best=None)})
    assert list(none.tuned) == []


def test_what_was_given_about_pictures_and_evaluator_counts(plan_without_pictures, compositions):
    made = composer(compositions, ("pictures=false",), evaluator="fast")
    (method,) = made.untuned([plan_without_pictures])
    assert method.defaults[0].config.pictures is False
    assert method.defaults[0].config.evaluator.heldout == "val"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, "hydra.sweeper.confirm_seeds must be a list of whole numbers"),
        ({"seeds": [1, 1]}, "hydra.sweeper.confirm_seeds must be distinct, got [1, 1]"),
        ({"evaluator": " "}, "hydra.sweeper.confirm_evaluator must be an evaluator"),
        ({"output": ""}, "hydra.sweeper.output must be null or a folder, got ''"),
    ],
)
def test_bad_settings_name_their_key(changes, message):
    with pytest.raises(ConfigError) as caught:
        Confirmation(**changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("overrides", "seeds", "message"),
    [
        (GIVEN, (100, 7, 101), "confirm_seeds must share none with hydra.sweeper.seeds, with "
         "which settings are tuned; got 100, 101 in both"),
        (("unlearner=ssd", "dataset=digits", "tracking=none", "split.fraction=0.1,0.2"), (7,),
         "got several for digits/mlp/random/ssd"),
        ((*GIVEN, "evaluator=standard"), (7,), "must not look at the test set"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_tuning(compositions, overrides, seeds, message):
    commands = read_commands(compositions.loader, SweeperAxes(), overrides)

    def compare():
        plans = plan_studies(compositions, commands, settings(n_trials=4))
        run_benchmark(begun(plans, composer(compositions, overrides, seeds=seeds)))

    with pytest.raises(ConfigError, match=message):
        compare()


def test_methods_whose_tuning_is_not_finished_are_not_confirmed(plans, compositions, monkeypatch):
    ended = opened(plans[0], total=1)
    trial = ended.claim().trial
    ended.study.tell(trial, 0.5)
    kept = [SimpleNamespace(name=plans[0].name, trials=ended.trials * 4),
            SimpleNamespace(name=plans[1].name, trials=ended.trials * 3)]  # fmt: skip
    monkeypatch.setattr(benchmark, "kept_studies", lambda *_: kept)
    made = composer(compositions)
    assert set(benchmark._finished(begun(plans[:1], made), "")) == {plans[0].name}
    message = "tuning of grad_ascent is not finished, so nothing was confirmed .late.; the same"
    with pytest.raises(SweepError, match=message):
        benchmark._finished(begun(plans, made), "late; the same command goes on")
    assert trial.number == 0
    assert ended.trials[0].state == TrialState.COMPLETE


def test_differences_are_taken_seed_by_seed():
    method = Method(
        label="scrub",
        defaults=[{"gap/avg": 0.3, "tow": 0.5}, {"gap/avg": 0.1}, {"gap/avg": 0.2}],
        tuned=[{"gap/avg": 0.1, "tow": 0.9}, {"gap/avg": 0.2}, {}],
        untouched=False,
    )
    # means 0.2 and 0.15; gains -0.2 and +0.1: mean -0.05, deviation 0.3 / sqrt 2
    assert method.row("gap/avg", "minimize") == (
        "scrub", "gap/avg (minimize)", "0.200 ± 0.100", "0.150 ± 0.071",
        f"-0.050 ± {0.3 / math.sqrt(2):.3f}", "1 of 2 seeds",
    )  # fmt: skip
    assert method.row("tow", "maximize")[2:] == ("0.500", "0.900", "0.400", "1 of 1 seeds")


def test_methods_without_tuned_settings_have_their_row():
    measured = [{"gap/avg": 0.25}]
    same = Method(label="a", defaults=measured, tuned=measured, untouched=True)
    none = Method(label="b", defaults=measured, tuned=[], untouched=False)
    assert same.row("gap/avg", "minimize")[2:] == ("0.250", "the same", "–", "–")
    assert none.row("gap/avg", "minimize")[2:] == ("0.250", "–", "–", "–")


def test_the_table_is_written_with_what_makes_it_fair(tmp_path):
    method = Method(label="a", defaults=[{"gap/avg": 0.25}], tuned=[], untouched=False)
    table = BenchmarkTable(
        methods=[method],
        objective=SCORES,
        conditions={"evaluator": "standard"},
        recipes=[tmp_path],
    )
    table.write(tmp_path / "below")
    lines = (tmp_path / "below" / "benchmark.md").read_text().splitlines()
    assert "| a | gap/avg (minimize) | 0.250 | – | – | – |" in lines
    assert "| a | tow (maximize) | – | – | – | – |" in lines
    assert "- evaluator: standard" in lines
    assert f"- recipe: `{tmp_path}`" in lines


BENCHMARK = ("hydra/sweeper=benchmark", "hydra.sweeper.n_trials=3",
             "hydra.sweeper.seeds=[1]", "hydra.sweeper.confirm_seeds=[3]")  # fmt: skip


@pytest.fixture
def staged(app):
    """The stub application with what a benchmark needs; its gap can be tuned."""
    conf = app.folder / "conf"
    texts = {f"search/{name}": "unlearner.gap: {low: 0.0, high: 0.6}" for name in ("good", "poor")}
    texts |= {"evaluator/fast": "heldout: val", "evaluator/standard": "heldout: test"}
    texts |= {f"{group}/one": "_target_: builtins.dict" for group in
              ("dataset", "model", "split", "trainer")}  # fmt: skip
    for name, text in texts.items():
        path = conf / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    added = "".join(f"  - {group}: one\n" for group in ("dataset", "model", "split", "trainer"))
    config = conf / "config.yaml"
    text = config.read_text().replace("  - _self_", f"{added}  - evaluator: standard\n  - _self_")
    text = text.replace("seed: 0\n", "seed: 0\npictures: true\n")
    config.write_text(text)
    return app


def calls(app):
    return Counter((call["unlearner"], call["seed"]) for call in app.notes("calls"))


@pytest.mark.slow
def test_a_benchmark_killed_while_it_confirms_is_completed(staged, capsys):
    command = (*BENCHMARK, "unlearner=good,poor", "sleep=0.3", "hydra.launcher.n_jobs=1")
    process = staged.start(*command)
    while not any(note["seed"] == 3 for note in staged.notes("ends")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert calls(staged)[("good", 1)] == calls(staged)[("poor", 1)] == 3
    wait_until(lambda: len(staged.notes("ends")) == len(staged.notes("calls")))  # it outlives it
    staged.forget("calls")
    assert staged.run(*command) == 0
    assert {seed for _, seed in calls(staged)} == {3}  # no trial of a study ran again
    assert calls(staged).total() < 4
    assert "tuned and defaults on seeds that were not tuned with" in capsys.readouterr().out
    (folder,) = (staged.folder / "store" / "benchmark").iterdir()
    recipe = OmegaConf.load(folder / "recipe" / "one" / "one" / "one" / "poor.yaml")
    assert recipe.unlearner.gap < 0.5
    row = f"| poor | gap/avg (minimize) | 0.800 | {recipe.unlearner.gap + 0.3:.3f} |"
    assert row in (folder / "benchmark.md").read_text()


@pytest.mark.slow
def test_a_method_that_cannot_be_tuned_is_said_after_the_others_are_confirmed(staged, capfd):
    fails = ("act=fail", "victims=[1]")
    assert staged.run(*BENCHMARK, "unlearner=good,poor", *fails) == 1
    captured = capfd.readouterr()
    assert "2 of 2 studies have no complete trial" in captured.err
    assert calls(staged)[("good", 3)] == 1
    assert "0 recipes and this table" in captured.out


@pytest.mark.slow
def test_a_trial_that_fails_to_confirm_leaves_the_table_of_the_others(staged, capfd):
    assert staged.run(*BENCHMARK, "unlearner=poor", "act=fail", "victims=[3]") == 1
    captured = capfd.readouterr()
    assert "2 of 2 trials failed" in captured.err
    assert "1 recipe and this table" in captured.out


@pytest.mark.slow
def test_time_that_is_over_confirms_nothing(staged, capfd):
    assert staged.run(*BENCHMARK, "hydra.sweeper.max_hours=1.0e-9") == 1
    assert "tuning of good is not finished, so nothing was confirmed" in capfd.readouterr().err
    assert staged.notes("calls") == []
    assert staged.run(*BENCHMARK) == 0
    staged.forget("calls")
    late = ("hydra.sweeper.confirm_seeds=[7]", "hydra.sweeper.max_hours=1.0e-9")
    assert staged.run(*BENCHMARK, *late) == 1
    assert "hydra.sweeper.max_hours is over: " in capfd.readouterr().err
    assert staged.notes("calls") == []


@pytest.mark.slow
def test_one_command_tunes_writes_recipes_and_confirms(tmp_path):
    command = (sys.executable, "run.py", "-m", "experiment=benchmark", "unlearner=ssd,finetune",
               "dataset=digits", "tracking=none", "device=cpu", "pictures=false",
               f"store.root={tmp_path}/store", f"hydra.sweep.dir={tmp_path}/multirun",
               f"hydra.sweeper.output={tmp_path}/found", "hydra.sweeper.n_trials=2",
               "hydra.sweeper.seeds=[100]", "hydra.sweeper.confirm_seeds=[10]",
               "hydra/sweeper/sampler=random", "trainer.fit.epochs=3")  # fmt: skip
    done = subprocess.run(
        command, cwd=conf_folder().parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("ssd", "finetune"):
        path = tmp_path / "found" / "recipe" / "digits" / "mlp" / "random" / f"{name}.yaml"
        assert OmegaConf.load(path).trainer.fit.epochs == 3
    text = (tmp_path / "found" / "benchmark.md").read_text()
    assert "| ssd | gap/avg (minimize) | 0." in text
    results = [json.loads(path.read_text()) for path in (tmp_path / "store").rglob("sweep.json")]
    assert len(results) == 2  # the tuning sweep, and the comparison
    compared = next(result for result in results if "tuning" not in result["name"])
    assert {trial["state"] for trial in compared["trials"]} == {"finished"}
