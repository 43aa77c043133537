"""Gradients of a trained model, gathered over data without taking a step.

Everything here runs in eval mode, leaves gradients, flags and buffers as they were, and reads the
view in its own order, so that what it returns is a function of model and view. Batches are of
equal size, give or take one sample, because each counts the same: a tail of one sample would weigh
as much as a whole batch. ``equal=False`` leaves that tail, as the code of most authors does.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from erasure.core.modes import evaluating
from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task_types import TaskType

Objective = Callable[[nn.Module, Batch], Tensor]
"""Model and batch to a scalar."""


def batch_gradients(
    model: nn.Module,
    view: View,
    batch_size: int,
    objective: Objective,
    *,
    equal: bool = True,
) -> Iterator[dict[str, Tensor]]:
    """Yield the gradient of ``objective`` for each batch, by parameter name.

    Parameters that do not require gradients are left out; those the objective does not depend on
    get zeros.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with evaluating(model), torch.enable_grad():
        for batch in view.batches(batch_size, equal=equal):
            gradients = torch.autograd.grad(
                objective(model, batch), list(named.values()), materialize_grads=True
            )
            yield dict(zip(named, gradients, strict=True))


def mean_squared_gradients(
    model: nn.Module,
    view: View,
    batch_size: int,
    objective: Objective,
    *,
    equal: bool = True,
) -> dict[str, Tensor]:
    """Return the mean over batches of the squared gradient of each batch, elementwise.

    For an objective that is a mean over the batch this is *not* the mean of squared per-sample
    gradients: it depends on the batch size, which belongs to the result.
    """
    return _mean(model, view, batch_size, objective, torch.square, equal=equal)


def mean_absolute_gradients(
    model: nn.Module,
    view: View,
    batch_size: int,
    objective: Objective,
    *,
    equal: bool = True,
) -> dict[str, Tensor]:
    """Return the mean over batches of the magnitude of the gradient of each batch."""
    return _mean(model, view, batch_size, objective, torch.abs, equal=equal)


def expected_batch_gradients(
    model: nn.Module, view: View, batch_size: int, kind: TaskType, *, equal: bool = True
) -> dict[str, Tensor]:
    """Return the mean over batches of squared batch gradients, expected over labels.

    For each label the gradient is that of the batch's mean loss as if all samples had it, and its
    weight is the mean probability of it in the batch. This is *not* the Fisher information, but a
    larger quantity that some code calls so; the batch size belongs to the result.
    """
    total, batches = _zeros(model), 0
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with evaluating(model), torch.enable_grad():
        for batch in view.batches(batch_size, equal=equal):
            batches += 1
            for weight, loss in kind.label_expectation(model(batch.inputs)):
                # The graph is kept: all labels share one forward pass.
                gradients = torch.autograd.grad(
                    loss.mean(), list(named.values()), retain_graph=True, materialize_grads=True
                )
                for name, gradient in zip(named, gradients, strict=True):
                    total[name] += weight.mean() * gradient.square()
    return {name: value / batches for name, value in total.items()}


def summed_gradients(
    model: nn.Module,
    view: View,
    batch_size: int,
    objective: Objective,
    *,
    equal: bool = True,
) -> dict[str, Tensor]:
    """Return the sum over batches of the gradient of each batch."""
    total = _zeros(model)
    for gradients in batch_gradients(model, view, batch_size, objective, equal=equal):
        for name, gradient in gradients.items():
            total[name] += gradient
    return total


def _mean(
    model: nn.Module,
    view: View,
    batch_size: int,
    objective: Objective,
    transform: Callable[[Tensor], Tensor],
    *,
    equal: bool,
) -> dict[str, Tensor]:
    total, batches = _zeros(model), 0
    for gradients in batch_gradients(model, view, batch_size, objective, equal=equal):
        batches += 1
        for name, gradient in gradients.items():
            total[name] += transform(gradient)
    return {name: value / batches for name, value in total.items()}


def _zeros(model: nn.Module) -> dict[str, Tensor]:
    return {n: torch.zeros_like(p) for n, p in model.named_parameters() if p.requires_grad}
