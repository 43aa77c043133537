"""``python run.py why``: what would happen, without anything happening."""

import json

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from erasure.cli.why import main
from erasure.trial.task import run

QUICK = ["tracking=none", "pictures=false", "evaluator=fast", "trainer.fit.epochs=1"]
TRIAL = ["dataset=iris", "unlearner=ssd", *QUICK]


@pytest.fixture
def why(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # a sweep that an earlier test ran in this process says where *its* command was typed
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)

    def tell(*overrides):
        GlobalHydra.instance().clear()
        code = main([*TRIAL, *overrides])
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return code, (written.out + written.err).strip()

    return tell


@pytest.fixture
def finished(tmp_path, monkeypatch, compose_config, capsys):
    monkeypatch.chdir(tmp_path)

    def go(*overrides):
        run(compose_config(*TRIAL, *overrides))
        return capsys.readouterr().out

    return go


@pytest.mark.slow
def test_it_tells_what_would_happen_and_runs_nothing(why, python, tmp_path):
    assert why() == (0, "never ran")
    assert list(tmp_path.iterdir()) == []
    folders = [f"store.root={tmp_path}/store", f"hydra.run.dir={tmp_path}/output"]
    completed = python("run.py", *TRIAL, *folders)
    assert completed.returncode == 0, completed.stderr
    assert "runs again" not in completed.stdout
    code, line = why(folders[1])
    assert code == 0
    assert line.startswith("finished before on ")
    assert line.endswith(", would be read back")
    assert why("unlearner.alpha=3.0") == (0, "runs again: unlearner.alpha is 3.0, was 10.0")
    assert why("seed=1") == (0, "never ran")
    assert why("resume=false")[1].endswith("and resume=false runs it again")
    both = why("unlearner.alpha=3.0", "unlearner.dampening=2.0")[1]
    assert "unlearner.alpha is 3.0, was 10.0; unlearner.dampening is 2.0, was " in both


def test_the_trial_itself_says_so_in_one_line(finished, tmp_path):
    finished()
    (kept,) = (tmp_path / "store" / "trials").glob("*/causes.json")
    causes = json.loads(kept.read_text())
    assert causes["modules"]["erasure.training.gradients"]
    causes["modules"]["erasure.training.gradients"] = "as it was"
    kept.write_text(json.dumps(causes))
    shown = finished("unlearner.alpha=3.0")
    assert "runs again: unlearner.alpha is 3.0, was 10.0; training/gradients.py changed" in shown


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("unlearner.alfa=3", "unlearner.alfa is not a setting; did you mean unlearner.alpha?"),
        ("unlearner.alpha=often", "unlearner.alpha must be a number, got 'often'"),
        ("unlearner.alpha=-1", "unlearner.alpha must be"),
        ("unlearner=nothing", "unlearner=nothing does not exist"),
    ],
)
def test_a_wrong_override_is_one_message(why, override, message):
    code, line = why(override)
    assert code == 1
    assert message in line
