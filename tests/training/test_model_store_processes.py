"""The store under several processes and under kill -9."""

import json
import time

import pytest
from patience import HANGS

from erasure.training.model_store import ModelRequest, ModelStore, Training

pytestmark = pytest.mark.slow


SCRIPT = """
import sys, time
from pathlib import Path
import torch
from torch import nn
from erasure.training import model_store as module
from erasure.training.model_store import ModelStore, ModelRequest, Training


root, note, where = sys.argv[1:]
request = ModelRequest(recipe={"model": "m"}, data="d", samples="s", seed=0)

def pause():
    print("paused", flush=True)
    time.sleep(600)

def train():
    with open(note, "a") as file:
        file.write("trained\\n")
    if where == "train":
        pause()
    time.sleep(0.3)
    model = nn.Module()
    model.register_buffer("weight", torch.arange(1000.0))
    return Training(model=model, curve=[1.0], steps=3)

if where == "write":  # between the weights and their description
    checksum = module.file_checksum
    def paused(path):
        pause()
        return checksum(path)
    module.file_checksum = paused

print("ready", flush=True)
sys.stdin.readline() if where == "wait" else None
trained = ModelStore(Path(root)).get(request, train)
print(trained.fresh, float(trained.state["weight"].sum()), trained.steps, flush=True)
"""


@pytest.fixture
def request_():
    return ModelRequest(recipe={"model": "m"}, data="d", samples="s", seed=0)


def test_processes_that_ask_at_once_train_once(tmp_path, start_python):
    root, note = tmp_path / "store", tmp_path / "note"
    processes = [start_python("-c", SCRIPT, root, note, "no") for _ in range(4)]
    answers = [process.communicate(timeout=HANGS)[0].splitlines()[-1] for process in processes]
    assert sorted(answers) == ["False 499500.0 3"] * 3 + ["True 499500.0 3"]
    assert note.read_text() == "trained\n"
    assert len(ModelStore(root).entries()) == 1


@pytest.mark.parametrize("where", ["train", "write"])
def test_a_killed_process_leaves_nothing_that_is_read(tmp_path, start_python, request_, where):
    root, note = tmp_path / "store", tmp_path / "note"
    victim = start_python("-c", SCRIPT, root, note, where)
    assert [victim.stdout.readline() for _ in range(2)] == ["ready\n", "paused\n"]
    waiting = start_python("-c", SCRIPT, root, note, "no")
    assert waiting.stdout.readline() == "ready\n"
    time.sleep(0.2)
    assert waiting.poll() is None  # the victim holds the lock
    assert not (root / request_.key).exists()
    victim.kill()
    victim.wait()
    answer, errors = waiting.communicate(timeout=HANGS)
    assert answer == "True 499500.0 3\n"
    assert "damaged" not in errors
    assert note.read_text() == "trained\ntrained\n"
    store = ModelStore(root)
    assert store.damage(request_.key) == ""
    assert store.entries() == [request_.key]
    assert len(list((root / ".partial").iterdir())) == (1 if where == "write" else 0)


def test_a_damaged_entry_is_trained_again_by_one_of_many(tmp_path, start_python, request_):
    import torch
    from torch import nn

    root, note = tmp_path / "store", tmp_path / "note"
    model = nn.Module()
    model.register_buffer("weight", torch.zeros(1))
    ModelStore(root).get(request_, lambda: Training(model=model, curve=[], steps=1))
    weights = root / request_.key / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    processes = [start_python("-c", SCRIPT, root, note, "no") for _ in range(2)]
    answers = [process.communicate(timeout=HANGS)[0].splitlines()[-1] for process in processes]
    assert sorted(answers) == ["False 499500.0 3", "True 499500.0 3"]
    assert json.loads((root / request_.key / "meta.json").read_text())["steps"] == 3
