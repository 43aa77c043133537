"""Classes and sets out of columns of a data frame."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.errors import ConfigError, DataError
from erasure.core.task_types import Multiclass, Multilabel, TaskType
from erasure.data.frames.series import as_classes, as_column

if TYPE_CHECKING:
    import pandas as pd

Holds = Literal["one", "first", "many"]


@dataclass(frozen=True)
class Labels:
    """Labels of N samples.

    Args:
        targets: ``(N,)`` int64 or, with several labels per sample, ``(N, C)`` of 0 and 1.
        names: Names of the classes.
        task: What the targets mean.
    """

    targets: Tensor
    names: tuple[str, ...]
    task: TaskType = field(default_factory=Multiclass)


def labels_of(
    series: "pd.Series", holds: Holds, separator: str, class_names: Sequence[str] = ()
) -> Labels:
    """Return the classes that a column holds.

    Classes are sorted, numbers as numbers and everything else as text, so that they do not depend
    on the order of rows.

    Args:
        series: N values, none missing.
        holds: ``one`` label per sample; or a list, of which the ``first`` counts or ``many``.
        separator: What is between the members of a list that is written as text.
        class_names: Names of the sorted classes, instead of their values.

    Raises:
        DataError: If labels are not classes, or a list of which the first counts is empty.
        ConfigError: If there are more or fewer names than classes.
    """
    if holds == "many":
        column = members(series, separator)
        return Labels(column.values.long(), named(column.names, class_names), Multilabel())
    if holds == "first":
        firsts = split_lists(series, separator).str[0]
        if firsts.isna().any():
            raise DataError(
                f"target {series.name} has {int(firsts.isna().sum())} empty lists of "
                f"{len(series)}, which have no first member; missing=drop leaves them out"
            )
        series = firsts.rename(series.name)
    targets, names = as_classes(_numbers(series) if holds == "first" else series, category=False)
    return Labels(targets, named(names, class_names))


def members(series: "pd.Series", separator: str, top: int | None = None) -> Column:
    """Return a column of lists as sets, or only their ``top`` most frequent members.

    Of equally frequent members, the first in order counts as more frequent. A missing list is
    empty.
    """
    lists = split_lists(series, separator).reset_index(drop=True)
    # each member repeats the number of its row, which reset_index has made the position in inside
    exploded = lists.explode().dropna()
    column = as_column(_numbers(exploded), category=True)
    inside = torch.zeros((len(series), len(column.names)), dtype=torch.bool)
    inside[torch.from_numpy(exploded.index.to_numpy(copy=True)), column.values] = True
    if top is None or top >= len(column.names):
        return Column(inside, column.names)
    frequent = inside.sum(dim=0).argsort(descending=True, stable=True)[:top].sort().values
    return Column(inside[:, frequent], tuple(column.names[i] for i in frequent.tolist()))


def split_lists(series: "pd.Series", separator: str) -> "pd.Series":
    """Return lists of texts; one that is written as text may have brackets and quotes."""
    import pandas as pd

    # texts and lists go different ways, each with the other masked, and are merged at the end
    written = series.map(lambda value: isinstance(value, str))
    not_text = series.astype("object").mask(written)
    lists = not_text.map(_listed, na_action="ignore")
    plain = series.astype("object").where(written).astype("string").str.strip().str.strip("[](){}")
    pieces = plain.str.split(separator, regex=False).astype("object")
    parts = pieces.map(_trimmed, na_action="ignore")
    return pd.Series(lists.where(~written, parts), index=series.index, name=series.name)


def named(class_names: tuple[str, ...], names: Sequence[str]) -> tuple[str, ...]:
    """Return ``names`` if there are any, one for each class that was found.

    Raises:
        ConfigError: If there are more or fewer.
    """
    if not names:
        return class_names
    if len(names) != len(class_names):
        shown = ", ".join(class_names[:12]) + (", ..." if len(class_names) > 12 else "")
        raise ConfigError(
            f"class_names must be {len(class_names)} names, for the classes {shown}, "
            f"got {len(names)}"
        )
    return tuple(names)


def _listed(value: object) -> list[str]:
    """Return the members of what the source gave as a list, or a lone number as a list of one."""
    inner = value if isinstance(value, Iterable) else [value]
    members = [
        int(member) if isinstance(member, float) and member.is_integer() else member
        for member in inner
    ]
    return [str(member) for member in members]


def _trimmed(pieces: Sequence[str]) -> list[str]:
    trimmed = [piece.strip(" \t'\"") for piece in pieces]
    return [piece for piece in trimmed if piece]


def _numbers(series: "pd.Series") -> "pd.Series":
    """Return members that are all whole numbers as numbers, so that they are sorted as such."""
    import pandas as pd

    texts = series.astype("string")
    # 15 digits, which floats, by which names are sorted, still tell apart
    whole = texts.str.fullmatch(r"-?\d{1,15}").fillna(False)
    return pd.to_numeric(texts) if len(texts) and whole.all() else texts.astype("object")
