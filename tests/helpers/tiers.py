"""Which of many alike cases are tested at every run, and which with ``pytest -m slow`` only."""

from collections.abc import Iterable

import pytest


def one_in_default(cases: Iterable[object], count: int = 1) -> list[object]:
    """Return parameters of which the first ``count`` are quick and all others marked slow.

    For whole trials, whose parts have tests of their own: one shows that they fit together.
    """
    cases = [case if isinstance(case, tuple) else (case,) for case in cases]
    slow = [pytest.param(*case, marks=pytest.mark.slow) for case in cases[count:]]
    return [pytest.param(*case) for case in cases[:count]] + slow
