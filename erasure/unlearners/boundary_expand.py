"""Boundary expand: move the forget set into a class that does not exist, then drop that class."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import UnsupportedError
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.models.layers import head
from erasure.training.fit import Fit
from erasure.training.passes import shuffled
from erasure.unlearners.shared.requirements import require_one_label


@dataclass(frozen=True, kw_only=True)
class BoundaryExpand:
    """Descend the loss of an extra class on the forget set, then cut the head back.

    The head gets one more row, freshly initialized, beside copies of its own. After training the
    extra row is removed, and the model has the outputs it had. One epoch is one pass over the
    forget set; the retain set is never read.

    Args:
        fit: Optimizer, epochs and batch size.

    Passes:
        E over forget, 0 over retain.

    Deviations:
        Ported code leaves the extra output in.

    References:
        M. Chen, W. Gao, G. Liu, K. Peng and C. Wang, "Boundary Unlearning", CVPR 2023,
        arXiv:2303.11570.

    Notes:
        Ported code keeps the extra output; the paper, and this, cut it off.
    """

    fit: Fit

    def __call__(self, task: UnlearningTask) -> nn.Module:
        require_one_label(task.forget, "boundary_expand", "random_labels")
        linear = _head(task)
        extra = task.forget.relabel(torch.full((len(task.forget),), task.num_classes))
        batches = shuffled(extra, self.fit.batch_size, task.generator, augment=self.fit.augment)
        with _one_more_output(linear, branch(task.generator, "boundary_expand", "row")):
            return self.fit(task.model, batches, task.objective, report=task.report)


def _head(task: UnlearningTask) -> nn.Linear:
    name, linear = head(task.model)
    if linear.out_features != task.num_classes:
        raise UnsupportedError(
            f"boundary_expand adds a class to the last linear layer, but {name!r} has "
            f"{linear.out_features} outputs for {task.num_classes} classes; use "
            f"unlearner=boundary_shrink"
        )
    return linear


@contextmanager
def _one_more_output(linear: nn.Linear, generator: Generator) -> Iterator[None]:
    """Add an output, initialized as torch does it, for a block, and then remove it."""
    # torch draws weights and biases of a linear layer uniformly within 1 / sqrt(inputs).
    classes, bound = linear.out_features, linear.in_features**-0.5
    with torch.no_grad():
        for name, narrow in _parameters(linear):
            row = torch.empty(1, *narrow.shape[1:]).uniform_(-bound, bound, generator=generator)
            _replace(linear, name, torch.cat([narrow, row.to(narrow)]))
    linear.out_features = classes + 1
    try:
        yield
    finally:
        for name, wide in _parameters(linear):
            # Cut off again, also after an error: the model must have its own number of outputs.
            _replace(linear, name, wide.detach()[:classes].clone())
        linear.out_features = classes


def _parameters(linear: nn.Linear) -> list[tuple[str, nn.Parameter]]:
    return list(linear.named_parameters(recurse=False))


def _replace(linear: nn.Linear, name: str, value: Tensor) -> None:
    flag = linear.get_parameter(name).requires_grad
    linear.register_parameter(name, nn.Parameter(value, requires_grad=flag))
