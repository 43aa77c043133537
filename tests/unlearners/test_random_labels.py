"""Random labels against plain loops, and the law of what is drawn."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.core.task_types import Multiclass
from erasure.testing import toy_task
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.random_labels import ORDERS, RandomLabels

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


class Recorded(Multiclass):
    """Notes the labels on which losses are taken."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "seen", [])

    def loss(self, logits, targets):
        self.seen.append(targets.clone())
        return super().loss(logits, targets)


def descend(net, optimizer, batches):
    for batch in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(batch.inputs), batch.targets).backward()
        optimizer.step()


def reference(task, order, *, epochs=2, size=32, **options):
    """Two epochs in plain loops, with labels that are drawn as the method draws them."""
    seed = task.generator.initial_seed()
    aside, labels = (stream(seed, "random_labels", name) for name in ("forget", "labels"))
    net = task.model.train()
    optimizer = torch.optim.SGD(net.parameters(), **options)
    count = len(task.forget) + len(task.retain)

    def draw():
        if order == "mixed_fixed":
            steps = torch.randint(1, 4, (count,), generator=labels)[: len(task.forget)]
            return task.forget.relabel((task.forget.targets + steps) % 4)
        drawn = torch.randint(4, (count,), generator=labels)
        return task.forget.relabel(drawn[: len(task.forget)])

    fixed = draw() if order == "mixed_fixed" else None
    for _ in range(epochs):
        forget = fixed or draw()
        if order == "sequential_resample":
            descend(net, optimizer, forget.batches(size, generator=aside))
            descend(net, optimizer, task.retain.batches(size, generator=task.generator))
        else:
            both = forget + task.retain
            descend(net, optimizer, both.batches(size, generator=task.generator))
    return net


@MODELS
@pytest.mark.parametrize("order", ORDERS)
def test_it_is_the_plain_loop(fit, model, order):
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
    ours = RandomLabels(fit=fit(**options), order=order)(toy_task(model))
    expected = reference(toy_task(model), order, **options)
    for name, value in expected.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], value, rtol=0, atol=1e-6), name


@pytest.mark.parametrize(
    ("order", "share", "steps"),
    [
        ("sequential_resample", 1.0, 3 + 22),  # 23 = 2 * 8 + 7; 177 = 22 * 8 + 1, which joins
        ("mixed_resample", 1.0, 25),  # 200 = 25 * 8
        ("mixed_fixed", 1.0, 25),
        ("sequential_resample", 0.1, 3 + 3),  # round(17.7) = 18 samples
        ("mixed_fixed", 0.0, 3),
        ("sequential_resample", 0.0, 3),
    ],
)
def test_number_of_steps_and_what_is_read(fit, order, share, steps):
    kind = Recorded()
    task = replace(toy_task(), task_type=kind)
    loop = fit(lr=1e-3, epochs=2, batch_size=8)
    RandomLabels(fit=loop, order=order, retain_share=share)(task)
    assert len(kind.seen) == 2 * steps
    reads = task.forget.pool.reads
    assert (reads[task.forget.index] == 2).all()
    assert int((reads[task.retain.index] == 2).sum()) == round(share * 177)
    assert int(reads.sum()) == 2 * (23 + round(share * 177))


def labels_of(fit, order, *, epochs=400, **settings):
    """Return the labels of the forget set, ``(epochs, 23)``, without training anything."""
    drawn = []

    class Drawn(Multiclass):
        def any_labels(self, *arguments):
            drawn.append(super().any_labels(*arguments)[:23])
            return torch.cat([drawn[-1], torch.zeros(177, dtype=torch.int64)])

        def wrong_labels(self, *arguments):
            drawn.append(super().wrong_labels(*arguments)[:23])
            return torch.cat([drawn[-1], torch.zeros(177, dtype=torch.int64)])

    task = replace(toy_task(), task_type=Drawn())
    loop = fit(lr=0.0, epochs=epochs, batch_size=200)
    RandomLabels(fit=loop, order=order, retain_share=0.0, **settings)(task)
    return torch.stack(drawn), task.forget.targets


@pytest.mark.parametrize("order", ["sequential_resample", "mixed_resample"])
def test_labels_are_uniform_over_all_classes_and_new_in_every_epoch(fit, order):
    """Chi-square with 3 degrees of freedom exceeds 16.27 once in a thousand."""
    drawn, _ = labels_of(fit, order)
    counts = torch.bincount(drawn.flatten(), minlength=4).double()
    expected = drawn.numel() / 4
    assert float(((counts - expected) ** 2 / expected).sum()) < 16.27
    assert len({tuple(row.tolist()) for row in drawn}) == 400


def test_labels_that_exclude_the_true_one_are_uniform_over_the_others(fit):
    """Chi-square with 2 degrees of freedom exceeds 13.82 once in a thousand."""
    drawn, true = labels_of(fit, "sequential_resample", exclude_true=True)
    steps = (drawn - true) % 4
    counts = torch.bincount(steps.flatten(), minlength=4).double()
    assert counts[0] == 0
    expected = drawn.numel() / 3
    assert float(((counts[1:] - expected) ** 2 / expected).sum()) < 13.82


def test_fixed_labels_are_drawn_once_and_never_true(fit):
    drawn, true = labels_of(fit, "mixed_fixed", epochs=5)
    assert drawn.shape == (1, 23)
    assert (drawn != true).all()
    drawn, true = labels_of(fit, "mixed_fixed", epochs=5, exclude_true=False)
    assert (drawn == true).any()


def test_fixed_labels_are_the_same_in_every_epoch(fit):
    kind = Recorded()
    task = replace(toy_task(), task_type=kind)
    loop = fit(epochs=3, batch_size=200)
    RandomLabels(fit=loop, order="mixed_fixed", retain_share=0.0)(task)
    assert len({tuple(sorted(labels.tolist())) for labels in kind.seen}) == 1


@MODELS
def test_it_forgets_what_finetuning_does_not(fit, model):
    losses, loop = [], fit(epochs=20)
    for method in (Finetune(fit=loop), RandomLabels(fit=loop, exclude_true=True)):
        task = toy_task(model)
        net = method(task).eval()
        logits = net(task.forget.pool.fetch(task.forget.index))
        losses.append(F.cross_entropy(logits, task.forget.targets).item())
    assert losses[1] > losses[0] + 0.2


def test_a_sample_of_the_retain_set_is_the_same_in_every_epoch(fit):
    task = toy_task()
    RandomLabels(fit=fit(epochs=4), retain_share=0.3)(task)
    reads = task.forget.pool.reads[task.retain.index]
    assert set(reads.tolist()) == {0, 4}


def test_both_passes_report_their_loss(fit):
    curve = []
    task = replace(toy_task(), report=lambda step, of, **values: curve.append((step, of, *values)))
    RandomLabels(fit=fit())(task)
    assert curve == [(1, 2, "forget_loss", "loss"), (2, 2, "forget_loss", "loss")]


@pytest.mark.parametrize("order", ORDERS)
def test_sets_of_labels_are_drawn_from_their_frequencies_in_the_training_set(
    fit, multilabel_task, order
):
    """A label that is never on stays off, also if one sample alone is to be forgotten."""
    task = multilabel_task()
    targets = task.forget.pool.targets
    targets[:, 2] = 0
    seen = []

    class Watched(type(task.task_type)):
        def loss(self, logits, labels):
            seen.append(labels.clone())
            return super().loss(logits, labels)

    one = task.forget.take(torch.tensor([0]))
    task = replace(task, forget=one, task_type=Watched())
    loop = fit(epochs=40, batch_size=64)
    RandomLabels(fit=loop, order=order, retain_share=0.0, exclude_true=False)(task)
    drawn = torch.cat(seen)
    assert drawn.shape == (40, 3)
    assert (drawn[:, 2] == 0).all()
    assert len({tuple(row.tolist()) for row in drawn}) == (1 if order == "mixed_fixed" else 4)


def test_no_epochs_change_nothing(fit):
    task = toy_task("cnn")
    before = model_fingerprint(task.model)
    assert model_fingerprint(RandomLabels(fit=fit(epochs=0))(task)) == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"order": "mixed"}, "order must be one of sequential_resample, mixed_resample"),
        ({"retain_share": -0.1}, r"retain_share must be in \[0, 1\], got -0.1"),
        ({"retain_share": 1.5}, r"retain_share must be in \[0, 1\], got 1.5"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        RandomLabels(fit=fit(), **setting)
