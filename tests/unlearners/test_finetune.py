import pytest
import torch
import torch.nn.functional as F

from erasure.testing import toy_task
from erasure.unlearners.finetune import Finetune


def test_two_steps_are_those_worked_by_hand(fit, parameters):
    """A batch of 200 holds all 177 samples: every epoch is one step of plain SGD."""
    task = toy_task()
    expected = parameters(task.model)
    net = toy_task().model
    inputs = task.retain.pool.pool.fetch(task.retain.index)
    for _ in range(2):
        loss = F.cross_entropy(net(inputs), task.retain.targets)
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        expected -= 0.05 * torch.cat([slope.flatten() for slope in slopes])
        torch.nn.utils.vector_to_parameters(expected.clone(), net.parameters())
    tuned = Finetune(fit=fit(batch_size=200))(task)
    assert torch.allclose(parameters(tuned), expected, rtol=0, atol=1e-6)


def test_the_retain_set_is_read_once_per_epoch_and_nothing_else(fit):
    task = toy_task()
    Finetune(fit=fit(epochs=3))(task)
    pool = task.retain.pool
    assert (pool.reads[task.retain.index] == 3).all()
    assert int(pool.reads.sum()) == 3 * len(task.retain)


@pytest.mark.parametrize(
    ("mode", "moves"), [("train", True), ("eval", False), ("frozen_norm", False)]
)
def test_a_rate_of_zero_moves_running_statistics_in_train_mode_alone(
    fit, parameters, statistics, mode, moves
):
    task = toy_task("cnn")
    weights, means = parameters(task.model), statistics(task.model)
    tuned = Finetune(fit=fit(lr=0.0, mode=mode))(task)
    assert parameters(tuned).equal(weights)
    assert statistics(tuned).equal(means) is not moves


def test_a_tiny_rate_hardly_moves_the_weights(fit, parameters):
    task = toy_task()
    before = parameters(task.model)
    tuned = Finetune(fit=fit(lr=1e-6))(task)
    assert 0 < (parameters(tuned) - before).abs().max() < 1e-4


def test_every_epoch_reports_its_mean_loss(fit):
    task = toy_task()
    curve = []
    reported = type(task)(
        **{**vars(task), "report": lambda step, of, **values: curve.append((step, of, values))}
    )
    Finetune(fit=fit(lr=0.0, epochs=2, batch_size=200))(reported)
    inputs = task.retain.pool.pool.fetch(task.retain.index)
    loss = F.cross_entropy(toy_task().model(inputs), task.retain.targets).item()
    assert [entry[:2] for entry in curve] == [(1, 2), (2, 2)]
    assert [entry[2] for entry in curve] == [{"loss": pytest.approx(loss, rel=1e-5)}] * 2
