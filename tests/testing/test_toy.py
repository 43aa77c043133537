import pytest
import torch

from erasure.core.fingerprint import model_fingerprint
from erasure.core.splits import View
from erasure.testing import toy_context, toy_task
from erasure.testing.toy import EPOCHS, TOY_MODELS, toy_indices, toy_pool
from erasure.testing.unlearner_run import same_values
from erasure.training.scoring import accuracy

CHANCE = 1 / 4


@pytest.mark.parametrize("model", TOY_MODELS)
def test_models_have_learned(model):
    task = toy_task(model)
    assert accuracy(task.model, task.retain) > 3 * CHANCE
    assert accuracy(task.model, task.forget) > 3 * CHANCE
    assert accuracy(task.model, task.val) > 2 * CHANCE
    assert accuracy(task.fresh(), task.retain) < 2 * CHANCE


@pytest.mark.parametrize("model", TOY_MODELS)
def test_tasks_share_an_original_but_no_tensor(model):
    one, other = toy_task(model), toy_task(model, num_forget=71, seed=5)
    assert model_fingerprint(one.model) == model_fingerprint(other.model)
    pointers = [
        {t.data_ptr() for t in [*task.model.state_dict().values(), task.forget.pool.targets]}
        for task in (one, other)
    ]
    assert not pointers[0] & pointers[1]


def test_only_the_generator_depends_on_the_seed():
    draws = [torch.rand(3, generator=toy_task(seed=seed).generator) for seed in (0, 0, 1)]
    assert draws[0].equal(draws[1])
    assert not draws[0].equal(draws[2])


@pytest.mark.parametrize("num_forget", [1, 199])
def test_forget_and_retain_are_the_training_set(num_forget):
    indices = toy_indices(num_forget)
    assert len(indices.forget) == num_forget
    assert indices.train.equal(toy_indices(23).train)
    assert [len(indices.train), len(indices.val), len(indices.test)] == [200, 40, 80]


@pytest.mark.parametrize("num_forget", [0, 200])
def test_a_part_may_not_be_empty(num_forget):
    message = rf"num_forget must be in \[1, 199\], got {num_forget}"
    with pytest.raises(ValueError, match=message):
        toy_task(num_forget=num_forget)


def test_classes_are_balanced():
    assert toy_pool().targets.bincount().tolist() == [80, 80, 80, 80]


@pytest.mark.parametrize("model", TOY_MODELS)
def test_training_on_everything_gives_the_original_bit_for_bit(model):
    task = toy_task(model)
    again = task.train(task.retain + task.forget)
    assert model_fingerprint(again) == model_fingerprint(task.model)


def test_training_counts_its_reads_and_gives_a_model_of_its_own():
    task = toy_task()
    one, other = task.train(task.retain), task.train(task.retain)
    with torch.no_grad():
        next(one.parameters()).zero_()
    assert model_fingerprint(one) != model_fingerprint(other)
    assert model_fingerprint(other) == model_fingerprint(task.train(task.retain))
    pool = task.forget.pool
    assert pool.passes(task.retain.index) == 3 * EPOCHS
    assert pool.passes(task.forget.index) == 0


def test_training_follows_the_labels_of_the_view():
    task = toy_task()
    wrong = task.retain.relabel((task.retain.targets + 1) % 4)
    model = task.train(wrong)
    assert accuracy(model, View(task.retain.pool, wrong.index, wrong.labels)) > 3 * CHANCE
    assert accuracy(model, task.retain) < CHANCE


@pytest.mark.parametrize("model", TOY_MODELS)
def test_the_models_of_a_context_differ(model):
    ctx = toy_context(model)
    prints = {model_fingerprint(model) for model in ctx.models.values()}
    assert len(prints) == 3
    assert ctx.logits("test").shape == (80, 4)


@pytest.mark.parametrize("num_forget", [1, 23, 197])
def test_a_forget_set_can_be_a_class_of_its_own(num_forget):
    task = toy_task(num_forget=num_forget, whole_class=True)
    assert (task.forget.targets == 3).all()
    assert set(task.retain.targets.tolist()) <= {0, 1, 2}
    assert set(task.val.targets.tolist()) == {0, 1, 2, 3}
    assert accuracy(task.model, task.forget) > 3 * CHANCE


def test_nan_is_equal_to_itself_and_to_nothing_else():
    nan, inf = float("nan"), float("inf")
    largest = torch.finfo(torch.float32).max
    assert same_values(torch.tensor([nan, 1.0]), torch.tensor([nan, 1.0]))
    assert not same_values(torch.tensor([nan]), torch.tensor([0.0]))
    assert not same_values(torch.tensor([inf]), torch.tensor([largest]))
    assert not same_values(torch.tensor([1.0]), torch.tensor([1.0, 1.0]))
    assert not same_values(torch.tensor([1.0]), None)
