"""Teachers run once per sample, unless augmentation changes the sample."""

from dataclasses import replace

import torch
from torch import nn

from erasure.core.seeding import stream
from erasure.core.splits import View
from erasure.data.pools.augment import CropFlip
from erasure.testing import toy_task
from erasure.training.teachers import TeacherTarget, teacher_logits


class Counted(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model.eval(), 0

    def forward(self, inputs):
        self.seen += len(inputs)
        return self.model(inputs)


def lessons_of(task):
    other = task.fresh(salt="other").eval()
    first, second = Counted(task.model), Counted(other)
    return [
        TeacherTarget(first, task.forget, "original"),
        TeacherTarget(second, task.retain, "other"),
    ]


def expected(lessons, batch, task):
    forgotten = torch.isin(batch.ids, task.forget.index)[:, None]
    with torch.no_grad():
        mine, other = (lesson.teacher.model(batch.inputs) for lesson in lessons)
    return torch.where(forgotten, mine, other)


def test_every_sample_gets_the_logits_of_its_teacher_and_is_seen_once():
    task = toy_task("cnn")
    lessons = lessons_of(task)
    taught = teacher_logits(task, lessons, augment=True)
    for _ in range(2):
        for batch in (task.forget + task.retain).batches(32, generator=stream(0, "x")):
            torch.testing.assert_close(taught(batch), expected(lessons, batch, task))
    assert [lesson.teacher.seen for lesson in lessons] == [len(task.forget), len(task.retain)]


def test_augmented_batches_are_shown_to_the_teacher():
    task = toy_task("cnn")
    pool = replace(task.forget.pool.pool, augmentation=CropFlip(padding=1))
    task = replace(
        task, forget=View(pool, task.forget.index), retain=View(pool, task.retain.index)
    )
    lessons = lessons_of(task)
    taught = teacher_logits(task, lessons, augment=True)
    batches = (task.forget + task.retain).batches(32, generator=stream(0, "x"), augment=True)
    for batch in batches:
        torch.testing.assert_close(taught(batch), expected(lessons, batch, task))
    assert lessons[0].teacher.seen == len(task.forget) + len(task.retain)
    quiet = teacher_logits(task, lessons, augment=False)
    batch = next(task.forget.batches(8))
    torch.testing.assert_close(quiet(batch), expected(lessons, batch, task))


def test_what_is_remembered_is_known_by_teacher_and_view():
    asked = []

    def cached(name, view, compute, **settings):
        asked.append((name, len(view), settings))
        return compute()

    task = replace(toy_task(), cached=cached)
    teacher_logits(task, lessons_of(task), augment=False)
    assert asked == [
        ("logits", len(task.forget), {"teacher": "original"}),
        ("logits", len(task.retain), {"teacher": "other"}),
    ]
