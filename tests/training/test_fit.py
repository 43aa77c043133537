"""The gradient loop, step by step, on one weight whose gradients are known."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from erasure.core.errors import ConfigError, DivergedError, UnsupportedError
from erasure.core.seeding import isolated
from erasure.testing import toy_task
from erasure.training.fit import Fit, set_mode
from erasure.training.passes import Pass, shuffled
from erasure.training.schedules import Cosine, MultiStep

SGD = partial(torch.optim.SGD, lr=0.1)
FIT = Fit(optimizer=SGD, epochs=1, batch_size=4)


class Recording(torch.optim.SGD):
    """Notes the learning rate of each step."""

    rates: list = None

    def step(self, closure=None):
        self.rates.append(self.param_groups[0]["lr"])
        return super().step(closure)


def weights(*values):
    model = nn.Linear(len(values), 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([values]))
    return model


def steps(*items):
    return Pass(len(items), lambda: iter(items))


def slope(model, gradient):
    """An objective whose gradient is the batch itself."""
    return (model.weight * torch.tensor([gradient])).sum()


@pytest.fixture
def fresh_weights():
    """Build the module without drawing from the global generator."""

    def make(*values):
        with torch.random.fork_rng():
            return weights(*values)

    return make


@pytest.fixture
def recording():
    """Build a Fit that notes its rates, and the list it notes them in."""

    def make(**fields):
        kind = type("Noting", (Recording,), {"rates": []})
        optimizer = partial(kind, lr=0.1)
        return Fit(optimizer=optimizer, batch_size=4, **fields), kind.rates

    return make


def test_a_step_goes_down_the_gradient(fresh_weights):
    model = FIT(fresh_weights(1.0, 2.0), steps((3.0, 4.0), (1.0, 0.0)), slope)
    assert model.weight.flatten().tolist() == pytest.approx([1 - 0.4, 2 - 0.4])


def test_clipping_scales_the_gradient_to_the_largest_norm(fresh_weights):
    """(3, 4) has norm 5: clipped to 1 it is (0.6, 0.8); (0.3, 0.4) is below and stays."""
    clipped = replace(FIT, clip=1.0)
    model = clipped(fresh_weights(0.0, 0.0), steps((3.0, 4.0)), slope)
    assert model.weight.flatten().tolist() == pytest.approx([-0.06, -0.08], abs=1e-6)
    model = clipped(fresh_weights(0.0, 0.0), steps((0.3, 0.4)), slope)
    assert model.weight.flatten().tolist() == pytest.approx([-0.03, -0.04], abs=1e-8)


def test_gradients_do_not_pile_up(fresh_weights):
    model = replace(FIT, epochs=3)(fresh_weights(0.0), steps((1.0,)), slope)
    assert model.weight.item() == pytest.approx(-0.3)


def test_frozen_weights_are_left_alone_and_do_not_count(fresh_weights):
    """What is left in the gradient of a frozen weight neither moves it nor uses up the norm."""
    model = nn.Sequential(fresh_weights(1.0), fresh_weights(1.0))
    model[0].weight.grad = torch.tensor([[1000.0]])
    model[0].weight.requires_grad_(requires_grad=False)
    decay = partial(torch.optim.SGD, lr=0.1, weight_decay=0.5)
    fit = replace(FIT, optimizer=decay, clip=1.0)
    fit(model, steps(torch.ones(1, 1)), lambda net, batch: net(batch).sum())
    assert model[0].weight.item() == 1.0
    assert model[1].weight.item() == pytest.approx(1 - 0.1 * (1 + 0.5))


def test_no_epochs_change_nothing(fresh_weights):
    model = replace(FIT, epochs=0)(fresh_weights(1.0), steps((3.0,)), slope)
    assert model.weight.item() == 1.0


def test_every_epoch_reports_its_mean_objective(fresh_weights):
    """The weight goes 1, 0.9, 0.7 and then 0.6: objectives 1, 1.8 and 0.7, 1.2."""
    curve = []
    replace(FIT, epochs=2)(
        fresh_weights(1.0),
        steps((1.0,), (2.0,)),
        slope,
        report=lambda step, of, **values: curve.append((step, of, values)),
    )
    assert [entry[:2] for entry in curve] == [(1, 2), (2, 2)]
    assert [entry[2]["loss"] for entry in curve] == pytest.approx([1.4, 0.95])


def test_a_cosine_steps_once_per_batch(fresh_weights, recording):
    """cos(0), cos(45), cos(90), cos(135) degrees: (1 + cos) / 2 times the rate."""
    fit, rates = recording(epochs=2, schedule=Cosine())
    loop = fit.loop(fresh_weights(0.0), 4)
    for _ in range(2):
        loop.run(steps((1.0,), (1.0,)), slope)
    assert rates == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447], abs=1e-7)
    assert loop.optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_a_schedule_spans_all_epochs(fresh_weights, recording):
    """Halves of 10 steps: rates fall after 5 and again after 8 (0.75 * 10, rounded to even)."""
    fit, rates = recording(epochs=5, schedule=MultiStep())
    fit(fresh_weights(0.0), steps((1.0,), (1.0,)), slope)
    assert rates == pytest.approx([0.1] * 5 + [0.01] * 3 + [0.001] * 2)


def test_rates_scale_from_where_they_started(fresh_weights):
    loop = FIT.loop(fresh_weights(0.0), steps=0)
    for factor, rate in ((0.5, 0.05), (0.1, 0.01), (1.0, 0.1)):
        loop.scale_lr(factor)
        assert loop.optimizer.param_groups[0]["lr"] == pytest.approx(rate)


def test_one_loop_keeps_its_momentum_from_pass_to_pass(fresh_weights):
    """Momentum 0.5: the second step is 0.1 * (1 + 0.5)."""
    heavy = replace(FIT, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.5))
    loop = heavy.loop(fresh_weights(0.0), steps=0)
    for _ in range(2):
        loop.run(steps((1.0,)), slope)
    assert loop.model.weight.item() == pytest.approx(-0.1 - 0.15)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_objective_that_is_not_finite_ends_the_run_with_advice(fresh_weights, value):
    message = rf"training loss became {value}; .*fit\.optimizer\.lr.*fit\.clip"
    with pytest.raises(DivergedError, match=message):
        FIT(fresh_weights(1.0), steps((1.0,), (value,)), slope)


def test_a_pass_whose_losses_overflow_together_is_not_finite(fresh_weights):
    with pytest.raises(DivergedError, match="became inf"):
        FIT(fresh_weights(1.0), steps((3e38,), (-3e38,)), slope)


@pytest.mark.parametrize(
    ("mode", "norm", "dropout"),
    [("train", True, True), ("eval", False, False), ("frozen_norm", False, True)],
)
def test_modes(mode, norm, dropout):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(), nn.Sequential(nn.BatchNorm2d(2)))
    set_mode(model, mode)
    assert [module.training for module in model] == [norm, dropout, dropout]
    assert model[2][0].training is norm


@pytest.mark.parametrize(
    ("mode", "moves"), [("train", True), ("eval", False), ("frozen_norm", False)]
)
def test_only_train_mode_moves_running_statistics(mode, moves):
    task = toy_task("cnn")
    buffers = {name: value.clone() for name, value in task.model.named_buffers()}
    weight = next(task.model.parameters()).detach().clone()
    batches = shuffled(task.retain, 64, task.generator, augment=False)
    replace(FIT, mode=mode)(task.model, batches, task.objective)
    changed = [n for n, value in task.model.named_buffers() if not value.equal(buffers[n])]
    assert bool(changed) is moves
    assert not next(task.model.parameters()).equal(weight)


def test_frozen_norms_normalize_with_their_running_statistics():
    """One sample (3) with running mean 1 and variance 4 - eps gives (3 - 1) / 2."""
    norm = nn.BatchNorm1d(1)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0 - norm.eps)
    seen = []

    def objective(model, batch):
        seen.append(model(batch).item())
        return model(batch).sum()

    replace(FIT, mode="frozen_norm")(norm, steps(torch.tensor([[3.0]])), objective)
    assert seen == pytest.approx([1.0])
    assert norm.weight.item() == pytest.approx(1 - 0.1)


def test_batch_normalization_cannot_train_on_one_sample():
    norm = nn.BatchNorm1d(3)
    message = r"batch of one sample; use a larger forget set, or fit\.mode=frozen_norm"
    with pytest.raises(UnsupportedError, match=message):
        FIT(norm, steps(torch.ones(1, 3)), lambda model, batch: model(batch).sum())


def test_other_errors_of_a_model_are_not_explained_away(fresh_weights):
    def objective(model, batch):
        raise ValueError("expected 4D input")

    with pytest.raises(ValueError, match="expected 4D input"):
        FIT(fresh_weights(1.0), steps((1.0,)), objective)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": -1}, "epochs must be >= 0, got -1"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"clip": 0.0}, "clip must be > 0 or null, got 0.0"),
        ({"clip": -1.0}, "clip must be > 0 or null, got -1.0"),
        ({"clip": float("nan")}, "clip must be > 0 or null, got nan"),
        ({"mode": "test"}, "mode must be train, eval or frozen_norm, got 'test'"),
        ({"optimizer": partial(torch.optim.SGD, lr=-1.0)}, "optimizer cannot be built: .*-1.0"),
        ({"optimizer": partial(torch.optim.SGD, rate=1.0)}, "optimizer cannot be built: .*rate"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(ConfigError, match=message):
        replace(FIT, **setting)


def test_the_optimizer_knows_only_what_is_trained():
    with isolated(0, "model"):
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(requires_grad=False)
    sgd = Fit(optimizer=partial(torch.optim.SGD, lr=0.1), epochs=1, batch_size=4)
    (group,) = sgd.loop(model, steps=1).optimizer.param_groups
    assert [id(parameter) for parameter in group["params"]] == list(map(id, model[1].parameters()))
