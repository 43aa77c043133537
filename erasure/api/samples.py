"""Reading somebody's data into tensors, once and in order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Generator, Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
)

from erasure.core.errors import DataError
from erasure.core.splits import View

Inputs: TypeAlias = Tensor | dict[str, Tensor]

Data: TypeAlias = View | Dataset[Any] | DataLoader[Any] | tuple[Any, Any]
"""Samples with labels: a map-style data set of pairs ``(input, label)``, a loader of batches of
them, all inputs and all labels as a pair of tensors or arrays, or a view of a pool of ours.
Several inputs per sample are a mapping from names to tensors."""

READ_AT_ONCE = 256
"""Samples of a data set that are put together at once while it is read."""

LABEL_KEYS = ("labels", "label")
"""Where a sample that is one mapping has its label."""


@dataclass(frozen=True, kw_only=True)
class LabelledSamples:
    """All samples of a part: ``inputs`` ``(n, ...)``, or several by name, and ``targets`` (n,)."""

    inputs: Inputs
    targets: Tensor

    def __post_init__(self) -> None:
        columns = self.inputs if isinstance(self.inputs, dict) else {"inputs": self.inputs}
        for name, rows in columns.items():
            if len(rows) != len(self.targets):
                raise DataError(f"{len(rows)} {name} for {len(self.targets)} labels")


def read(data: Any, device: torch.device) -> LabelledSamples:
    """Read every sample of ``data`` once, in order, and hold it on ``device``.

    Raises:
        DataError: If it is nothing of which samples can be read, or they do not fit together.
    """
    is_pair = isinstance(data, tuple) and len(data) == 2
    pairs = [_pair(batch) for batch in ([data] if is_pair else _batches(data))]
    inputs = joined([_on(inputs, device) for inputs, _ in pairs])
    targets: Tensor = joined([_labels(labels, device) for _, labels in pairs])
    if len(targets) == 0:
        raise DataError("there are no samples")
    return LabelledSamples(inputs=inputs, targets=targets)


def joined(parts: Sequence[Any]) -> Any:
    """Return tensors, or mappings of tensors, one after the other.

    Raises:
        DataError: If they do not fit together.
    """
    if not parts:
        raise DataError("there are no samples")
    if isinstance(parts[0], dict):
        if any(not isinstance(part, dict) or part.keys() != parts[0].keys() for part in parts):
            raise DataError("some samples have other inputs than the rest")
        return {name: joined([part[name] for part in parts]) for name in parts[0]}
    if any(isinstance(part, dict) for part in parts):
        raise DataError("some samples have other inputs than the rest")
    kinds = sorted({f"{tuple(part.shape[1:])} {part.dtype}" for part in parts})
    if len(kinds) > 1:
        raise DataError(f"samples must have one shape and one type, got {' and '.join(kinds)}")
    # a copy in any case, so that nobody's own tensor is read later, when it may have changed
    return torch.cat(list(parts)).detach()


def _batches(data: Any) -> list[Any]:
    try:
        return list(_in_order(data))
    except (TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"samples cannot be put together in a batch: {reason}") from error


def _in_order(data: Any) -> DataLoader[Any]:
    """Return a loader that visits all samples once and draws nothing to order them."""
    if isinstance(data, DataLoader):
        return _without_shuffling(data)
    if isinstance(data, IterableDataset) or not (
        hasattr(data, "__getitem__") and hasattr(data, "__len__")
    ):
        raise DataError(
            "data must be a map-style Dataset of (input, label) pairs, a DataLoader, a pair of "
            f"tensors (inputs, labels) or a View, got {type(data).__name__}"
        )
    return _sequential(data, READ_AT_ONCE)


def _without_shuffling(loader: DataLoader[Any]) -> DataLoader[Any]:
    dataset, sampler = loader.dataset, loader.sampler
    if isinstance(dataset, IterableDataset):
        raise DataError("a DataLoader must load a map-style Dataset, got an IterableDataset")
    if isinstance(sampler, SubsetRandomSampler):
        dataset = Subset(dataset, list(sampler.indices))
    elif isinstance(sampler, RandomSampler) and not sampler.replacement:
        pass
    elif not isinstance(sampler, SequentialSampler):
        raise DataError(
            f"a DataLoader must visit every sample of its data set, and one with "
            f"{type(sampler).__name__} may not; pass the data set or a Subset of it"
        )
    return _sequential(dataset, loader.batch_size or READ_AT_ONCE, loader.collate_fn)


def _sequential(
    dataset: Dataset[Any], size: int, collate: Callable[[list[Any]], Any] | None = None
) -> DataLoader[Any]:
    # with a generator of its own, from which it draws a seed for workers that it has not
    generator = Generator().manual_seed(0)
    return DataLoader(dataset, batch_size=size, collate_fn=collate, generator=generator)


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Mapping):
        keys = [key for key in LABEL_KEYS if key in batch]
        if len(keys) == 1:
            return {k: v for k, v in batch.items() if k != keys[0]}, batch[keys[0]]
    if isinstance(batch, list | tuple) and len(batch) == 2:
        return batch[0], batch[1]
    kind = f"{len(batch)} items" if isinstance(batch, list | tuple) else type(batch).__name__
    raise DataError(f"a sample must be a pair (input, label), got {kind}")


def _labels(labels: Any, device: torch.device) -> Tensor:
    try:
        return torch.as_tensor(labels, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"labels must be numbers, got {type(labels).__name__}") from error


def _on(inputs: Any, device: torch.device) -> Inputs:
    if isinstance(inputs, Mapping):
        return {str(name): torch.as_tensor(rows, device=device) for name, rows in inputs.items()}
    try:
        return torch.as_tensor(inputs, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            "inputs must be tensors, arrays or mappings of these, got "
            f"{type(inputs).__name__}; a transform of the data set can make tensors"
        ) from error
