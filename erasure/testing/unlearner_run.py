"""One run of a method on a toy task, with everything a check may ask about it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from erasure.core.fingerprint import tensor_fingerprint
from erasure.core.splits import View
from erasure.core.task import Unlearner, UnlearningTask
from erasure.data.pools.tensor import TensorPool
from erasure.data.pools.through import AuditedPool
from erasure.testing.surroundings import Surroundings, seed_everything
from erasure.testing.toy import ToyModel, toy_task


@dataclass(frozen=True, kw_only=True)
class UnlearnerRun:
    """What a method was given, what it returned, and what it left behind.

    Args:
        task: What it was given; its model and pool may have been changed.
        original: The model before, held apart from the task.
        state: Its parameters and buffers by name before the run.
        result: What it returned.
        before: Global state before the run.
        after: Global state after the run; by now it is restored.
        data: Fingerprints of inputs, labels and index sets, before and after.
        reads: How often each sample was fetched, ``(N,)``.
    """

    task: UnlearningTask
    original: nn.Module
    state: Mapping[str, Tensor]
    result: nn.Module
    before: Surroundings
    after: Surroundings
    data: tuple[Mapping[str, str], Mapping[str, str]]
    reads: Tensor

    @property
    def ids(self) -> dict[str, Tensor]:
        """Sample ids by part; what no view of the task shows is the test set."""
        views = {
            "forget": self.task.forget,
            "retain": self.task.retain,
            "val": self.task.val,
        }
        shown = {name: view.index for name, view in views.items()}
        # of the whole pool: ids that no view shows are the test set's
        every = torch.arange(len(self.reads))
        return {**shown, "test": every[~torch.isin(every, torch.cat(list(shown.values())))]}

    def moved(self) -> list[str]:
        """Return the parameters that are not bit-identical to the original's."""
        new = dict(self.result.named_parameters())
        names = dict.fromkeys([*dict(self.original.named_parameters()), *new])
        return [name for name in names if not same_values(self.state.get(name), new.get(name))]

    def edited(self) -> list[str]:
        """Return the parameters and buffers of the original that are not what they were."""
        now = self.original.state_dict()
        return [name for name in self.state if not same_values(self.state[name], now.get(name))]


def run_unlearner(
    unlearner: Unlearner,
    model: ToyModel,
    *,
    num_forget: int = 23,
    global_seed: int = 20_231,
    whole_class: bool = False,
) -> UnlearnerRun:
    """Run a method on a new toy task and restore whatever global state it leaves changed.

    Args:
        unlearner: The method.
        model: The network it works on.
        num_forget: Size of the forget set.
        global_seed: Seed of the global generators, on which nothing may depend.
        whole_class: Make the forget set a class of its own.

    Raises:
        AssertionError: If it does not return a module.
    """
    task = toy_task(model, num_forget=num_forget, whole_class=whole_class)
    original = task.model
    # the method gets a copy, so that a change of the original itself can be told
    task = replace(task, model=copy.deepcopy(original))
    state = {name: value.clone() for name, value in original.state_dict().items()}
    contents = _contents(task)
    outside = Surroundings.capture()
    try:
        seed_everything(global_seed)
        before = Surroundings.capture()
        result = unlearner(task)
        # before the state is put back, and without the checks that follow
        after = Surroundings.capture()
    finally:
        outside.restore()
    assert isinstance(result, nn.Module), f"must return an nn.Module, got {type(result).__name__}"
    return UnlearnerRun(
        task=task,
        original=original,
        state=state,
        result=result,
        before=before,
        after=after,
        data=(contents, _contents(task)),
        reads=_audit(task).reads.clone(),
    )


def same_values(old: Tensor | None, new: Tensor | None) -> bool:
    """Tell whether two tensors are there and bit-identical, NaN being equal to itself."""
    if old is None or new is None:
        return False
    if old.shape != new.shape or old.dtype != new.dtype:
        return False
    # element by element: nan_to_num would take NaN for 0, and infinity for the largest number
    return bool(((old == new) | ((old != old) & (new != new))).all())


def _contents(task: UnlearningTask) -> dict[str, str]:
    pool = _audit(task).pool
    assert isinstance(pool, TensorPool)
    tensors = {"inputs of the pool": pool.inputs, "labels of the pool": pool.targets}
    views: dict[str, View] = {"forget": task.forget, "retain": task.retain, "val": task.val}
    tensors |= {f"ids of the {name} set": view.index for name, view in views.items()}
    return {name: tensor_fingerprint(tensor) for name, tensor in tensors.items()}


def _audit(task: UnlearningTask) -> AuditedPool:
    pool = task.forget.pool
    assert isinstance(pool, AuditedPool)
    return pool
