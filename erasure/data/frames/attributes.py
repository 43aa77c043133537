"""Attributes of samples, read from the columns of a data frame."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.data.frames.labelling import members
from erasure.data.frames.series import as_column

if TYPE_CHECKING:
    import pandas as pd


class Attribute(Protocol):
    """Reads one attribute of N samples."""

    @property
    def reads(self) -> Sequence[str]:
        """Columns that are needed."""

    def __call__(self, frame: "pd.DataFrame") -> Column:
        """Return the attribute of the rows of ``frame``, which has these columns."""


@dataclass(frozen=True, kw_only=True)
class Category:
    """The values of a column as categories, such as the author of a text.

    Args:
        column: Its name.
    """

    column: str

    @property
    def reads(self) -> Sequence[str]:
        """Columns that are needed."""
        return (self.column,)

    def __call__(self, frame: "pd.DataFrame") -> Column:
        """Return codes; names are sorted, numbers by size."""
        return as_column(frame[self.column], category=True)


@dataclass(frozen=True, kw_only=True)
class Number:
    """The numbers of a column.

    Args:
        column: Its name.
    """

    column: str

    @property
    def reads(self) -> Sequence[str]:
        """Columns that are needed."""
        return (self.column,)

    def __call__(self, frame: "pd.DataFrame") -> Column:
        """Return numbers, NaN where missing.

        Raises:
            ConfigError: If the column holds something else.
        """
        numbers = as_column(frame[self.column])
        if numbers.kind != "number":
            raise ConfigError(f"column {self.column} must hold numbers, got {numbers.names[:3]}")
        return numbers


@dataclass(frozen=True, kw_only=True)
class Members:
    """The members of the lists in a column as sets, such as the artists of a song.

    Args:
        column: Its name.
        separator: What is between the members of a list that is written as text; brackets around
            the list and quotes around members are removed.
        top: Keep only this many, the most frequent ones; null keeps all.
    """

    column: str
    separator: str = ","
    top: int | None = None

    def __post_init__(self) -> None:
        if not self.separator:
            raise ConfigError("separator must be a text, got nothing")
        if self.top is not None and self.top < 1:
            raise ConfigError(f"top must be >= 1 or null, got {self.top}")

    @property
    def reads(self) -> Sequence[str]:
        """Columns that are needed."""
        return (self.column,)

    def __call__(self, frame: "pd.DataFrame") -> Column:
        """Return sets."""
        return members(frame[self.column], self.separator, self.top)


@dataclass(frozen=True, kw_only=True)
class Mentions:
    """Which of some phrases a text mentions, as whole words.

    ``Nets`` is not found in ``Networks``, nor, unless case is ignored, in ``nets``.

    Args:
        columns: The columns that hold the text.
        phrases: What is looked for.
        ignore_case: Take capital and small letters as the same.
    """

    columns: Sequence[str]
    phrases: Sequence[str]
    ignore_case: bool = False

    def __post_init__(self) -> None:
        if not self.columns:
            raise ConfigError("columns must name a column, got nothing")
        if not self.phrases or not all(self.phrases):
            raise ConfigError(f"phrases must hold texts, got {list(self.phrases)}")
        if len(set(self.phrases)) < len(self.phrases):
            raise ConfigError(f"phrases must differ, got {list(self.phrases)}")

    @property
    def reads(self) -> Sequence[str]:
        """Columns that are needed."""
        return tuple(self.columns)

    def __call__(self, frame: "pd.DataFrame") -> Column:
        """Return sets of phrases; a missing text mentions nothing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        held = [frame[name].fillna("").astype(str) for name in self.columns]
        # a plain string array has offsets of 32 bits and holds no more than 2 GiB of text
        texts = pa.array(joined(held), pa.large_string())
        mentions = []
        for phrase in self.phrases:
            # \b of this engine knows the letters of English only.
            pattern = rf"(?:^|[^\pL\pN_]){re.escape(phrase)}(?:$|[^\pL\pN_])"
            hits = pc.match_substring_regex(texts, pattern, ignore_case=self.ignore_case)
            # truth values are bits in Arrow, and what it gives numpy is read-only
            mentions.append(torch.from_numpy(hits.to_numpy(zero_copy_only=False).copy()))
        return Column(torch.stack(mentions, dim=1), tuple(self.phrases))


def joined(columns: Sequence["pd.Series"]) -> list[str]:
    """Return the texts of several columns, one after the other with a space between."""
    first, *others = columns
    whole = first.str.cat(others, sep=" ") if others else first
    return list(whole.str.strip())


def readers(attributes: Mapping[str, "str | Attribute"]) -> dict[str, Attribute]:
    """Return what reads each attribute; the name of a column stands for its categories."""
    return {
        name: Category(column=reader) if isinstance(reader, str) else reader
        for name, reader in attributes.items()
    }
