"""Columns of facts about samples, by which a split can choose what to forget."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import torch
from torch import Tensor

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint

ColumnKind = Literal["number", "category", "set"]


@dataclass(frozen=True)
class Column:
    """One fact about each of N samples.

    Args:
        values: Numbers ``(N,)`` floating point, NaN where missing; or codes ``(N,)`` int64 into
            ``names``, -1 where missing; or, for sets, membership ``(N, K)`` bool, a column per
            name.
        names: What codes or set columns stand for; empty for numbers.

    Raises:
        ValueError: If the values do not fit the names.
    """

    values: Tensor
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "set" and self.values.shape[1] != len(self.names):
            raise ValueError(f"{self.values.shape[1]} columns for {len(self.names)} names")
        if self.kind == "category" and len(self.values):
            low, high = (int(bound) for bound in self.values.aminmax())
            if low < -1 or high >= len(self.names):
                raise ValueError(f"codes must be in [-1, {len(self.names) - 1}]")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def kind(self) -> ColumnKind:
        """Whether the values are numbers, codes, or sets of names."""
        if self.values.ndim == 2:
            return "set"
        return "number" if self.values.is_floating_point() else "category"

    @property
    def fingerprint(self) -> str:
        """Hash of values and names."""
        return combine([fingerprint(list(self.names)), tensor_fingerprint(self.values)])

    def having(
        self, wanted: Sequence[int | float | str], setting: str = "values", noun: str = "values"
    ) -> Tensor:
        """Return which samples have one of the values ``wanted``, ``(N,)`` bool on the CPU.

        Args:
            wanted: Names, or numbers: positions among the names, or the numbers themselves in a
                column of numbers. A name wins over a position.
            setting: What the configuration calls ``wanted``, for messages.
            noun: What a message calls the values of the column.

        Raises:
            ConfigError: If a value does not occur in the column.
        """
        values = self.values.cpu()
        if self.kind == "number":
            numbers = [_number(value, setting) for value in wanted]
            # in the dtype of the column: 0.1 in float32 is not 0.1 in float64
            return torch.isin(values, torch.tensor(numbers, dtype=values.dtype))
        codes = torch.tensor([self.code(value, setting, noun) for value in wanted])
        if self.kind == "set":
            return values[:, codes].any(dim=1)
        return torch.isin(values, codes)

    def code(self, wanted: float | str, setting: str = "values", noun: str = "values") -> int:
        """Return the code of a name, its position among the names, or check a code.

        Raises:
            ConfigError: If there is no such name or position; names near ones.
        """
        if str(wanted) in self.names:
            return self.names.index(str(wanted))
        if isinstance(wanted, int) and 0 <= wanted < len(self.names):
            return wanted
        close = get_close_matches(str(wanted), self.names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        shown = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
        raise ConfigError(
            f"{setting} must be among the {len(self.names)} {noun} {shown} (by name or number), "
            f"got {wanted!r}{hint}"
        )


def coded(texts: Sequence[object]) -> Column:
    """Return a column of codes for arbitrary labels; names are sorted, so codes never vary.

    ``None``, NaN and the empty text are missing.
    """
    # only NaN differs from itself
    plain = ["" if text is None or text != text else str(text) for text in texts]
    names = tuple(sorted(set(plain) - {""}))
    codes = {name: code for code, name in enumerate(names)}
    return Column(torch.tensor([codes.get(text, -1) for text in plain]), names)  # -1 is missing


def _number(value: float | str, setting: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{setting} must be numbers for a column of numbers, got {value!r}")
    return float(value)
