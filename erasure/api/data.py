"""From data of one's own to views of one pool, which methods and metrics work on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from erasure.api.samples import Data, joined, read
from erasure.core.errors import ConfigError, DataError, UnsupportedError
from erasure.core.modes import evaluating
from erasure.core.pool import Inputs, Pool
from erasure.core.splits import View
from erasure.core.task_types import Multiclass, Multilabel, TaskType
from erasure.data.pools.samples import SamplePool


def views_of(parts: Mapping[str, Data], model: nn.Module, device: torch.device) -> dict[str, View]:
    """Return ``parts`` as views of one pool on ``device``.

    Everything but a view is read once, in order, and held in memory. What the labels mean is told
    by their shape, and how many classes there are by what ``model`` returns.

    Raises:
        DataError: If something is no data, or samples do not fit together.
        ConfigError: If the model does not take the samples, or has other classes.
        UnsupportedError: If the labels are not those of a classification.
    """
    views = {name: data for name, data in parts.items() if isinstance(data, View)}
    if not views:
        return _read_views(parts, model, device)
    pools = {id(view.pool): view.pool for view in views.values()}
    others = [name for name in parts if name not in views]
    if others or len(pools) > 1:
        reason = f"{', '.join(others)} are not" if others else f"there are {len(pools)} pools"
        raise DataError(f"{', '.join(parts)} must all be views of one pool, or none: {reason}")
    (pool,) = pools.values()
    _check_pool(pool, views, model, device)
    return views


def _read_views(
    parts: Mapping[str, Data], model: nn.Module, device: torch.device
) -> dict[str, View]:
    samples = {}
    for name, data in parts.items():
        try:
            samples[name] = read(data, device)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    try:
        inputs = joined([part.inputs for part in samples.values()])
        targets = joined([part.targets for part in samples.values()])
    except DataError as error:
        raise DataError(f"{' and '.join(samples)} do not go together: {error}") from error
    pool = _pool(inputs, targets, model)
    sizes = [len(part.targets) for part in samples.values()]
    ids = torch.arange(sum(sizes), device=device).split(sizes)
    return {name: View(pool, index) for name, index in zip(samples, ids, strict=True)}


def _pool(inputs: Tensor | dict[str, Tensor], targets: Tensor, model: nn.Module) -> SamplePool:
    task_type, targets = _task_type(targets)
    if isinstance(inputs, Tensor):
        classes = num_classes(model, inputs[:2])
    else:
        classes = num_classes(model, {name: rows[:2] for name, rows in inputs.items()})
    if targets.ndim == 2 and targets.shape[1] != classes:
        raise ConfigError(
            f"model has {classes} logits per sample, but samples have {targets.shape[1]} labels"
        )
    low, high = int(targets.min()), int(targets.max())
    if targets.ndim == 1 and not (low >= 0 and high < classes):
        raise ConfigError(
            f"labels must be from 0 to {classes - 1}, because model has {classes} logits per "
            f"sample; got {low} to {high}"
        )
    names = tuple(str(number) for number in range(classes))
    return SamplePool(inputs=inputs, targets=targets, class_names=names, task_type=task_type)


def _task_type(targets: Tensor) -> tuple[TaskType, Tensor]:
    """Return what labels mean, and the labels as int64."""
    if targets.ndim == 1 and not (targets.is_floating_point() or targets.is_complex()):
        return Multiclass(), targets.long()
    is_binary = bool(((targets == 0) | (targets == 1)).all())
    if targets.ndim == 2 and targets.shape[1] > 1 and is_binary:
        return Multilabel(), targets.long()
    raise UnsupportedError(
        "labels must be one whole number per sample, the class, or a row of 0 and 1 per sample, "
        "one for each label that can be on or off; regression and soft labels are not supported. "
        f"Got {targets.dtype} of shape {tuple(targets.shape)}"
    )


def num_classes(model: nn.Module, inputs: Inputs) -> int:
    """Return how many logits ``model`` has for each sample of a small batch, in eval mode.

    Raises:
        ConfigError: If it does not take the samples, or returns something else.
    """
    with evaluating(model), torch.no_grad():
        try:
            logits: Any = model(inputs)
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ConfigError(f"model does not accept {_described(inputs)}: {reason}") from error
    shape = f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else None
    if shape is None or logits.ndim != 2 or logits.shape[1] < 2:
        raise ConfigError(
            "model must return one tensor of logits (B, C) with C of at least 2, got "
            f"{shape or type(logits).__name__}; a module around it can return its logits"
        )
    return int(logits.shape[1])


def _check_pool(
    pool: Pool, views: Mapping[str, View], model: nn.Module, device: torch.device
) -> None:
    if pool.targets.device != device:
        raise DataError(f"the views are on {pool.targets.device}, the model is on {device}")
    for name, view in views.items():
        if len(view) == 0:
            raise DataError(f"{name}: there are no samples")
    first = next(iter(views.values()))
    classes = num_classes(model, pool.fetch(first.index[:2]))
    if classes != pool.num_classes:
        raise ConfigError(
            f"model has {classes} logits per sample, the data {pool.num_classes} classes"
        )


def _described(inputs: Inputs) -> str:
    if isinstance(inputs, Tensor):
        return f"samples of shape {tuple(inputs.shape[1:])} and type {inputs.dtype}"
    if isinstance(inputs, Mapping):
        return f"mappings of {', '.join(inputs)}"
    return type(inputs).__name__
