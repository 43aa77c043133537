"""The pool of a table: columns of numbers and of categories, encoded by its training samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.errors import DataError
from erasure.core.fingerprint import combine, fingerprint
from erasure.core.pool import Inputs
from erasure.data.pools.hashing import row_hashes
from erasure.data.pools.labelled import Labelled
from erasure.data.pools.tensor import TensorPool

Missing = Literal["error", "mean"]

MOST_CATEGORIES = 1000
"""A column of more different values than this is rather a name or a key than a feature."""


@dataclass(frozen=True, kw_only=True)
class TabularPool(Labelled):
    """A table of N rows, not yet encoded; :meth:`fitted` makes the pool that models read.

    Numbers are standardized with mean and standard deviation of the training samples; a column
    that is constant among them becomes 0. A category becomes one column of 0 and 1 for each value
    that occurs among the training samples, in the order of the names; any other value has 0 in
    all of them. Columns of numbers come first. Nothing about held-out rows enters.

    The training samples are those of the original model, with the forget set: the same encoding
    serves original, unlearned and gold, as it must for them to be compared on the same inputs.

    Args:
        features: What models read: columns by name, on the CPU. Each is an attribute as well, so
            that a split can choose by it.
        missing: What a missing value in a feature means: ``error`` refuses it; ``mean`` takes the
            training mean of a number, and no value of a category.

    Raises:
        DataError: If there is no feature, a value is missing or infinite, a column has too many
            categories, or lengths differ.
    """

    features: Mapping[str, Column]
    missing: Missing = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", {**self.attributes, **self.features})
        self.check(len(self.targets))
        if not self.features:
            raise DataError("a table needs at least one feature")
        for name, column in self.features.items():
            _check_column(name, column)
        if self.missing == "error":
            self._refuse_missing()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Number of columns; the fitted pool has more if there are categories."""
        return (len(self.features),)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the columns, labels, and of what is done about missing values."""
        settings = [list(self.features), self.missing]
        return combine([fingerprint(settings), self.labels_fingerprint])

    def fitted(self, train: Tensor) -> TensorPool:
        """Return the encoded pool, inputs ``(N, F)`` float32 on the device of the targets.

        Args:
            train: Ids ``(n,)`` whose statistics encode all rows.

        Raises:
            DataError: If nothing is left to learn from, or a number is too far from the others.
        """
        ids = train.cpu()
        columns = list(self.features.values())
        blocks = [_indicators(c, ids) for c in columns if c.kind != "number"]
        numbers = [c.values.double() for c in columns if c.kind == "number"]
        if numbers:
            blocks.insert(0, _standardized(torch.stack(numbers, dim=1), ids))
        inputs = torch.cat([block.float() for block in blocks], dim=1)
        if inputs.shape[1] == 0:
            raise DataError("no feature has a value in any training sample")
        if not inputs.isfinite().all():
            raise DataError("a standardized number does not fit into float32; look for outliers")
        return TensorPool(
            inputs=inputs.to(self.targets.device),
            targets=self.targets,
            class_names=self.class_names,
            attributes=self.attributes,
            official=self.official,
            task_type=self.task_type,
            properties=self.properties,
        )

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Inputs:
        """Refuse: the encoding depends on the training samples.

        Raises:
            DataError: Always.
        """
        del index, augment
        raise DataError("a table has to be encoded before it is read: use pool.fitted(train)")

    def digests(self, index: Tensor) -> Tensor:
        """Return a 64-bit hash (B,) of the values of each row's features."""
        return self._hashes[index]

    @cached_property
    def _hashes(self) -> Tensor:
        count = len(self.targets)
        # (N, 1) of numbers and codes, (N, K) of sets
        raw = [c.values.double().reshape(count, -1) for c in self.features.values()]
        # equal numbers may have different bytes: -0.0 + 0.0 is 0.0, and NaN has many patterns
        rows = torch.cat(raw, dim=1) + 0.0
        rows[rows.isnan()] = torch.nan
        chunks = [row_hashes(some) for some in rows.split(4096)]
        return torch.cat(chunks).to(self.targets.device)

    def sketch(self, index: Tensor) -> Tensor:
        """Return each row as encoded by the statistics of all rows, without its mean (B, F).

        It tells near copies and teaches no model, so that held-out rows may be looked at.
        """
        return self._encoded_by_all.sketch(index)

    @cached_property
    def _encoded_by_all(self) -> TensorPool:
        return self.fitted(torch.arange(len(self.targets)))

    def _refuse_missing(self) -> None:
        counts = {name: _num_missing(column) for name, column in self.features.items()}
        missing_columns = [f"{name} ({count})" for name, count in counts.items() if count]
        if missing_columns:
            shown = ", ".join(missing_columns[:8]) + (", ..." if len(missing_columns) > 8 else "")
            raise DataError(
                f"features have missing values (NaN) in {shown} of {len(self.targets)} rows; "
                f"missing=mean takes the training mean of a number and no value of a category, "
                f"missing=drop leaves such rows out"
            )


def _check_column(name: str, column: Column) -> None:
    if column.kind == "number":
        if column.values.isinf().any():
            raise DataError(f"feature {name} holds infinite numbers")
    elif len(column.names) > MOST_CATEGORIES:
        raise DataError(
            f"feature {name} has {len(column.names)} different values, more than "
            f"{MOST_CATEGORIES}; leave it out of the features, it may still be an attribute"
        )


def _num_missing(column: Column) -> int:
    if column.kind == "set":
        return 0
    # the code -1 of a category is a missing value
    missing = column.values.isnan() if column.kind == "number" else column.values < 0
    return int(missing.sum())


def _standardized(numbers: Tensor, train: Tensor) -> Tensor:
    """Return ``numbers`` (N, F) float64 by mean and population deviation of the rows ``train``.

    NaN becomes 0, which is the mean, and so does a column that is constant or empty there.
    """
    chosen = numbers[train]
    present = ~chosen.isnan()
    # a column without any number has a mean and a deviation of NaN; low > high makes it 0
    mean = chosen.nanmean(dim=0)
    centred = torch.where(present, chosen - mean, 0.0)
    std = (centred.square().sum(dim=0) / present.sum(dim=0)).sqrt()
    low = torch.where(present, chosen, torch.inf).amin(dim=0)
    high = torch.where(present, chosen, -torch.inf).amax(dim=0)
    # rounding gives a constant column a tiny deviation, so the extremes decide; std > 0 is for
    # numbers so close that their squares vanish
    varies = (high > low) & (std > 0)
    scaled = (numbers - mean) / std
    return torch.where(varies & ~numbers.isnan(), scaled, 0.0)


def _indicators(column: Column, train: Tensor) -> Tensor:
    """Return which value each row has, ``(N, K)`` bool, of the K that occur in ``train``."""
    if column.kind == "set":
        return column.values[:, column.values[train].any(dim=0)]
    seen = column.values[train].unique()
    # -1 is a missing value: it gets no column, and its row has no value
    # (N, 1) against (K,)
    return column.values.unsqueeze(1).eq(seen[seen >= 0])
