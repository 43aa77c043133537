"""From a column of a data frame to numbers, to categories, or to classes."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FEW_CLASSES = 20
ROWS_PER_CLASS = 5
"""Numbers with more different values than few, each in fewer rows than this, are measurements."""


def as_column(series: "pd.Series", *, category: bool = False) -> Column:
    """Return numbers as float64 and everything else as categories, with sorted names.

    Args:
        series: N values.
        category: Take numbers as categories, too.

    Raises:
        DataError: If it holds something else than numbers, truth values and text.
    """
    import pandas as pd
    from pandas.api import types

    if types.is_numeric_dtype(series) and not types.is_bool_dtype(series) and not category:
        if types.is_complex_dtype(series):
            raise DataError(f"column {series.name} holds complex numbers")
        values = series.to_numpy(dtype="float64", na_value=float("nan"), copy=True)
        return Column(torch.from_numpy(values))
    try:
        codes, uniques = pd.factorize(series)
        texts = [_text(value) for value in uniques]
    except TypeError as error:
        raise DataError(
            f"column {series.name} must hold numbers or text, got {series.dtype} ({error}); "
            f"list it in dataset.ignore, or convert it"
        ) from error
    # stripped, several values may be one name, and share its code
    names = sorted(set(texts) - {""}, key=float if _all_numbers(uniques) else None)
    code_of = {name: code for code, name in enumerate(names)}
    table = torch.tensor([code_of.get(text, -1) for text in texts] + [-1])  # the last for missing
    return Column(table[torch.from_numpy(codes)], tuple(names))


def as_classes(series: "pd.Series", category: bool) -> tuple[Tensor, tuple[str, ...]]:  # noqa: FBT001
    """Return the class of each row ``(N,)`` int64 and the names of the classes.

    Args:
        series: Labels: text, truth values, or whole numbers.
        category: Do not ask whether numbers may rather be measurements.

    Raises:
        DataError: If a label is missing, they are not classes, or there is only one.
    """
    from pandas.api import types

    name = series.name
    missing = int(series.isna().sum())
    if missing:
        raise DataError(
            f"target {name} is missing in {missing} of {len(series)} rows; "
            f"missing=drop leaves them out"
        )
    if types.is_numeric_dtype(series) and not types.is_bool_dtype(series) and not category:
        _refuse_measurements(as_column(series).values, str(name))
    column = as_column(series, category=True)
    if len(column.names) < 2 or int(column.values.min()) < 0:
        raise DataError(f"target {name} must have two or more classes, got {list(column.names)}")
    return column.values, column.names


def cleaned(frame: "pd.DataFrame", unknown: Sequence[str]) -> "pd.DataFrame":
    """Return ``frame`` with ``unknown`` texts as missing values.

    A column of text that holds only numbers besides them becomes one of numbers.
    """
    import pandas as pd
    from pandas.api import types

    changed = {}
    for name, kind in frame.dtypes.items():
        nominal = isinstance(kind, pd.CategoricalDtype)
        if not nominal and not types.is_string_dtype(kind):
            continue
        text = frame[name]
        hit = text.astype("string").str.strip().isin(["", *unknown]).fillna(False).to_numpy(bool)
        if not hit.any():
            continue
        changed[name] = text.mask(hit)
        if not nominal:
            with suppress(ValueError, TypeError):
                changed[name] = pd.to_numeric(changed[name])
    return frame.assign(**changed) if changed else frame


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if hasattr(value, "item"):  # of numpy
        value = value.item()
    # pandas makes floats of whole numbers where one is missing: 1.0 and 1 are one name
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool | int | float):
        return str(value)
    raise TypeError(f"{type(value).__name__}")


def _all_numbers(uniques: "pd.Index") -> bool:
    from pandas.api import types

    return types.is_numeric_dtype(uniques) and not types.is_bool_dtype(uniques)


def _refuse_measurements(values: Tensor, name: str) -> None:
    advice = "cut them into classes first, or name another column in dataset.target"
    broken = values[values != values.round()]
    if len(broken):
        raise DataError(
            f"target {name} must hold classes, got numbers such as {broken[0].item():g}; {advice}"
        )
    distinct = len(values.unique())
    if distinct > FEW_CLASSES and len(values) < ROWS_PER_CLASS * distinct:
        raise DataError(
            f"target {name} must hold classes, got {distinct} different numbers in {len(values)} "
            f"rows; {advice}; if they are classes, list it in dataset.categories"
        )
