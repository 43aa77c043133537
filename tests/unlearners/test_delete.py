"""DELETE: a loop written out, and the student for which nothing is left to do."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from erasure.core.errors import UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.splits import View
from erasure.testing import toy_task
from erasure.training.scoring import accuracy
from erasure.unlearners.delete import Delete

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def renormalized(probabilities, targets):
    """Remove the true class and scale the others to sum to one."""
    others = probabilities.scatter(1, targets[:, None], 0.0)
    return others / others.sum(dim=1, keepdim=True)


@MODELS
@pytest.mark.parametrize("mode", ["train", "frozen_norm"])
def test_it_is_the_loop_written_out(fit, parameters, model, mode):
    task, teacher = toy_task(model), toy_task(model).model.eval()
    student = copy.deepcopy(task.model).train()
    if mode == "frozen_norm":
        for part in student.modules():
            part.train(not isinstance(part, nn.BatchNorm2d))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9)
    for _ in range(2):
        for batch in task.forget.batches(8, generator=task.generator):
            target = renormalized(F.softmax(teacher(batch.inputs), dim=1), batch.targets).detach()
            log_q = F.log_softmax(student(batch.inputs), dim=1)
            optimizer.zero_grad()
            F.kl_div(log_q, target, reduction="batchmean").backward()
            optimizer.step()
    loop = fit(batch_size=8, mode=mode, momentum=0.9)
    ours = Delete(fit=loop)(toy_task(model))
    for name, value in student.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], value, rtol=0, atol=1e-5), name
    assert (parameters(ours) - parameters(teacher)).abs().max() > 1e-2


class Scores(nn.Module):
    """Logits that are the parameters themselves; an input is the number of a row."""

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(rows)

    def forward(self, inputs):
        return self.rows[inputs[:, 0].long()]


def rows_task(make_pool, labels):
    pool = make_pool(labels, num_classes=4)
    forget = View(pool, torch.arange(len(labels)))
    return replace(toy_task(), forget=forget, num_classes=4, task_type=pool.task_type)


def test_the_gradient_is_zero_where_the_student_is_the_renormalized_teacher(make_pool, fit):
    """``d KL / d logits = (softmax(student) - target) / B``, which vanishes nowhere else."""
    labels = torch.tensor([0, 2, 3])
    teacher = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.5, 0.0, 3.0, 1.0], [0.0, 0.0, 0.0, 5.0]])
    target = renormalized(F.softmax(teacher, dim=1), labels)
    task = replace(rows_task(make_pool, labels), model=Scores(teacher.clone()))
    first = Delete(fit=fit(lr=0.3, epochs=1))(task).rows
    expected = teacher - 0.3 * (F.softmax(teacher, dim=1) - target) / 3
    assert torch.allclose(first, expected, rtol=0, atol=1e-6)

    there = target.clamp_min(1e-30).log()  # a student that has arrived

    class Arriving(Scores):
        """The teacher's logits as long as it is in eval mode, the student's in train mode."""

        def forward(self, inputs):
            if not self.training:
                return teacher[inputs[:, 0].long()]
            return super().forward(inputs)

    arrived = replace(rows_task(make_pool, labels), model=Arriving(there.clone()))
    after = Delete(fit=fit(lr=0.3, epochs=5))(arrived).rows
    assert torch.allclose(after, there, rtol=0, atol=1e-6)


def test_it_forgets_a_whole_class_and_never_reads_the_rest(fit):
    task = toy_task("cnn", num_forget=40, whole_class=True)
    assert accuracy(task.model, task.forget) > 0.9
    model = Delete(fit=fit(lr=0.01, epochs=20, momentum=0.9))(task)
    reads = task.retain.pool.reads
    assert int(reads[task.retain.index].sum()) == 0
    assert accuracy(model, task.forget) < 0.1


def test_a_sure_teacher_gives_no_infinities(make_pool, fit):
    labels = torch.tensor([0, 1])
    certain = torch.tensor([[1e4, 0.0, 0.0, 0.0], [0.0, 1e4, -1e4, 0.0]])
    task = replace(rows_task(make_pool, labels), model=Scores(certain))
    after = Delete(fit=fit(epochs=3))(task).rows
    assert after.isfinite().all()


def test_the_teacher_stays_the_original(fit, monkeypatch):
    teachers, deepcopy = [], copy.deepcopy
    monkeypatch.setattr(
        copy, "deepcopy", lambda value, *more: teachers.append(deepcopy(value)) or teachers[-1]
    )
    student = Delete(fit=fit())(toy_task("cnn"))
    monkeypatch.undo()
    (teacher,) = (value for value in teachers if isinstance(value, nn.Module))
    assert model_fingerprint(teacher) == model_fingerprint(toy_task("cnn").model)
    assert model_fingerprint(teacher) != model_fingerprint(student)


def test_several_labels_per_sample_are_refused(fit, multilabel_task):
    with pytest.raises(UnsupportedError, match=r"delete needs one class.*random_labels"):
        Delete(fit=fit())(multilabel_task())
