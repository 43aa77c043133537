"""Rows of a data set of the Hugging Face hub as one data frame, in an order that never varies."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.fingerprint import fingerprint
from erasure.core.source import source_hash
from erasure.data.frames.attributes import Attribute, Category
from erasure.data.frames.labelling import Holds, Labels, labels_of, named
from erasure.data.frames.series import cleaned
from erasure.data.frames.table import require_columns
from erasure.data.pools.labelled import TEST, TRAIN, VAL
from erasure.data.sources.huggingface.files import HubFiles

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

USUAL = {
    "train": "train",
    "validation": "val",
    "valid": "val",
    "val": "val",
    "dev": "val",
    "test": "test",
}
"""Part that a split of the source is, by its name."""

CODES = {"train": TRAIN, "val": VAL, "test": TEST}

Missing = Literal["error", "drop"]


@dataclass(frozen=True)
class HubFrame:
    """Rows of a source.

    Args:
        frame: The columns that were asked for, a row per sample.
        codes: Names of the classes of columns that came as codes; -1 was missing.
        official: Part of each sample ``(N,)`` int8, or None if there is a training set only.
        rows: The rows in the library's own form, where columns that do not fit into a frame,
            such as pictures, can be read.
    """

    frame: "pd.DataFrame"
    codes: Mapping[str, tuple[str, ...]]
    official: Tensor | None
    rows: Any

    def coded(self, name: str) -> Column | None:
        """Return a column that came as codes, in the order of the source; others are None."""
        if name not in self.codes:
            return None
        values = self.frame[name].to_numpy(dtype="int64", na_value=-1, copy=True)
        return Column(torch.from_numpy(values), self.codes[name])

    def only(self, keep: Any) -> "HubFrame":
        """Return the rows at a boolean mask ``(N,)``."""
        # by number, which frame, tensor and library all understand
        kept_rows = np.flatnonzero(keep)
        official = None if self.official is None else self.official[torch.from_numpy(kept_rows)]
        frame = self.frame.iloc[kept_rows].reset_index(drop=True)
        return HubFrame(frame, self.codes, official, self.rows.select(kept_rows))

    def attributes(self, wanted: Mapping[str, Attribute]) -> dict[str, Column]:
        """Return attributes by name; codes of the source keep their order."""
        columns = {}
        for name, reader in wanted.items():
            coded = self.coded(reader.column) if isinstance(reader, Category) else None
            columns[name] = reader(self.frame) if coded is None else coded
        return columns

    def labels(
        self, target: str, holds: Holds, separator: str, class_names: Sequence[str]
    ) -> Labels:
        """Return the classes in the column ``target``, as :func:`labels_of` does."""
        coded = self.coded(target) if holds == "one" else None
        if coded is None:
            return labels_of(self.frame[target], holds, separator, class_names)
        return Labels(coded.values, named(coded.names, class_names))

    def without(self, absent: Mapping[str, Any], missing: Missing) -> "HubFrame":
        """Leave out rows that miss something, or refuse them.

        Args:
            absent: Which rows miss it, ``(N,)`` bool, by what they miss.
            missing: What to do.

        Raises:
            DataError: If ``missing`` is ``error`` and there are such rows, or none is left.
        """
        gone = np.any(list(absent.values()), axis=0)
        if not gone.any():
            return self
        counts = {name: int(np.sum(mask)) for name, mask in absent.items()}
        shown = ", ".join(f"{name} ({count})" for name, count in counts.items() if count)
        if missing == "error" or gone.all():
            hint = "" if gone.all() else "; missing=drop leaves such rows out"
            raise DataError(f"values are missing: {shown} of {len(gone)} rows{hint}")
        log.warning("%d of %d rows are left out, they miss %s", gone.sum(), len(gone), shown)
        return self.only(~gone)


@dataclass(frozen=True, kw_only=True)
class HubRows:
    """What all data sets of the hub share: where their rows are.

    A copy in ``<data.root>/hf/<path>`` is read before the hub is asked. Ids are row numbers: those
    of the training split first, then validation, then test, each as the source lists them.

    Args:
        path: A hub id ``owner/name``; or a file (CSV, TSV, JSON, JSON lines, Parquet) or folder
            (of such files, of pictures by class, or written by ``save_to_disk``), relative to
            ``data.root`` or to where the command was typed.
        config: Named configuration of the source, if it has several.
        revision: Commit or tag of the hub; null means ``main``, which may change. A copy on disk
            is taken as it is, and read again when its files change.
        files: Files of each split, as names or patterns such as ``{train: data/train-*}``, where
            the source holds others as well; empty takes what the source or the library says.
        splits: Splits of the source that are used, each with the part it is: train, val or test.
            Null takes those with the usual names, and refuses others.
        unique: Column of keys: of rows with the same key only the first is kept.
        unknown: Texts that mean a missing value, besides the empty one.
        streaming: Must be false: samples are fetched by id in any order, and their ids must be
            the same in every run, which a stream gives neither of.

    Raises:
        ConfigError: If a setting makes no sense.
    """

    path: str
    config: str | None = None
    revision: str | None = None
    files: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    splits: Mapping[str, str] | None = None
    unique: str | None = None
    unknown: Sequence[str] = ()
    streaming: bool = False

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigError("path must be a hub id, a file or a folder, got nothing")
        if self.streaming:
            raise ConfigError(
                "streaming must be false: samples are fetched by id in any order, and their ids "
                "must be the same in every run; a stream has no ids. Download the data once"
            )
        for part in (self.splits or {}).values():
            if part not in CODES:
                raise ConfigError(f"splits must name {', '.join(CODES)} as parts, got {part!r}")

    @property
    def source(self) -> HubFiles:
        """Where the files are."""
        return HubFiles(
            path=self.path,
            config=self.config,
            revision=self.revision,
            files=self.files,
        )

    def causes(
        self, data_config: DataConfig, *others: type | Callable[..., Any]
    ) -> dict[str, Any]:
        """Return all that the rows and what is made of them depend on, for :func:`prepared`.

        Args:
            data_config: Where local files are.
            others: Classes and functions whose code is a cause, too.
        """
        settings = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        made_by: list[Any] = [HubRows, HubFiles, type(self), *others]
        code = fingerprint(sorted({source_hash(each) for each in made_by}))
        return {"settings": settings, "files": self.source.stamp(data_config.root), "code": code}

    @contextmanager
    def opened(
        self,
        data_config: DataConfig,
        columns: Mapping[str, str],
        other: Mapping[str, str] | None = None,
    ) -> Iterator[HubFrame]:
        """Give the rows; pictures are readable inside the block only.

        Args:
            data_config: Where data lie.
            columns: The columns to read into the frame, each with the setting that names it;
                empty reads all.
            other: Columns that must be there as well, but are not read into the frame.

        Raises:
            ConfigError: If a column or a split does not exist.
            DataError: If the source cannot be read or is empty.
        """
        with self.source.opened(data_config) as splits:
            parts = self._parts(splits)
            unique = {} if self.unique is None else {self.unique: "unique"}
            for split in parts:
                for name, setting in {**columns, **(other or {}), **unique}.items():
                    _require(splits[split].column_names, name, setting)
            yield self._framed(splits, parts, list({**columns, **unique}) if columns else None)

    def _framed(
        self, splits: Mapping[str, Any], parts: Mapping[str, str], names: list[str] | None
    ) -> HubFrame:
        from datasets import ClassLabel, concatenate_datasets

        rows = concatenate_datasets([splits[split] for split in parts])
        if len(rows) == 0:
            raise DataError(f"{self.path} has no rows")
        names = rows.column_names if names is None else names
        frame = rows.select_columns(names).to_pandas()
        codes = {
            name: tuple(rows.features[name].names)
            for name in names
            if isinstance(rows.features[name], ClassLabel)
        }
        for name in codes:
            # the library writes a missing class as -1; Int64 holds whole numbers and missing ones
            frame[name] = frame[name].astype("Int64").mask(frame[name] < 0)
        texts = [name for name in names if _is_text(rows.features[name])]
        frame = frame.assign(**cleaned(frame[texts], self.unknown))
        codes_of_rows = [
            CODES[part] for split, part in parts.items() for _ in range(len(splits[split]))
        ]
        official = torch.tensor(codes_of_rows, dtype=torch.int8)
        # 0 is train: without any other code there is nothing held out that would have to be kept
        whole = HubFrame(frame, codes, official if official.any() else None, rows)
        if self.unique is None:
            return whole
        return whole.only(~frame[self.unique].duplicated().to_numpy())

    def _parts(self, splits: Mapping[str, Any]) -> dict[str, str]:
        """Return the splits to read and what they are: train first, then val and test."""
        parts = self.splits
        if parts is None:
            parts = {split: USUAL.get(split.lower(), "") for split in splits}
            strange = [split for split, part in parts.items() if not part]
            if strange:
                raise ConfigError(
                    f"splits must say which splits to use, each with its part, such as "
                    f"{{train: train, test: test}}, because {self.path} has "
                    f"{', '.join(splits)}, got null"
                )
        for split in parts:
            if split not in splits:
                close = get_close_matches(split, list(splits), n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ConfigError(f"splits must be among {', '.join(splits)}, got {split!r}{hint}")
        # sorted is stable: splits of one part keep their order, and with it the ids
        return dict(sorted(parts.items(), key=lambda item: CODES[item[1]]))


def plain(value: Any) -> Any:
    """Return a setting as JSON data; a component by its class, its code and its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        code = source_hash(type(value))
        inner = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        return {"class": type(value).__qualname__, "code": code, "fields": inner}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _require(column_names: Sequence[str], name: str, setting: str) -> None:
    import pandas as pd

    require_columns(pd.DataFrame(columns=list(column_names)), [name], setting)


def _is_text(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")
