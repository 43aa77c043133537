"""Columns of facts: what they hold, and which samples have a value."""

import pytest
import torch

from erasure.core.columns import Column, coded
from erasure.core.errors import ConfigError

NUMBERS = Column(torch.tensor([1.0, 2.5, torch.nan, 2.5]))
NAMES = Column(torch.tensor([0, 1, -1, 1]), ("Ann", "7"))
SETS = Column(torch.tensor([[True, False], [True, True], [False, False]]), ("Ann", "Bob"))


def test_the_kind_is_told_by_the_values():
    assert [column.kind for column in (NUMBERS, NAMES, SETS)] == ["number", "category", "set"]
    assert [len(column) for column in (NUMBERS, NAMES, SETS)] == [4, 4, 3]


@pytest.mark.parametrize(
    ("column", "wanted", "expected"),
    [
        (NUMBERS, [2.5], [False, True, False, True]),
        (NUMBERS, [1, 7], [True, False, False, False]),
        (NAMES, ["Ann"], [True, False, False, False]),
        (NAMES, [7], [False, True, False, True]),
        (NAMES, [0], [True, False, False, False]),
        (SETS, ["Bob"], [False, True, False]),
        (SETS, ["Ann", 1], [True, True, False]),
        (NAMES, [], [False] * 4),
    ],
)
def test_samples_are_found_by_name_or_number(column, wanted, expected):
    assert column.having(wanted).tolist() == expected


def test_a_name_wins_over_a_position():
    column = Column(torch.tensor([0, 1]), ("1", "0"))
    assert column.having([1]).tolist() == [True, False]


@pytest.mark.parametrize("wanted", ["Bop", 2, -1, 0.5])
def test_what_does_not_occur_is_refused_with_what_does(wanted):
    with pytest.raises(ConfigError) as error:
        SETS.having([wanted], "people")
    said = f"people must be among the 2 values Ann, Bob (by name or number), got {wanted!r}"
    assert str(error.value).startswith(said)
    assert str(error.value).endswith("did you mean 'Bob'?") == (wanted == "Bop")


@pytest.mark.parametrize("wanted", ["Ann", True])
def test_numbers_are_asked_for_by_number(wanted):
    with pytest.raises(ConfigError, match="values must be numbers for a column of numbers"):
        NUMBERS.having([wanted])


def test_many_names_are_shortened():
    column = Column(torch.zeros(3, dtype=torch.int64), tuple(f"n{i}" for i in range(40)))
    with pytest.raises(ConfigError, match=r"the 40 values n0, .*, n11, \.\.\. \(by name"):
        column.having(["x"])


def test_codes_do_not_depend_on_the_order_of_rows():
    column = coded(["b", "a", None, float("nan"), "", "b", 3])
    assert column.names == ("3", "a", "b")
    assert column.values.tolist() == [2, 1, -1, -1, -1, 2, 0]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (torch.tensor([0, 2]), ("a", "b")),
        (torch.tensor([-2, 0]), ("a", "b")),
        (torch.zeros(2, 3, dtype=torch.bool), ("a", "b")),
    ],
)
def test_values_that_do_not_fit_the_names_are_refused(values, names):
    with pytest.raises(ValueError, match=r"codes must be in|columns for 2 names"):
        Column(values, names)


def test_the_fingerprint_has_values_and_names():
    same = Column(NAMES.values.clone(), ("Ann", "7"))
    assert NAMES.fingerprint == same.fingerprint
    assert NAMES.fingerprint != Column(NAMES.values, ("Ann", "8")).fingerprint
    assert NAMES.fingerprint != Column(NAMES.values.flip(0), ("Ann", "7")).fingerprint
