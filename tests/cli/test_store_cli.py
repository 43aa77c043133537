"""``python -m erasure store``: what it prints, removes, and exits with."""

import os
import time

import pytest
import torch
from torch import nn

from erasure.cli.store import main
from erasure.training.model_store import ModelRequest, ModelStore, Training

MODEL = {"_target_": "erasure.models.MLP"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A store of three models, last used now, 10 and 100 days ago, with terminal-wide output."""
    monkeypatch.setenv("COLUMNS", "120")
    store = ModelStore(tmp_path / "store")
    for seed, days in enumerate((0, 10, 100)):
        model = nn.Module()
        model.register_buffer("weight", torch.zeros(2**18))  # 1 MB
        request = ModelRequest(recipe={"model": MODEL}, data="d", samples="abcdef123", seed=seed)
        store.get(request, lambda model=model: Training(model=model, curve=[], steps=1))
        used = time.time() - days * 86400
        os.utime(store.root / request.key / "meta.json", (used, used))
    return store.root


def key_of(seed):
    return ModelRequest(recipe={"model": MODEL}, data="d", samples="abcdef123", seed=seed).key


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_ls_shows_every_model(root, capsys):
    code, output = run(capsys, "ls", "--root", root)
    assert code == 0
    for seed in range(3):
        row = next(line for line in output.splitlines() if key_of(seed)[:12] in line)
        assert all(cell in row for cell in ("MLP", "abcdef12", f" {seed} ", "1.0 MB"))
    assert "3 models, 3.0 MB" in output


def test_ls_shows_damaged_entries_without_failing(root, capsys):
    (root / key_of(1) / "meta.json").write_text("[1]")
    code, output = run(capsys, "ls", "--root", root)
    assert code == 0
    assert key_of(1)[:12] in output
    assert "3 models, 2.0 MB" in output


def test_verify_accepts_a_whole_store(root, capsys):
    assert run(capsys, "verify", "--root", root) == (0, "3 models, 0 damaged\n")


def test_verify_names_what_is_damaged_and_fails(root, capsys):
    weights = root / key_of(1) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    (root / key_of(2) / "meta.json").unlink()
    code, output = run(capsys, "verify", "--root", root)
    assert code == 1
    assert f"{key_of(1)}  weights.safetensors is not what was written" in output
    assert f"{key_of(2)}  meta.json cannot be read" in output
    assert "3 models, 2 damaged" in output
    assert "gc removes them" in output
    assert len(ModelStore(root).entries()) == 3


def files(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_gc_removes_nothing_until_told(root, capsys):
    before = files(root)
    code, output = run(capsys, "gc", "--root", root)
    assert code == 0
    assert files(root) == before
    assert output.splitlines()[0].startswith(f"{key_of(2)}  last used ")
    assert output.splitlines()[-1] == "would remove 1 of 3 models, 1.0 MB"


@pytest.mark.parametrize(("days", "left"), [(90, [0, 1]), (5, [0]), (0.0, []), (1000, [0, 1, 2])])
def test_gc_removes_what_was_not_used_for_so_long(root, capsys, days, left):
    code, output = run(capsys, "gc", "--root", root, "--unused-days", days, "--yes")
    assert code == 0
    assert ModelStore(root).entries() == sorted(key_of(seed) for seed in left)
    assert f"removed {3 - len(left)} of 3 models, {3 - len(left)}.0 MB" in output


def test_gc_removes_damaged_entries_and_old_leftovers(root, capsys):
    (root / key_of(0) / "meta.json").unlink()
    (root / key_of(1) / "weights.safetensors").unlink()
    leftover = root / ".partial" / "key-1"
    leftover.mkdir()
    (leftover / "weights.safetensors").write_bytes(b"x" * 2**20)
    os.utime(leftover, (1e9, 1e9))
    code, output = run(capsys, "gc", "--root", root, "--unused-days", 1000, "--yes")
    assert code == 0
    assert ModelStore(root).entries() == [key_of(2)]
    assert not leftover.exists()
    assert "removed 2 of 3 models, 2.0 MB" in output


def test_a_missing_store_is_said_in_one_line_whatever_it_is_called(tmp_path, capsys):
    missing = tmp_path / "[red]no[/red]" / ("long " * 30)
    code, output = run(capsys, "ls", "--root", missing)
    assert code == 1
    assert output == f"there is no store at {missing}; --root names another\n"


@pytest.mark.slow
def test_it_runs_as_a_module(root, python):
    process = python("-m", "erasure.cli.store", "verify", "--root", root)
    assert (process.returncode, process.stdout) == (0, "3 models, 0 damaged\n")


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("burn", 2)])
def test_it_explains_itself(capsys, argument, code):
    with pytest.raises(SystemExit) as exit_:
        main([argument])
    assert exit_.value.code == code
    out, err = capsys.readouterr()
    assert "gc --unused-days 30 --yes" in out if argument == "--help" else "burn" in err
