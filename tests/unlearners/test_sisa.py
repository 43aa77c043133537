"""SISA, alone and with the store of a trial."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console
from trials import assemble

from erasure.core.errors import UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.splits import DataSplits
from erasure.testing import toy_task
from erasure.training.model_store import ModelStore
from erasure.training.tensor_cache import TensorCache
from erasure.trial.models import get_or_train
from erasure.trial.progress import Progress
from erasure.trial.unlearning import unlearn
from erasure.unlearners.sisa import SISA


def members(ensemble):
    return [model_fingerprint(member) for member in ensemble.members]


def test_only_the_shard_of_the_sample_is_trained_again():
    curve = []
    task = toy_task("sharded", num_forget=1)
    before = members(task.model)
    watched = replace(task, report=lambda step, of, **values: curve.append(values))
    after = members(SISA()(watched))
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert curve == [{"shards_retrained": 1.0}]


def test_it_is_the_ensemble_trained_without_the_sample():
    task = toy_task("sharded")
    expected = toy_task("sharded").train(task.retain)
    assert model_fingerprint(SISA()(task)) == model_fingerprint(expected)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_other_originals_are_refused(model):
    with pytest.raises(UnsupportedError, match=r"trained in shards.*use trainer=sharded"):
        SISA()(toy_task(model))


@pytest.fixture(scope="module")
def settings():
    return [
        "dataset=digits",
        "trainer=sharded",
        "trainer.shards=3",
        "trainer.slices=2",
        "trainer.fit.epochs=3",
        "unlearner=sisa",
        "split.fraction=null",
        "split.count=1",
    ]


@pytest.mark.slow
def test_a_trial_repeats_the_stages_of_one_shard(tmp_path, compose_config, settings):
    parts = assemble(compose_config(*settings), device=torch.device("cpu"))
    store, watch = ModelStore(tmp_path), Progress(Console(quiet=True))

    def stages():
        return len(list((tmp_path / "tensors").iterdir()))

    def obtain(view):
        return get_or_train(parts, store, view, watch, "model")

    splits = DataSplits.of(parts.data.pool, parts.data.indices)
    original, trained = obtain(splits.train)
    assert stages() == 6
    unlearned, facts = unlearn(
        parts, original, obtain, TensorCache(tmp_path), lambda *_, **__: None
    )
    assert stages() - 6 in (1, 2)
    changed = sum(a != b for a, b in zip(members(original), members(unlearned), strict=True))
    assert changed == 1
    assert 0 < facts["optimizer_steps"] < trained.steps / 2
    assert facts["forget_passes"] == 0
    assert facts["retain_passes"] == 1  # a third of 3 epochs, rounded

    elsewhere = ModelStore(tmp_path / "elsewhere")
    scratch, _ = get_or_train(parts, elsewhere, splits.retain, watch, "gold")
    assert model_fingerprint(scratch) == model_fingerprint(unlearned)


def test_every_member_starts_from_weights_of_its_own(compose_config, settings):
    parts = assemble(compose_config(*settings), device=torch.device("cpu"))
    assert len(set(members(parts.fresh()))) == 3
    assert model_fingerprint(parts.fresh()) == model_fingerprint(parts.fresh())
    assert not set(members(parts.fresh())) & set(members(parts.fresh("other")))
