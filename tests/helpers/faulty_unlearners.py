"""Wrong methods on purpose, each with the checks that must catch it."""

import copy
import gc
import random
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from erasure.core.fingerprint import model_fingerprint
from erasure.core.splits import View
from erasure.training.fit import Fit
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.identity import Identity

FIT = Fit(optimizer=partial(torch.optim.SGD, lr=0.01), epochs=1, batch_size=64)
BOTH = ("forget", "retain")


def descend(model, batches, sign=1.0):
    """A loop that keeps to the contract, for faults to be put around."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for batch in batches:
        optimizer.zero_grad()
        (sign * F.cross_entropy(model(batch.inputs), batch.targets)).backward()
        optimizer.step()
    return model


def retain_batches(task, size=64):
    return task.retain.batches(size, generator=task.generator)


@dataclass(frozen=True)
class Shrink:
    """A method that keeps to the contract, as an outside package might bring it."""

    factor: float = 0.9

    def __call__(self, task):
        with torch.no_grad():
            for weight in task.model.parameters():
                weight.mul_(self.factor)
        return task.model


class ShallowTeacher:
    """SCRUB as one framework has it: the teacher shares its submodules with the student."""

    def __call__(self, task):
        student = task.model.train()
        teacher = copy.copy(task.model)
        teacher.eval()
        for batch in retain_batches(task):
            assert teacher(batch.inputs).equal(student(batch.inputs))
        return descend(student, retain_batches(task))


class EditsOriginal:
    """Finds the model that task.model is a copy of, and edits that as well."""

    def __call__(self, task):
        kind, weights = type(task.model), model_fingerprint(task.model)
        for item in [o for o in gc.get_objects() if type(o) is kind]:
            if model_fingerprint(item) == weights:
                Shrink()(replace(task, model=item))
        return task.model


class GlobalNoise:
    def __call__(self, task):
        with torch.no_grad():
            for weight in task.model.parameters():
                weight.add_(0.01 * torch.randn_like(weight))
        return task.model


class Numpy:
    """Shuffles by NumPy."""

    def __call__(self, task):
        order = torch.from_numpy(np.random.permutation(len(task.retain)))  # noqa: NPY002
        return descend(task.model, task.retain.take(order).batches(64))


class Reseeds:
    """The line that many research scripts start with."""

    def __call__(self, task):
        random.seed(0)
        return Shrink()(task)


class DropsLast:
    """A DataLoader with drop_last."""

    def __call__(self, task):
        full = [b for b in task.forget.batches(8) if len(b.ids) == 8]
        return descend(task.model, full, sign=-1.0)


class SkipsUnequalPairs:
    """Reads pairs of batches and learns from those of equal size."""

    def __call__(self, task):
        pairs = zip(task.forget.batches(16), retain_batches(task, 16), strict=False)
        equal = [keep for drop, keep in pairs if len(keep.ids) == len(drop.ids)]
        return descend(task.model, equal)


class LeavesHook:
    def __call__(self, task):
        task.model.register_forward_hook(lambda module, inputs, output: None)
        return Shrink()(task)


class LeavesTensorHook:
    def __call__(self, task):
        next(task.model.parameters()).register_post_accumulate_grad_hook(lambda weight: None)
        return Shrink()(task)


class LeavesGlobalHook:
    def __call__(self, task):
        register_optimizer_step_post_hook(lambda optimizer, args, kwargs: None)
        return Shrink()(task)


class Freezes:
    """Tunes the last layer and leaves the others frozen."""

    def __call__(self, task):
        for weight in list(task.model.parameters())[:-2]:
            weight.requires_grad_(requires_grad=False)
        return descend(task.model, retain_batches(task))


class ReadsTest:
    def __call__(self, task):
        every = View(task.retain.pool, torch.arange(len(task.retain.pool.targets)))
        return descend(task.model, every.batches(64))


class ReadsForget:
    """Is declared to read the retain set alone."""

    def __call__(self, task):
        return descend(task.model, (task.retain + task.forget).batches(64))


class ReturnsNan:
    def __call__(self, task):
        with torch.no_grad():
            list(task.model.parameters())[-1].fill_(float("nan"))
        return task.model


class DividesByZero:
    """Divides by the spread of the forget set, which one sample does not have."""

    def __call__(self, task):
        inputs = task.forget.pool.fetch(task.forget.index)
        spread = (inputs - inputs.mean(dim=0)).abs().mean()
        with torch.no_grad():
            list(task.model.parameters())[-1].add_(0.01 / spread)
        return task.model


class ChangesClass:
    def __call__(self, task):
        kind = type(task.model)
        task.model.__class__ = type(kind.__name__, (kind,), {})
        return Shrink()(task)


class TurnsGradientsOff:
    def __call__(self, task):
        torch.set_grad_enabled(False)
        return Shrink()(task)


class DefaultsToDouble:
    def __call__(self, task):
        torch.set_default_dtype(torch.float64)
        return Shrink()(task)


class RelabelsInPlace:
    def __call__(self, task):
        targets = task.forget.pool.targets
        targets[task.forget.index] = (targets[task.forget.index] + 1) % task.num_classes
        return descend(task.model, task.forget.batches(64))


@dataclass
class Remembers:
    """Keeps a counter between calls."""

    calls: list = field(default_factory=list)

    def __call__(self, task):
        self.calls.append(1)
        return Shrink(1 - 0.001 * len(self.calls))(task)


class ReturnsTooManyLogits:
    def __call__(self, task):
        Shrink()(task)
        return nn.Sequential(task.model, nn.ZeroPad1d((0, 1)))


UNUSABLE = {
    "returns_a_usable_model",
    "accepts_one_forget_sample",
    "copes_with_uneven_batches",
}
UNMOVED = {"changes_weights", "accepts_one_forget_sample", "copes_with_uneven_batches"}

FAULTS = [
    (ShallowTeacher(), {}, {"keeps_mode_together"}),
    (EditsOriginal(), {}, {"leaves_original"}),
    (GlobalNoise(), {}, {"is_reproducible", "leaves_global_randomness"}),
    (Numpy(), {}, {"is_reproducible", "leaves_global_randomness"}),
    (Reseeds(), {}, {"leaves_global_randomness"}),
    (DropsLast(), {"reads": ("forget",)}, UNMOVED - {"changes_weights"}),
    (SkipsUnequalPairs(), {"reads": BOTH}, UNMOVED - {"changes_weights"}),
    (LeavesHook(), {}, {"leaves_no_hooks"}),
    (LeavesTensorHook(), {}, {"leaves_no_hooks"}),
    (LeavesGlobalHook(), {}, {"leaves_no_hooks"}),
    (Freezes(), {}, {"leaves_requires_grad"}),
    (ReadsTest(), {}, {"reads_what_it_declares"}),
    (ReadsForget(), {"reads": ("retain",)}, {"reads_what_it_declares"}),
    (Finetune(fit=FIT), {"reads": BOTH}, {"reads_what_it_declares", "copes_with_uneven_batches"}),
    (ReturnsNan(), {}, UNUSABLE),
    (DividesByZero(), {}, {"accepts_one_forget_sample"}),
    (Identity(), {}, UNMOVED),
    (Finetune(fit=replace(FIT, epochs=0)), {}, UNMOVED),
    (Shrink(), {"changes_weights": False}, {"changes_weights"}),
    (ChangesClass(), {}, {"keeps_architecture"}),
    (TurnsGradientsOff(), {}, {"leaves_settings"}),
    (DefaultsToDouble(), {}, {"leaves_settings"}),
    (RelabelsInPlace(), {}, {"leaves_data"}),
    (Remembers(), {}, {"is_reproducible"}),
    (ReturnsTooManyLogits(), {}, UNUSABLE | {"keeps_architecture"}),
]
