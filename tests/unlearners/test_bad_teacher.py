"""Bad teaching against a loop written out, and the reduction of the authors' code."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.testing import toy_task
from erasure.unlearners.bad_teacher import BadTeacher


def untrained(task):
    return task.fresh(salt=f"bad_teacher {task.generator.initial_seed()}")


MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def reference(task, *, lr, temperature, share):
    """Two epochs of plain SGD on KL(u bad + (1 - u) good || student) / B, in our batches."""
    student, good = task.model.train(), copy.deepcopy(task.model).eval()
    bad = untrained(task).eval()
    aside = stream(task.generator.initial_seed(), "bad_teacher", "retain")
    keep = torch.randperm(len(task.retain), generator=aside)[: int(share * len(task.retain))]
    view = task.forget + task.retain.take(keep)
    for _ in range(2):
        for batch in view.batches(32, generator=task.generator):
            u = torch.isin(batch.ids, task.forget.index).float()[:, None]
            with torch.no_grad():
                p_bad = F.softmax(bad(batch.inputs) / temperature, dim=1)
                p_good = F.softmax(good(batch.inputs) / temperature, dim=1)
            log_q = F.log_softmax(student(batch.inputs) / temperature, dim=1)
            loss = F.kl_div(log_q, u * p_bad + (1 - u) * p_good, reduction="batchmean")
            slopes = torch.autograd.grad(loss, list(student.parameters()))
            with torch.no_grad():
                for weight, slope in zip(student.parameters(), slopes, strict=True):
                    weight.sub_(lr * slope)
    return student


@MODELS
def test_it_is_the_algorithm_of_the_paper(fit, model):
    ours = BadTeacher(fit=fit(lr=0.1), temperature=2.0, retain_share=0.4)(toy_task(model))
    expected = reference(toy_task(model), lr=0.1, temperature=2.0, share=0.4).state_dict()
    for name, value in ours.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=0, atol=1e-6), name
    before = toy_task(model).model.state_dict()
    assert max((value - before[name]).abs().max() for name, value in expected.items()) > 1e-3


@MODELS
def test_the_gradient_is_four_times_that_of_the_authors_with_four_classes(fit, parameters, model):
    """A factor of four is exact in binary, so four times the rate gives the same bits."""
    ours = BadTeacher(fit=fit(lr=0.05))(toy_task(model))
    authors = BadTeacher(fit=fit(lr=0.2), reduction="elementmean")(toy_task(model))
    same_rate = BadTeacher(fit=fit(lr=0.05), reduction="elementmean")(toy_task(model))
    assert parameters(ours).equal(parameters(authors))
    assert not torch.allclose(parameters(ours), parameters(same_rate), rtol=0, atol=1e-4)


@MODELS
def test_both_teachers_stay_what_they_were(fit, monkeypatch, model):
    task, teachers = toy_task(model), []

    def recorded(make):
        def call(*arguments, **more):
            teachers.append(make(*arguments, **more))
            return teachers[-1]

        return call

    monkeypatch.setattr(copy, "deepcopy", recorded(copy.deepcopy))
    student = BadTeacher(fit=fit())(replace(task, fresh=recorded(task.fresh)))
    monkeypatch.undo()
    good, bad = (net for net in teachers if isinstance(net, torch.nn.Module))
    assert model_fingerprint(good) == model_fingerprint(toy_task(model).model)
    assert model_fingerprint(bad) == model_fingerprint(untrained(task))
    assert model_fingerprint(bad) != model_fingerprint(task.fresh())
    assert student not in (good, bad)
    assert not any(part.training for net in (good, bad) for part in net.modules())
    assert not any(weight.requires_grad for net in (good, bad) for weight in net.parameters())


@MODELS
def test_without_a_forget_set_the_student_agrees_with_its_teacher(fit, parameters, model):
    """In eval mode student and good teacher are one function: no loss, no gradient."""
    task = toy_task(model)
    nothing = replace(task, forget=task.forget.take(torch.arange(0)))
    before, curve = parameters(task.model), []
    watched = replace(nothing, report=lambda step, of, **values: curve.append(values["loss"]))
    after = BadTeacher(fit=fit(lr=0.1, mode="eval"))(watched)
    assert (parameters(after) - before).abs().max() < 1e-5
    assert curve == pytest.approx([0.0, 0.0], abs=1e-6)


def test_it_reads_the_forget_set_and_the_same_share_of_the_rest_in_every_epoch(fit):
    task = toy_task()
    BadTeacher(fit=fit(epochs=3), retain_share=0.3)(task)
    reads = task.forget.pool.reads
    passes = 3 + 1  # epochs, and one pass of each teacher over what it teaches
    assert (reads[task.forget.index] == passes).all()
    assert sorted(reads[task.retain.index].unique().tolist()) == [0, passes]
    assert int((reads[task.retain.index] == passes).sum()) == 53  # int(0.3 * 177)


def test_labels_are_not_used(fit):
    task = toy_task()
    other = replace(
        task,
        forget=task.forget.relabel((task.forget.targets + 1) % 4),
        retain=task.retain.relabel((task.retain.targets + 1) % 4),
    )
    ours = BadTeacher(fit=fit())(toy_task())
    assert model_fingerprint(BadTeacher(fit=fit())(other)) == model_fingerprint(ours)


def test_with_several_labels_per_sample_the_bernoulli_divergence_is_minimized(
    fit, multilabel_task, parameters
):
    """One step on everything: ``sum over samples and labels of KL(t || s) / B`` in sigmoids."""
    task, lr = multilabel_task(), 0.5
    student, bad = (
        multilabel_task().model,
        untrained(task),
    )
    forgotten = task.forget.pool.pool.fetch(task.forget.index)
    p, logits = torch.sigmoid(bad(forgotten)).detach(), student(forgotten)
    entropy = (p * p.log() + (1 - p) * (1 - p).log()).sum()
    cross = F.binary_cross_entropy_with_logits(logits, p, reduction="sum")
    (cross + entropy).div(40).backward()  # the 29 others agree with their teacher
    expected = parameters(student) - lr * torch.cat(
        [w.grad.flatten() for w in student.parameters()]
    )
    loop = fit(lr=lr, epochs=1, batch_size=64)
    ours = BadTeacher(fit=loop, retain_share=1.0)(task)
    assert torch.allclose(parameters(ours), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"retain_share": 0.0}, r"retain_share must be in \(0, 1\], got 0.0"),
        ({"retain_share": 1.1}, r"retain_share must be in \(0, 1\], got 1.1"),
        ({"temperature": 0.0}, "temperature must be > 0, got 0.0"),
        ({"reduction": "mean"}, "reduction must be batchmean or elementmean, got 'mean'"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        BadTeacher(fit=fit(), **setting)
