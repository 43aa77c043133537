"""From a data frame to a pool of a table: which column is what, and what its values mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.data_config import GIGABYTE, DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.source import source_hash
from erasure.data.frames.series import as_classes, as_column, cleaned
from erasure.data.pools.labelled import NOWHERE, TEST, TRAIN, VAL
from erasure.data.pools.tabular import TabularPool
from erasure.data.sources.prepared import Prepared, prepared

if TYPE_CHECKING:
    import pandas as pd

PARTS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL, "test": TEST}
"""What a column of official parts may hold, besides 0, 1, 2 and nothing."""


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """What all tables share: which column is what. A source adds where the table comes from.

    Numbers are numbers; text, truth values and ``categories`` are categories. Names of categories
    are sorted, by size if they are numbers. A sample's id is its row, counted without the rows
    that ``missing=drop`` leaves out.

    Args:
        target: Column of the classes; null takes what the source says.
        features: Columns that models read; null takes all that are nothing else.
        categories: Columns that are categories although they hold numbers.
        attributes: Columns that models do not read, but by which a split can choose.
        ignore: Columns that are not used at all.
        unknown: Texts that mean a missing value, besides the empty one.
        missing: What is done about a missing feature: ``error`` refuses it, ``mean`` takes the
            training mean of a number and no value of a category, ``drop`` leaves the row out.
    """

    target: str | None = None
    features: Sequence[str] | None = None
    categories: Sequence[str] = ()
    attributes: Sequence[str] = ()
    ignore: Sequence[str] = ()
    unknown: Sequence[str] = ("?",)
    missing: Literal["error", "mean", "drop"] = "error"

    def load(
        self,
        data_config: DataConfig,
        name: str,
        source: Mapping[str, Any],
        read: Callable[[], TabularPool],
    ) -> TabularPool:
        """Return what ``read`` returns, from the folder of prepared data if it is there already.

        Args:
            data_config: Where that folder is, and on which device labels live.
            name: Name of the data set, for people.
            source: What tells this table from others, such as a hash; fields are added.
            read: Reads the frame and passes it to :meth:`pool`.

        Raises:
            DataError: If the table does not fit into memory.
        """
        columns = {f.name: _plain(getattr(self, f.name)) for f in fields(TableSettings)}
        reader = source_hash(type(self))  # the code of ``make`` is this file's, not the reader's
        settings = {"source": dict(source), "columns": columns, "code": reader}
        entry = prepared(data_config, name, settings, lambda: packed(read()))
        missing: Literal["error", "mean"] = "mean" if self.missing == "mean" else "error"
        return replace(unpacked(entry, data_config, name), missing=missing)

    def pool(self, frame: "pd.DataFrame", official: str | None = None) -> TabularPool:
        """Return the pool of a frame; missing features are still in it unless they are dropped.

        Args:
            frame: One row per sample.
            official: Column that says which part a sample has in the split of the authors.

        Raises:
            ConfigError: If a column does not exist, or has two roles.
            DataError: If there are no rows, or the target does not hold classes.
        """
        if len(frame) == 0:
            raise DataError("the table has no rows")
        # names of columns may be numbers in pandas, never in a configuration
        frame = cleaned(frame.rename(columns=str), self.unknown)
        if not frame.columns.is_unique:
            twice = frame.columns[frame.columns.duplicated()][0]
            raise DataError(f"the table has more than one column {twice!r}")
        target = self._target(frame)
        features = self._features(frame, target, official)
        held = {name: self._column(frame, name) for name in [*features, *self.attributes]}
        keep = torch.ones(len(frame), dtype=torch.bool)
        if self.missing == "drop":
            keep = torch.from_numpy(frame[target].notna().to_numpy(copy=True))
            keep &= ~torch.stack([_absent(held[name]) for name in features]).any(dim=0)
            if not keep.any():
                raise DataError(f"each of the {len(frame)} rows has a missing value")
        targets, names = as_classes(frame[target][keep.numpy()], target in self.categories)
        held = {name: Column(column.values[keep], column.names) for name, column in held.items()}
        return TabularPool(
            features={name: held[name] for name in features},
            attributes=held,
            targets=targets,
            class_names=names,
            official=None if official is None else _parts(frame, official)[keep],
            # not refused here: load puts the setting in once the table was prepared
            missing="mean",
        )

    def _target(self, frame: "pd.DataFrame") -> str:
        if self.target is None:
            raise ConfigError(f"target must be one of {', '.join(frame)}, got null")
        require_columns(frame, [self.target], "target")
        return self.target

    def _features(self, frame: "pd.DataFrame", target: str, official: str | None) -> list[str]:
        for setting in ("categories", "attributes", "ignore"):
            require_columns(frame, getattr(self, setting), setting)
        if official is not None:
            require_columns(frame, [official], "official")
        taken = {target, official, *self.attributes, *self.ignore}
        if self.features is None:
            return [name for name in frame if name not in taken]
        require_columns(frame, self.features, "features")
        both = [name for name in self.features if name in taken]
        if both:
            raise ConfigError(
                f"features must not be target, attributes, ignored or official as well, "
                f"got {', '.join(both)}; every feature is an attribute already"
            )
        return list(self.features)

    def _column(self, frame: "pd.DataFrame", name: str) -> Column:
        return as_column(frame[name], category=name in self.categories)


def require_columns(frame: "pd.DataFrame", names: Sequence[str], setting: str) -> None:
    """Refuse names that are not columns of ``frame``, and say which are near.

    Raises:
        ConfigError: If a column does not exist; ``setting`` is what the configuration calls it.
    """
    columns = list(frame)
    for name in names:
        if name not in columns:
            close = get_close_matches(name, columns, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
            raise ConfigError(f"{setting} must be among the columns {shown}, got {name!r}{hint}")


def packed(pool: TabularPool) -> Prepared:
    """Return a table as tensors and plain data."""
    names = list(pool.attributes)
    # numbered, since columns may have any name and the properties keep it
    tensors = {f"column {i}": pool.attributes[name].values for i, name in enumerate(names)}
    tensors["targets"] = pool.targets
    if pool.official is not None:
        tensors["official"] = pool.official
    properties = {
        "class_names": list(pool.class_names),
        "columns": [[name, list(pool.attributes[name].names)] for name in names],
        "features": list(pool.features),
    }
    return Prepared(tensors, properties)


def unpacked(entry: Prepared, data_config: DataConfig, name: str) -> TabularPool:
    """Return the table that was packed, with its labels on the device of ``data_config``.

    Raises:
        DataError: If it does not fit into memory.
    """
    require_resident(data_config, entry.tensors, name)
    held = {
        column: Column(entry.tensors[f"column {i}"], tuple(names))
        for i, (column, names) in enumerate(entry.properties["columns"])
    }
    return TabularPool(
        features={column: held[column] for column in entry.properties["features"]},
        attributes=held,
        targets=entry.tensors["targets"].to(data_config.device),
        class_names=tuple(entry.properties["class_names"]),
        official=entry.tensors.get("official"),
        missing="mean",
    )


def require_resident(data_config: DataConfig, tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse tensors that take more memory than ``data_config`` allows.

    Raises:
        DataError: If they do.
    """
    size = sum(tensor.nbytes for tensor in tensors.values())
    if not data_config.fits(size):
        raise DataError(
            f"{name} takes {size / GIGABYTE:.1f} gigabytes and has to be held in memory, "
            f"which data.resident_limit={data_config.resident_limit} forbids; raise it"
        )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _absent(column: Column) -> Tensor:
    return column.values.isnan() if column.kind == "number" else column.values < 0


def _parts(frame: "pd.DataFrame", name: str) -> Tensor:
    column = as_column(frame[name], category=True)
    codes = {**PARTS, "0": TRAIN, "1": VAL, "2": TEST}
    unknown = sorted(set(map(str.lower, column.names)) - set(codes))
    if unknown:
        raise DataError(
            f"official parts in {name} must be train, val, test or 0, 1, 2, got {unknown[0]!r}"
        )
    # the last is for -1, the code of a missing part
    table = [codes[part.lower()] for part in column.names] + [NOWHERE]
    return torch.tensor(table, dtype=torch.int8)[column.values]
