import torch

from erasure.testing import toy_task
from erasure.testing.toy import EPOCHS
from erasure.unlearners.retrain import Retrain


def test_trained_ids_never_meet_the_forget_set():
    task = toy_task()
    Retrain()(task)
    reads = task.forget.pool.reads
    assert set(reads.nonzero().flatten().tolist()) == set(task.retain.index.tolist())
    assert (reads[task.retain.index] == EPOCHS).all()


def test_no_parameter_is_left_as_the_original_has_it():
    task = toy_task("cnn")
    original = {name: p.detach().clone() for name, p in task.model.named_parameters()}
    for name, weight in Retrain()(task).named_parameters():
        assert not weight.equal(original[name]), name


def test_the_private_copy_is_not_touched():
    task = toy_task()
    before = torch.nn.utils.parameters_to_vector(task.model.parameters()).clone()
    assert Retrain()(task) is not task.model
    assert torch.nn.utils.parameters_to_vector(task.model.parameters()).equal(before)
