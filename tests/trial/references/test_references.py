"""Reference models: made once, shared, resumed, and what shadows are made of."""

import json
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from patience import HANGS
from rich.console import Console
from trials import assemble

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError, DataError, StoreError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.splits import DataSplits, View
from erasure.data.splits.difficulty import read_scores
from erasure.training.model_store import ModelStore
from erasure.trial.artifacts import write_memorization
from erasure.trial.checks import check_references
from erasure.trial.progress import Progress
from erasure.trial.references import grow, training
from erasure.trial.references.grow import reference_models
from erasure.trial.references.models import TrialReferences
from erasure.trial.references.settings import FIRST_SEED, ReferenceSettings

QUICK = (
    "dataset=digits",
    "model.hidden=[12]",
    "trainer.fit.epochs=2",
    "unlearner=finetune",
    "unlearner.fit.epochs=1",
    "tracking=none",
    "device=cpu",
)


def quiet():
    return Progress(Console(quiet=True))


@pytest.fixture
def quick(compose_config):
    """Assemble a small trial with further settings."""

    def assembled(*settings):
        return assemble(compose_config(*QUICK, *settings))

    return assembled


@pytest.fixture
def models_of(tmp_path):
    def references_of(trial, heldout="test"):
        return TrialReferences(trial=trial, store=ModelStore(tmp_path), heldout=heldout)

    return references_of


def forbidden(*_args, **_kwargs):
    raise AssertionError("a model was trained again")


def times_of_training(references):
    return {key: references.store.meta(key)["created"] for key in references.store.entries()}


def test_references_grow_and_keep_what_there_is(quick, models_of):
    trial = quick("references.size=4")
    small, large, progress = models_of(trial), models_of(trial), quiet()
    small.fill(2, progress)
    there = times_of_training(small)
    assert len(there) == 4  # two originals and two golds
    large.fill(4, progress)
    assert len(times_of_training(large)) == 8
    assert there.items() <= times_of_training(large).items()
    for role in ("original", "gold", "unlearned"):
        assert large.keys[role][:2] == small.keys[role]
        assert (small.size(role), large.size(role)) == (2, 4)
        assert len(set(large.keys[role])) == 4
    assert large.size("shadow") == 0
    assert large.seconds > small.seconds > 0
    assert not any("references_" in name for name in progress.curves)
    assert {
        "references_original",
        "references_gold",
        "references_unlearned",
    } <= progress.seconds.keys()


@pytest.mark.slow
def test_other_methods_and_seeds_find_the_same_originals_and_golds(quick, models_of, monkeypatch):
    one = models_of(quick("references.size=3"))
    one.fill(3, quiet())
    monkeypatch.setattr("erasure.training.ModelStore._train", forbidden)
    other = models_of(quick("references.size=3", "unlearner=grad_ascent"))
    other.fill(3, quiet())
    assert other.keys["original"] == one.keys["original"]
    assert other.keys["gold"] == one.keys["gold"]
    assert not set(other.keys["unlearned"]) & set(one.keys["unlearned"])
    again = models_of(
        quick("references.size=3", "seeds.train=7", "seeds.unlearn=8", "seeds.evaluate=9")
    )
    again.fill(3, quiet())
    assert again.keys == one.keys
    split = models_of(quick("references.size=3", "seeds.split=1"))
    with pytest.raises(AssertionError, match="trained again"):
        split.fill(3, quiet())


def test_logits_are_those_of_the_stored_models_and_computed_once(quick, models_of, monkeypatch):
    trial = quick("references.size=2")
    references = models_of(trial)
    references.fill(2, quiet())
    view = View(trial.data.pool, trial.data.indices.forget)
    for role in ("original", "gold", "unlearned"):
        logits = references.logits(role, view)
        assert (logits.shape, logits.dtype) == ((2, len(view), 10), torch.float32)
        model = trial.fresh().eval()
        model.load_state_dict(dict(references._state(role, references.keys[role][1])))
        with torch.no_grad():
            alone = model(trial.data.pool.fetch(view.index))
        torch.testing.assert_close(logits[1], alone, rtol=1e-5, atol=1e-5)
        assert not torch.equal(logits[0], logits[1])
    assert not torch.equal(
        references.logits("original", view), references.logits("unlearned", view)
    )
    monkeypatch.setattr(TrialReferences, "_forward", forbidden)
    later = models_of(trial)
    later.fill(2, quiet())
    assert torch.equal(later.logits("gold", view), references.logits("gold", view))


def test_who_saw_and_who_forgot_what(quick, models_of):
    trial = quick("references.size=2")
    references = models_of(trial)
    references.fill(2, quiet())
    splits = DataSplits.of(trial.data.pool, trial.data.indices)
    table = {
        ("original", "forget"): (True, False),
        ("unlearned", "forget"): (True, True),
        ("gold", "forget"): (False, False),
        ("original", "retain"): (True, False),
        ("unlearned", "retain"): (True, False),
        ("gold", "retain"): (True, False),
        ("original", "test"): (False, False),
        ("gold", "test"): (False, False),
    }
    for (role, part), expected in table.items():
        view = splits.part(part)
        tables = (references.trained_on(role, view), references.forgotten_by(role, view))
        assert {side.shape for side in tables} == {(2, len(view))}
        assert tuple(side.unique().tolist() for side in tables) == tuple([e] for e in expected)


@pytest.mark.parametrize(("heldout", "unseen"), [("test", "val"), ("val", "test")])
def test_shadows_are_trained_on_random_halves(quick, models_of, heldout, unseen):
    trial = quick("references.shadows=6")
    references = models_of(trial, heldout)
    references.add_shadows(quiet(), unlearned=True)
    indices = trial.data.indices
    every = torch.cat([indices.train, getattr(indices, heldout)]).sort().values
    view = View(trial.data.pool, every)
    seen = references.trained_on("shadow", view)
    gone = references.forgotten_by("shadow_unlearned", view)
    assert seen.sum(dim=1).tolist() == [len(every) // 2] * 6
    assert torch.equal(seen, references.trained_on("shadow_unlearned", view))
    assert not (gone & ~seen).any()
    share = len(indices.forget) / len(indices.train)
    assert gone.sum(dim=1).tolist() == [round(len(every) // 2 * share)] * 6
    assert not references.forgotten_by("shadow", view).any()
    assert abs(seen.double().mean().item() - 0.5) < 1e-3
    counts = seen.sum(dim=0).double()
    assert counts.var().item() == pytest.approx(6 / 4, rel=0.2)  # binomial: halves are random
    assert len({tuple(row.tolist()) for row in seen}) == 6
    other = View(trial.data.pool, getattr(indices, unseen))
    assert not references.trained_on("shadow", other).any()
    # The weights say the same: the store knows what each was trained on.
    requests = [references.store.meta(key)["request"] for key in references.keys["shadow"]]
    assert [request["seed"] for request in requests] == [FIRST_SEED + k for k in range(6)]
    assert len({request["samples"] for request in requests}) == 6
    logits = references.logits("shadow_unlearned", View(trial.data.pool, indices.forget))
    assert logits.shape == (6, len(indices.forget), 10)


def test_memorization_of_the_training_set_is_written_for_splits_to_read(
    quick, models_of, tmp_path
):
    trial = quick("references.shadows=6")
    references = models_of(trial)
    train = View(trial.data.pool, trial.data.indices.train)
    write_memorization(tmp_path, None, train)
    write_memorization(tmp_path, references, train)
    file = tmp_path / "memorization.safetensors"
    assert not file.exists()  # there are no shadows yet
    references.add_shadows(quiet(), unlearned=False)
    write_memorization(tmp_path, references, train)
    seen = references.trained_on("shadow", train).sum(dim=0)
    scored = train.index[(seen >= 2) & (seen <= 4)]
    scores = read_scores(file, scored)
    assert 0 < len(scored) < len(train)
    assert scores.abs().max() <= 1.0
    assert scores.mean() > -0.05
    with pytest.raises(DataError, match="lacks scores"):
        read_scores(file, train.index)


@pytest.mark.slow
def test_processes_and_one_after_the_other_give_the_same_bits(quick, models_of, tmp_path):
    states = {}
    for engine in ("alone", "processes", "stacked"):
        trial = quick("references.size=2", f"references.engine={engine}", "references.workers=2")
        store = ModelStore(tmp_path / engine)
        references = TrialReferences(trial=trial, store=store, heldout="test")
        references.fill(2, quiet())
        states[engine] = (
            references.keys["gold"],
            [store.state(key) for key in references.keys["gold"]],
        )
    (names, alone), (same, processes), (others, stacked) = states.values()
    assert names == same
    assert not set(names) & set(others)
    for one, two, three in zip(alone, processes, stacked, strict=True):
        for key, value in one.items():
            assert torch.equal(two[key], value)
            torch.testing.assert_close(three[key], value, rtol=1e-3, atol=1e-4)
    workers = [
        child for child in psutil.Process().children() if "loky" in " ".join(child.cmdline())
    ]
    assert not [child for child in workers if "resource_tracker" not in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    "network",
    [[], ["model=cnn", "model.channels=[4]", "model.hidden=12"]],
    ids=["dense", "convolutions"],
)
@pytest.mark.slow
def test_where_stacked_models_were_cut_matters_by_rounding_alone(
    quick, tmp_path, monkeypatch, network
):
    states = []
    for chunk in (3, 2):  # three at once, or two and a single one
        monkeypatch.setattr(training, "CHUNK", chunk)
        monkeypatch.setattr(training, "CONVOLUTIONAL_CHUNK", chunk)
        trial = quick(
            "trainer.fit.epochs=1", "references.size=3", "references.engine=stacked", *network
        )
        store = ModelStore(tmp_path / str(chunk))
        view = View(trial.data.pool, trial.data.indices.train)
        requests = [
            training.ReferenceRequest(seed=seed, view=view) for seed in trial.references.seeds
        ]
        keys, trained = training.get_or_train_many(trial, store, requests, lambda *_a, **_k: None)
        assert trained == len(requests)
        states.append([store.state(key) for key in keys])
    for one, other in zip(*states, strict=True):
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4)


def test_a_damaged_model_is_trained_again_and_a_lost_one_is_named(quick, models_of):
    trial = quick("references.size=2", "references.engine=alone")
    references = models_of(trial)
    references.fill(2, quiet())
    key = references.keys["gold"][0]
    before = model_fingerprint_of(references, key, trial)
    (references.store.root / key / "weights.safetensors").write_bytes(b"cut")
    again = models_of(trial)
    again.fill(2, quiet())
    assert model_fingerprint_of(again, key, trial) == before
    for path in (references.store.root / "tensors").glob(f"{references.keys['unlearned'][0]}*"):
        path.unlink()
    with pytest.raises(StoreError, match=r"unlearned model .* is no longer in the store"):
        references.logits("unlearned", View(trial.data.pool, trial.data.indices.val))


def model_fingerprint_of(references, key, trial):
    model = trial.fresh()
    model.load_state_dict(dict(references.store.state(key)))
    return model_fingerprint(model)


@pytest.mark.parametrize(
    ("interval", "sizes"),
    [
        ((0.60, 0.70), [2]),  # it leaks, surely
        ((0.30, 0.40), [2]),
        ((0.485, 0.515), [2]),  # it does not, surely enough
        ((0.45, 0.55), [2, 4, 5]),
        ((0.51, 0.60), [2, 4, 5]),
        ((float("nan"), float("nan")), [2, 4, 5]),  # too few models to tell
    ],
)
def test_references_stop_growing_when_the_attack_is_decided(
    quick, tmp_path, monkeypatch, interval, sizes
):
    sizes_made = []
    monkeypatch.setattr(grow, "ulira_interval", lambda ctx: interval)
    monkeypatch.setattr(
        TrialReferences, "fill", lambda self, size, progress: sizes_made.append(size)
    )
    trial = quick("references.size=5", "references.first=2")
    reference_models(trial, ModelStore(tmp_path), quiet())
    assert sizes_made == sizes


def test_no_references_are_made_unless_asked_for(quick, tmp_path):
    trial = quick()
    assert reference_models(trial, ModelStore(tmp_path), quiet()) is None


def test_a_context_looks_at_the_references(quick, tmp_path):
    trial = quick("references.size=4", "references.first=4")
    splits = DataSplits.of(trial.data.pool, trial.data.indices)
    references = reference_models(trial, ModelStore(tmp_path), quiet())
    ctx = EvalContext(
        models={},
        splits=splits,
        task_type=trial.data.pool.task_type,
        num_classes=10,
        heldout="test",
        seed=0,
        references=references,
    )
    assert ctx.stack("unlearned", "forget").shape == (4, len(splits.forget), 10)
    low, high = grow.ulira_interval(ctx)
    assert 0.0 <= low < high <= 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1}, "size must be 0 or at least 2, got 1"),
        ({"size": -2}, "size must be 0 or at least 2, got -2"),
        ({"shadows": 1}, "shadows must be 0 or at least 2, got 1"),
        ({"first": 1}, "first must be >= 2, got 1"),
        ({"tolerance": 0.5}, "tolerance must be in [0, 0.5), got 0.5"),
        ({"engine": "fast"}, "engine must be one of auto, stacked, processes, alone, got 'fast'"),
        ({"workers": 0}, "workers must be >= 1 or null, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        ReferenceSettings(**settings)


def test_stages_double_up_to_the_size():
    assert ReferenceSettings(size=100, first=16).stages == [16, 32, 64, 100]
    assert ReferenceSettings(size=8, first=32).stages == [8]
    assert ReferenceSettings(size=0).stages == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["references.size=2", "trainer=sharded"], "Sharded is not the standard trainer"),
        (["references.shadows=2", "precision=bf16"], "precision is not 32"),
        (["references.size=2", "trainer.fit.clip=1"], "clipped by the norm"),
    ],
)
def test_what_cannot_be_stacked_is_refused_before_anything_is_trained(quick, settings, reason):
    with pytest.raises(
        ConfigError, match=f"^references.engine must not be stacked here: .*{reason}"
    ):
        quick(*settings, "references.engine=stacked")


def test_settings_of_references_that_nobody_asked_for_are_not_in_the_way(quick):
    assert quick("references.engine=stacked", "precision=bf16").references.size == 0


def test_shadows_are_refused_where_forgetting_changes_what_stays(quick):
    trial = quick("references.shadows=2")
    other = replace(trial.data.pool, divisor=2.0)
    retain = View(other, trial.data.indices.retain)
    deleting = trial.on_data(replace(trial.data, retain=retain))
    with pytest.raises(
        ConfigError, match=r"^references.shadows must be 0 for a split that deletes"
    ):
        check_references(deleting)


@pytest.mark.slow
def test_training_that_was_killed_goes_on_where_it_was(tmp_path, start_python):
    command = [
        Path(__file__).parents[3] / "run.py",
        *QUICK[:-2],
        "tracking=none",
        "pictures=false",
        "trainer.fit.epochs=12",
        "references.size=8",
        "references.engine=alone",
        f"store.root={tmp_path / 'store'}",
        f"hydra.run.dir={tmp_path / 'out'}",
    ]
    store = ModelStore(tmp_path / "store")
    process = start_python(*command)
    while len(store.entries()) < 5 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = {key: store.meta(key)["created"] for key in store.entries() if not store.damage(key)}
    assert 5 <= len(there) < 18
    again = start_python(*command)
    _, errors = again.communicate(timeout=HANGS)
    assert again.returncode == 0, errors
    after = {key: store.meta(key)["created"] for key in store.entries()}
    assert there.items() <= after.items()
    assert len(after) == 2 + 16
    (result,) = (tmp_path / "store" / "trials").glob("*/result.json")
    assert json.loads(result.read_text())["outcome"] == "finished"
