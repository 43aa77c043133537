"""Gradients of single samples, their squares and the Fisher information, without a loop over them.

Everything here runs in eval mode, leaves gradients, flags and buffers as they were, and reads the
view once, in its own order. Chunks only bound the memory: but for rounding, results do not depend
on them.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from erasure.core.modes import evaluating
from erasure.core.pool import Batch, Inputs
from erasure.core.splits import View
from erasure.core.task_types import Loss, TaskType
from erasure.training.per_sample.engines import (
    AT_ONCE,
    ByLayers,
    ByVmap,
    Engine,
    Objectives,
    OneByOne,
)

MEMORY = {"cpu": 2**26, "cuda": 2**30}
"""Numbers that gradients and activations of a chunk may hold, by device."""

LARGEST_CHUNK = 512

Estimator = Literal["exact", "sketch"]


def mean_squared_sample_gradients(
    model: nn.Module, view: View, loss: Loss, *, chunk: int | None = None
) -> dict[str, Tensor]:
    """Return the mean over samples of the squared gradient of each sample's loss, elementwise.

    With the training loss this is the diagonal of the empirical Fisher information.

    Args:
        model: The model; parameters that do not require gradients are left out.
        view: The samples, at least one, with the labels to use.
        loss: Logits ``(n, C)`` and targets to one loss per sample.
        chunk: Largest number of samples at a time; None chooses it from the size of the model.
    """
    return _mean_squares(model, view, lambda logits, targets: [loss(logits, targets)], chunk)


def sample_gradients(
    model: nn.Module, view: View, loss: Loss, *, chunk: int | None = None
) -> Iterator[Tensor]:
    """Yield the gradients of the samples' losses, flattened, ``(n, P)`` for each chunk.

    ``P`` counts the parameters that require gradients, in the order of ``model.parameters()``.
    The arguments are those of :func:`mean_squared_sample_gradients`. The model is in eval mode
    between chunks, until the iterator is exhausted or closed.
    """

    def objectives(logits: Tensor, targets: Tensor) -> Iterable[Tensor]:
        return [loss(logits, targets)]

    with evaluating(model), torch.enable_grad():
        for engine, batch in _chunks(model, view, objectives, chunk, whole=True):
            (gradients,) = engine.gradients(batch, objectives)
            rows = [
                gradients[n].flatten(1) for n, p in model.named_parameters() if p.requires_grad
            ]
            yield torch.cat(rows, dim=1)


def expected_fisher(
    model: nn.Module,
    view: View,
    kind: TaskType,
    *,
    estimator: Estimator = "exact",
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, Tensor]:
    """Return the diagonal of the Fisher information, the labels being the model's own.

    This is the mean over samples of ``sum_y p(y|x) (d loss(x, y) / d theta)^2``; the labels of
    the view are not used.

    Args:
        model: The model; parameters that do not require gradients are left out.
        view: The samples, at least one.
        kind: Knows the labels and their probabilities.
        estimator: ``exact`` makes a backward pass per label; ``sketch`` one in all, of the sum
            of the terms with random signs: its expectation is exact, and its standard error is
            at most ``sqrt(2 / N)`` times the root mean square, over the N samples, of the terms
            that are averaged.
        generator: Draws the signs of a sketch.
        chunk: Largest number of samples at a time; None chooses it from the size of the model.
    """
    if estimator == "exact":
        return _mean_squares(model, view, lambda logits, _: _weighted(kind, logits), chunk)
    if generator is None:
        raise ValueError("a sketch needs a generator")
    labels = len(list(kind.label_expectation(torch.zeros(1, view.pool.num_classes))))
    # E[(sum_y s_y g_y)^2] = sum_y g_y^2 for independent signs s_y: cross terms average out
    signs = 2.0 * torch.randint(2, (len(view), labels), generator=generator) - 1.0

    def mixed(logits: Tensor, signs: Tensor) -> Iterable[Tensor]:
        return [(signs * torch.stack(list(_weighted(kind, logits)), dim=1)).sum(dim=1)]

    # The signs travel as labels, which chunks cut along with the samples.
    return _mean_squares(model, view.relabel(signs), mixed, chunk)


def _weighted(kind: TaskType, logits: Tensor) -> Iterator[Tensor]:
    """Yield objectives whose squared gradients add up to the expectation over labels."""
    for weight, loss in kind.label_expectation(logits):
        yield weight.sqrt() * loss


def _mean_squares(
    model: nn.Module, view: View, objectives: Objectives, chunk: int | None
) -> dict[str, Tensor]:
    total = {n: torch.zeros_like(p) for n, p in model.named_parameters() if p.requires_grad}
    with evaluating(model), torch.enable_grad():
        for engine, batch in _chunks(model, view, objectives, chunk, whole=False):
            for name, squares in engine.squares(batch, objectives).items():
                total[name] += squares
    return {name: value / len(view) for name, value in total.items()}


def _chunks(
    model: nn.Module, view: View, objectives: Objectives, chunk: int | None, *, whole: bool
) -> Iterator[tuple[Engine, Batch]]:
    """Yield every sample once; the first alone, to find out how to treat the others."""
    (first,) = view.take(torch.arange(1)).batches(1)
    engine = _choose(model, first, objectives)
    # the first sample alone is judged and measured; it is read once, so it is also used
    yield engine, first
    width = _width(engine, first, objectives, whole=whole)
    for batch in view.take(torch.arange(1, len(view))).batches(min(width, chunk or width)):
        yield engine, batch


def _choose(model: nn.Module, first: Batch, objectives: Objectives) -> Engine:
    if not _stacked(first.inputs):
        return OneByOne(model)
    for engine in (ByLayers(model), ByVmap(model)):
        if engine.fits(first, objectives):
            return engine
    return OneByOne(model)


def _stacked(inputs: Inputs) -> bool:
    """Tell whether samples are the rows of tensors, so that a row is a sample."""
    parts = list(inputs.values()) if isinstance(inputs, dict) else [inputs]
    return all(isinstance(part, Tensor) and len(part) == 1 for part in parts)


def _width(engine: Engine, first: Batch, objectives: Objectives, *, whole: bool) -> int:
    """Return how many samples fit: activations, slopes, and gradients if they are kept whole."""
    if isinstance(engine, OneByOne):
        return 1
    model = engine.model
    activations, backwards = _footprint(model, first, objectives)
    # The slopes of an objective take about as much as the activations.
    numbers = activations * (1 + min(backwards, AT_ONCE))
    if whole or isinstance(engine, ByVmap):
        # Twice: gradients and their concatenation, or gradients and their squares.
        numbers += 2 * sum(p.numel() for p in model.parameters() if p.requires_grad)
    device = first.targets.device.type
    return max(1, min(LARGEST_CHUNK, MEMORY.get(device, MEMORY["cuda"]) // numbers))


def _footprint(model: nn.Module, first: Batch, objectives: Objectives) -> tuple[int, int]:
    """Return how many numbers autograd keeps for one sample, and the number of objectives."""
    # parameters are saved for the backward pass too, but once, not once a sample
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in weights:
            kept[address] = tensor.numel()
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor):
        backwards = len(list(objectives(model(first.inputs), first.targets)))
    return sum(kept.values()) + 1, backwards  # never 0, which would divide
