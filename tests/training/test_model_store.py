"""The model store: trained once, keyed by content, and never read when it is not whole."""

import ast
import json
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from erasure.core.errors import ConfigError, StoreError
from erasure.core.splits import View
from erasure.training import model_store as store_module
from erasure.training.checksum import file_checksum
from erasure.training.model_store import ModelRequest, ModelStore, Training

RECIPE = {"model": {"_target_": "a.B", "hidden": [4]}, "trainer": {"epochs": 3}}


def linear(value=1.0):
    model = nn.utils.skip_init(nn.Linear, 3, 2)
    nn.init.constant_(model.weight, value)
    nn.init.constant_(model.bias, -value)
    return model


class Trainer:
    """Hands over a model and counts how often it was asked to."""

    def __init__(self, value=1.0):
        self.value = value
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return Training(model=linear(self.value), curve=[2.5, 0.1 + 0.2], steps=12)


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "store")


@pytest.fixture
def view(make_pool):
    return View(make_pool(torch.arange(10) % 3), torch.tensor([4, 2, 9]))


@pytest.fixture
def request_(view):
    return ModelRequest.of(RECIPE, view, seed=0)


@pytest.fixture
def clock(monkeypatch):
    """A clock for the store that a training moves on by 5 seconds."""
    stopwatch = iter((100.0, 105.0))
    clock = SimpleNamespace(time=lambda: 1.7e9, perf_counter=lambda: next(stopwatch))
    monkeypatch.setattr(store_module, "time", clock)
    return clock


@pytest.fixture
def stored(store, request_):
    """A store with one entry, and the folder of that entry."""
    store.get(request_, Trainer())
    return store, store.root / request_.key


def refuse():
    raise AssertionError("trained although it was there")


def test_the_second_request_is_a_hit_and_equal_to_the_first(clock, store, request_):
    first = store.get(request_, Trainer())
    again = store.get(request_, refuse)
    assert (first.fresh, again.fresh) == (True, False)
    assert (again.key, again.seconds, again.curve, again.steps) == (
        request_.key,
        first.seconds,
        (2.5, 0.1 + 0.2),
        12,
    )
    assert first.seconds == 5.0
    for state in (first.state, again.state):
        assert torch.equal(state["weight"], torch.ones(2, 3))
        assert torch.equal(state["bias"], -torch.ones(2))


def test_what_comes_out_is_independent_of_the_trained_model_and_of_the_file(store, request_):
    model = linear()
    first = store.get(request_, lambda: Training(model=model, curve=[], steps=1))
    again = store.get(request_, refuse)
    with torch.no_grad():
        model.weight.zero_()
        again.state["weight"].zero_()
    assert torch.equal(first.state["weight"], torch.ones(2, 3))
    assert torch.equal(store.get(request_, refuse).state["weight"], torch.ones(2, 3))


def test_buffers_and_tensors_in_any_layout_are_kept(store, request_):
    model = nn.BatchNorm1d(3)
    model.register_buffer("strided", torch.arange(6.0).reshape(2, 3).t())
    store.get(request_, lambda: Training(model=model, curve=[], steps=1))
    trained = store.get(request_, refuse).state
    assert trained.keys() == model.state_dict().keys()
    assert torch.equal(trained["strided"], model.strided)
    assert trained["num_batches_tracked"].dtype == torch.int64


def test_a_failed_training_leaves_nothing_and_is_tried_again(store, request_):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get(request_, fail)
    assert store.entries() == []
    assert store.get(request_, Trainer()).fresh


def test_the_entry_says_what_it_is(clock, stored, request_):
    store, folder = stored
    meta = store.meta(request_.key)
    weights = folder / "weights.safetensors"
    assert sorted(path.name for path in folder.iterdir()) == ["meta.json", "weights.safetensors"]
    assert meta["request"]["recipe"] == RECIPE
    assert meta["request"]["seed"] == 0
    assert (meta["parameters"], meta["steps"]) == (8, 12)
    assert meta["bytes"] == weights.stat().st_size
    assert meta["checksum"] == file_checksum(weights)
    assert meta["created"] == clock.time()
    assert "threads" in meta["hardware"]
    assert load_file(weights).keys() == {"weight", "bias"}
    assert store.entries() == [request_.key]


def test_the_key_ignores_the_order_of_ids_and_of_settings(make_pool, view, request_):
    shuffled = View(view.pool, torch.tensor([9, 4, 2]))
    turned = {key: RECIPE[key] for key in reversed(RECIPE)}
    assert ModelRequest.of(turned, shuffled, seed=0).key == request_.key
    equal_pool = View(make_pool(torch.arange(10) % 3), view.index)
    assert ModelRequest.of(RECIPE, equal_pool, seed=0).key == request_.key


def test_the_key_depends_on_all_that_weights_depend_on(make_pool, view, request_):
    pool = view.pool
    requests = [
        request_,
        ModelRequest.of(RECIPE, view, seed=1),
        ModelRequest.of({**RECIPE, "precision": "bf16"}, view, seed=0),
        ModelRequest.of({**RECIPE, "trainer": {"epochs": 4}}, view, seed=0),
        ModelRequest.of(RECIPE, View(pool, torch.tensor([4, 2])), seed=0),
        ModelRequest.of(RECIPE, View(pool, torch.tensor([4, 2, 8])), seed=0),
        ModelRequest.of(RECIPE, View(pool, torch.tensor([4, 4, 2, 9])), seed=0),
        ModelRequest.of(RECIPE, View(make_pool(torch.arange(10) % 2), view.index), seed=0),
        ModelRequest.of(RECIPE, view.relabel(torch.tensor([0, 0, 1])), seed=0),
        ModelRequest.of(RECIPE, view.relabel(torch.tensor([1, 0, 0])), seed=0),
        ModelRequest(
            recipe=RECIPE, data=request_.data, samples=request_.samples, seed=0, version=0
        ),
    ]
    assert len({request.key for request in requests}) == len(requests)


def test_new_labels_belong_to_their_samples_in_any_order(view, request_):
    one = view.relabel(torch.tensor([0, 1, 2]))
    turned = View(view.pool, view.index.flip(0)).relabel(torch.tensor([2, 1, 0]))
    assert ModelRequest.of(RECIPE, one, seed=0).key == ModelRequest.of(RECIPE, turned, seed=0).key
    assert ModelRequest.of(RECIPE, one, seed=0).key != request_.key


def truncate(folder):
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    return "weights.safetensors is not what was written (its checksum differs)"


def empty(folder):
    (folder / "weights.safetensors").write_bytes(b"")
    return "weights.safetensors is not what was written (its checksum differs)"


def flip_a_bit(folder):
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    return "weights.safetensors is not what was written (its checksum differs)"


def lose_weights(folder):
    (folder / "weights.safetensors").unlink()
    return "weights.safetensors is missing"


def lose_meta(folder):
    (folder / "meta.json").unlink()
    return "meta.json cannot be read"


def cut_meta(folder):
    meta = folder / "meta.json"
    meta.write_text(meta.read_text()[:40])
    return "meta.json cannot be read"


def write_bytes_to_meta(folder):
    (folder / "meta.json").write_bytes(b"\xff\xfe\x00")
    return "meta.json cannot be read"


def write_other_json(text):
    def write(folder):
        (folder / "meta.json").write_text(text)
        return "meta.json is not what was written (its seal differs)"

    return write


def change_one_number(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "seconds": 1e-6}))
    return "meta.json is not what was written (its seal differs)"


DAMAGES = {
    "truncated": truncate,
    "empty": empty,
    "flipped bit": flip_a_bit,
    "no weights": lose_weights,
    "no meta": lose_meta,
    "cut meta": cut_meta,
    "binary meta": write_bytes_to_meta,
    "list for meta": write_other_json("[]"),
    "null for meta": write_other_json("null"),
    "empty meta": write_other_json("{}"),
    "altered meta": change_one_number,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_reported_once_and_trained_again(stored, request_, caplog, damage):
    store, folder = stored
    expected = damage(folder)
    assert store.damage(request_.key).startswith(expected)
    assert store.entries() == [request_.key]
    trainer = Trainer(value=2.0)
    with caplog.at_level(logging.WARNING):
        trained = store.get(request_, trainer)
    assert (trained.fresh, trainer.calls) == (True, 1)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"store entry {request_.key} is damaged: {expected}")
    assert store.damage(request_.key) == ""
    assert torch.equal(store.get(request_, refuse).state["weight"], torch.full((2, 3), 2.0))


def test_a_whole_entry_is_not_reported(stored, request_, caplog):
    store, _ = stored
    with caplog.at_level(logging.WARNING):
        store.get(request_, refuse)
    assert caplog.messages == []
    assert store.damage(request_.key) == ""


def test_meta_of_an_unknown_key_is_an_error(store):
    with pytest.raises(StoreError, match=r"meta\.json cannot be read"):
        store.meta("0" * 32)


def test_other_folders_of_the_root_are_not_entries(stored, request_):
    store, _ = stored
    (store.root / "trials" / "abc").mkdir(parents=True)
    (store.root / "trials" / "meta.json").write_text("{}")
    assert store.entries() == [request_.key]


def test_removal_and_asking_again(stored, request_):
    store, folder = stored
    store.remove(request_.key)
    assert not folder.exists()
    store.remove(request_.key)
    assert store.get(request_, Trainer()).fresh


def test_asking_marks_the_last_use(stored, request_):
    store, folder = stored
    os.utime(folder / "meta.json", (1e9, 1e9))
    store.get(request_, refuse)
    assert (folder / "meta.json").stat().st_mtime > 1.5e9


def test_old_leftovers_are_swept_and_young_ones_are_somebodys(stored):
    store, _ = stored
    old, young = (store.root / ".partial" / name for name in ("key-1", "key-2"))
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"x" * 100)
    os.utime(old, (1e9, 1e9))
    assert store.sweep_partials() == 100
    assert not old.exists()
    assert young.exists()


def test_a_root_that_can_be_written_passes_and_stays_empty(store):
    store.check()
    store.check()
    assert store.entries() == []
    assert list((store.root / ".partial").iterdir()) == []


@pytest.mark.parametrize("below", ["file", "file/store"])
def test_a_root_that_cannot_be_written_is_refused_by_name(tmp_path, below):
    (tmp_path / "file").write_text("")
    root = tmp_path / below
    with pytest.raises(ConfigError) as error:
        ModelStore(root).check()
    assert str(error.value).startswith(f"root must be a folder that can be written to, got {root}")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_root_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=r"root must be a folder .* Permission denied"):
        ModelStore(tmp_path / "store").check()


def imports_and_attributes(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


SAFELY = {
    "np.load": "allow_pickle=False",
    "torch.load": "weights_only=True",
    "pickle.Unpickler": "def find_class",  # a subclass that names what a file may hold
}
"""What may be read at all, and what has to stand beside it."""


def test_nothing_is_pickled_and_what_others_pickled_is_read_with_care():
    """Processes that train references hand models to each other as pickles; nobody else does so.

    Some data sets are pickles of their authors: they are read by an unpickler that refuses all
    but the few types such a file is made of.
    """
    package = Path(store_module.__file__).parents[1]
    unsafe = {"cloudpickle", "joblib", "shelve", "torch.save", "pickle.load", "pickle.loads"}
    files = [
        path for path in package.rglob("*.py") if path.parent.name not in ("launch", "references")
    ]
    assert len(files) > 50
    for path in files:
        names, text = set(imports_and_attributes(path)), path.read_text()
        assert not names & unsafe, path.name
        for name, guard in SAFELY.items():
            assert name not in names or guard in text, path.name
            if "=" in guard:
                assert text.count(f"{name}(") <= text.count(guard), path.name
