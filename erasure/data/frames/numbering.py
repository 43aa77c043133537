"""Columns of numbers that stand for somebody or something."""

from torch import Tensor

from erasure.core.columns import Column


def numbered(values: Tensor) -> Column:
    """Return a column whose names are the numbers ``values`` (N,) in ascending order."""
    numbers, codes = values.unique(return_inverse=True)
    return Column(codes, tuple(str(number) for number in numbers.tolist()))
