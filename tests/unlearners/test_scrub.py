"""SCRUB against a plain loop of its own, and against variants of it that are wrong."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.core.task_types import Multiclass
from erasure.testing import toy_task
from erasure.training.schedules import Cosine
from erasure.unlearners import scrub as module
from erasure.unlearners.scrub import Scrub

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])
SETTINGS = {
    "msteps": 1,
    "alpha": 0.5,
    "gamma": 0.8,
    "temperature": 2.0,
    "forget_batch_size": 8,
    "decay_epochs": (1,),
    "decay": 0.5,
}
EPOCHS = 2
OPTIMIZERS = [
    (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    (torch.optim.Adam, {"lr": 0.002, "weight_decay": 0.1}),
]


def distance(student, teacher, temperature, factor):
    """``T^2 / B * sum p log(p / q)``, by the loss function that torch has for it."""
    log_q = F.log_softmax(student / temperature, dim=1)
    p = F.softmax(teacher / temperature, dim=1)
    return factor * F.kl_div(log_q, p, reduction="sum") / len(student)


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def reference(task, optimizer, options, *, order="max-min", factor=4.0, msteps=1, shared=True):
    """Two epochs of the algorithm, in the batches that the method takes."""
    student, teacher = task.model.train(), copy.deepcopy(task.model).eval()
    aside = stream(task.generator.initial_seed(), "scrub", "forget")
    descent = optimizer(student.parameters(), **options)
    ascent = descent if shared else optimizer(student.parameters(), **options)

    def apart(inputs, logits):
        return distance(logits, teacher(inputs).detach(), SETTINGS["temperature"], factor)

    def maximize():
        for batch in task.forget.batches(SETTINGS["forget_batch_size"], generator=aside):
            step(ascent, -apart(batch.inputs, student(batch.inputs)))

    def minimize():
        for batch in task.retain.batches(32, generator=task.generator):
            logits = student(batch.inputs)
            loss = SETTINGS["gamma"] * F.cross_entropy(logits, batch.targets)
            step(descent, loss + SETTINGS["alpha"] * apart(batch.inputs, logits))

    for epoch in range(1, EPOCHS + 1):
        rate = options["lr"] * SETTINGS["decay"] ** (epoch > 1)
        descent.param_groups[0]["lr"] = ascent.param_groups[0]["lr"] = rate
        phases = [maximize, minimize][epoch > msteps :]
        for phase in phases if order == "max-min" else reversed(phases):
            phase()
    return student


def ours(fit, model, optimizer, options, **changes):
    loop = fit(optimizer, epochs=EPOCHS, batch_size=32, **options)
    return Scrub(fit=loop, **(SETTINGS | changes))(toy_task(model))


@MODELS
@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_it_is_the_algorithm_of_the_paper(fit, parameters, model, optimizer, options):
    result = ours(fit, model, optimizer, options)
    expected = reference(toy_task(model), optimizer, options)
    assert (parameters(result) - parameters(expected)).abs().max() < 1e-6
    for name, value in expected.state_dict().items():
        assert torch.allclose(result.state_dict()[name], value, rtol=0, atol=1e-6), name


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
@pytest.mark.parametrize(
    "mutation",
    [{"order": "min-max"}, {"factor": 1.0}, {"msteps": 2}, {"shared": False}],
    ids=["min first", "no T^2", "max in every epoch", "an optimizer per phase"],
)
def test_it_is_none_of_the_wrong_variants(fit, parameters, optimizer, options, mutation):
    result = ours(fit, "cnn", optimizer, options)
    wrong = reference(toy_task("cnn"), optimizer, options, **mutation)
    assert (parameters(result) - parameters(wrong)).abs().max() > 1e-4


@MODELS
def test_the_labels_of_the_forget_set_are_not_used(fit, model):
    task = toy_task(model)
    relabeled = replace(task, forget=task.forget.relabel((task.forget.targets + 1) % 4))
    loop = fit(epochs=2)
    other = Scrub(fit=loop)(relabeled)
    assert model_fingerprint(other) == model_fingerprint(Scrub(fit=loop)(toy_task(model)))


@MODELS
def test_the_teacher_stays_the_original(fit, monkeypatch, model):
    teachers = []

    class Copy:
        @staticmethod
        def deepcopy(value):
            teachers.append(copy.deepcopy(value))
            return teachers[-1]

    monkeypatch.setattr(module, "copy", Copy)
    task = toy_task(model)
    student = Scrub(fit=fit())(task)
    assert len(teachers) == 1
    assert model_fingerprint(teachers[0]) == model_fingerprint(toy_task(model).model)
    assert model_fingerprint(student) != model_fingerprint(teachers[0])
    assert not any(part.training for part in teachers[0].modules())
    assert not any(weight.requires_grad for weight in teachers[0].parameters())
    own = {value.data_ptr() for value in student.state_dict().values()}
    assert not own & {value.data_ptr() for value in teachers[0].state_dict().values()}


@pytest.mark.parametrize(("model", "moves"), [("mlp", False), ("cnn", True)])
def test_the_first_maximizing_pass_moves_a_network_with_batch_statistics_alone(
    fit, parameters, model, moves
):
    """The divergence starts at its minimum; alpha = gamma = 0 silences the second pass."""
    task = toy_task(model)
    before = parameters(task.model)
    loop = fit(lr=0.1, epochs=1)
    after = parameters(Scrub(fit=loop, msteps=1, alpha=0.0, gamma=0.0)(task))
    change = (after - before).abs().max()
    assert change > 1e-3 if moves else change < 1e-6


def test_in_eval_mode_it_moves_nothing_there_either(fit, parameters):
    task = toy_task("cnn")
    before = parameters(task.model)
    loop = fit(lr=0.1, epochs=1, mode="eval")
    after = parameters(Scrub(fit=loop, msteps=1, alpha=0.0, gamma=0.0)(task))
    assert (after - before).abs().max() < 1e-6


def test_passes_over_each_part(fit):
    task = toy_task()
    Scrub(fit=fit(epochs=4), msteps=3)(task)
    reads = task.forget.pool.reads
    teacher = 1  # one pass over all that it teaches
    assert (reads[task.forget.index] == 3 + teacher).all()
    assert (reads[task.retain.index] == 4 + teacher).all()
    assert int(reads.sum()) == 4 * 23 + 5 * 177


def test_the_rate_decays_after_the_epochs_that_are_named(fit):
    rates = []

    class Recording(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    loop = fit(Recording, lr=0.1, epochs=4, batch_size=200)
    Scrub(fit=loop, msteps=0, decay_epochs=(1, 3), decay=0.5)(toy_task())
    assert rates == pytest.approx([0.1, 0.05, 0.05, 0.025])


def test_both_passes_report_what_they_optimize(fit):
    curve = []
    task = replace(toy_task(), report=lambda step, of, **values: curve.append((step, of, values)))
    Scrub(fit=fit(epochs=3), msteps=2)(task)
    assert [entry[:2] for entry in curve] == [(1, 3), (2, 3), (3, 3)]
    assert [set(entry[2]) for entry in curve] == [{"forget_divergence", "loss"}] * 2 + [{"loss"}]
    divergences = [entry[2]["forget_divergence"] for entry in curve[:2]]
    assert divergences[0] == pytest.approx(0.0, abs=1e-6)
    assert divergences[1] > 1e-4


def test_divergence_by_hand():
    """At T = 2 the teacher gives (1/2, 1/4, 1/4) and (1/3, 1/3, 1/3).

    The student gives (1/4, 1/2, 1/4) and (1/3, 1/3, 1/3). In the first row
    KL = 1/2 log 2 - 1/4 log 2 = log(2) / 4, in the second it is 0; T^2 = 4 gives log 2 and 0.
    """
    half, quarter = torch.tensor(0.5).log() * 2, torch.tensor(0.25).log() * 2
    teacher = torch.stack([torch.stack([half, quarter, quarter]), torch.zeros(3)])
    student = torch.stack([torch.stack([quarter, half, quarter]) + 5.0, torch.ones(3)])
    result = Multiclass().predictive_kl(teacher, student, 2.0)
    assert result.tolist() == pytest.approx([0.693147, 0.0], abs=1e-6)
    assert result.mean().item() == pytest.approx(0.346574, abs=1e-6)
    by_torch = 4 * F.kl_div(
        F.log_softmax(student / 2, dim=1), F.softmax(teacher / 2, dim=1), reduction="batchmean"
    )
    assert result.mean().item() == pytest.approx(by_torch.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"msteps": -1}, "msteps must be >= 0, got -1"),
        ({"alpha": -0.5}, "alpha must be >= 0, got -0.5"),
        ({"gamma": -1}, "gamma must be >= 0, got -1"),
        ({"temperature": 0}, "temperature must be > 0, got 0"),
        ({"forget_batch_size": 0}, "forget_batch_size must be >= 1, got 0"),
        ({"decay": 0.0}, r"decay must be in \(0, 1\], got 0.0"),
        ({"decay": 1.5}, r"decay must be in \(0, 1\], got 1.5"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        Scrub(fit=fit(), **setting)


def test_a_schedule_is_refused(fit):
    with pytest.raises(ConfigError, match=r"fit\.schedule must be null"):
        Scrub(fit=replace(fit(), schedule=Cosine()))
