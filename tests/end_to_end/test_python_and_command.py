"""A trial that the command line carried out is read back from Python, and the other way round."""

import pytest
from running import models, results

import erasure
from erasure.core.errors import ConfigError

QUICK = (
    "dataset=iris",
    "unlearner=ssd",
    "evaluator=fast",
    "trainer.fit.epochs=2",
    "tracking=none",
    "pictures=false",
    "device=cpu",
)


@pytest.mark.slow
def test_the_command_line_and_python_share_results(python, tmp_path, capfd):
    store = f"store.root={tmp_path}/store"
    trial = erasure.compose(*QUICK)
    result = trial.run(store=tmp_path / "store")
    assert capfd.readouterr() == ("", "")
    weights = {path: path.stat().st_mtime_ns for path in models(tmp_path)}
    assert len(weights) == 2

    command = python("run.py", *QUICK, store, f"hydra.run.dir={tmp_path}/outputs")
    assert command.returncode == 0, command.stderr
    assert "this trial finished before and is read back" in command.stdout
    assert {path: path.stat().st_mtime_ns for path in models(tmp_path)} == weights

    other = (*QUICK, "unlearner.alpha=3")
    assert python("run.py", *other, store, f"hydra.run.dir={tmp_path}/more").returncode == 0
    before = results(tmp_path)
    same = trial.replace(unlearner=erasure.unlearners.SSD(alpha=3.0))
    read_back = same.run(store=tmp_path / "store")
    assert results(tmp_path) == before
    assert read_back.metrics != result.metrics
    # what the command line did not keep is made again, and is what it was
    assert read_back.model("unlearned").state_dict().keys() == result.model().state_dict().keys()
    assert (read_back.folder / "model.safetensors").is_file()


@pytest.mark.slow
def test_what_came_of_a_trial(tmp_path):
    trial = erasure.compose(*QUICK)
    result = trial.run(store=str(tmp_path / "store"))
    forget = trial.data.parts.forget
    for role, numbers in (
        ("original", result.original),
        ("gold", result.gold),
        ("unlearned", result.metrics),
    ):
        model = result.model(role)
        assert not model.training
        (batch,) = forget.batches(len(forget))
        accuracy = (model(batch.inputs).argmax(dim=1) == batch.targets).double().mean().item()
        assert numbers["forget/accuracy"] == pytest.approx(accuracy)
    with pytest.raises(ConfigError, match="role must be one of original, unlearned, gold"):
        result.model("teacher")

    frame = result.to_frame()
    row = frame.loc["forget/accuracy"]
    assert row.unlearned == result.metrics["forget/accuracy"]
    assert row.gold == result.gold["forget/accuracy"]
    assert row.ci_low <= row.unlearned <= row.ci_high
    assert row.direction == "closer_to_gold"
    missing = frame[frame.not_computed != ""]
    assert dict(missing.not_computed) == result.not_computed
    assert missing.unlearned.isna().all()
    assert frame.index.is_unique
