"""Forgetting by a condition: what pandas selects, and nothing is ever executed."""

import numpy as np
import pandas as pd
import pytest
import torch
from crafted_splits import people_pool

from erasure.core.columns import coded
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.data.splits.query import QueryForget, matching


@pytest.fixture(scope="module")
def pool():
    return people_pool()


@pytest.fixture(scope="module")
def frame(pool):
    columns = pool.attributes
    people = np.array([*columns["identity"].names, None])[columns["identity"].values.numpy()]
    return pd.DataFrame(
        {
            "age": columns["age"].values.numpy(),
            "capital_gain": columns["capital-gain"].values.numpy(),
            "sex": np.array(columns["sex"].names)[columns["sex"].values.numpy()],
            "identity": people,
            "target": [f"class {label}" for label in pool.targets.tolist()],
        }
    )


@pytest.mark.parametrize(
    "where",
    [
        "age >= 60",
        "age < 30.5",
        "30 <= age < 40",
        "60 < age",
        'age >= 60 and sex == "Female" and not (capital_gain > 4)',
        'sex != "Male" or age == 33',
        "age in [33, 44, -1]",
        'identity in ["person 03", "person 07"]',
        '"Female" == sex',
        'target == "class 2"',
        'not target == "class 2" and capital_gain <= 2',
        "capital_gain > -1 and age < 50",
        "age > 30 and age < 60 or capital_gain == 8 and not sex == 'Male'",
        'not (age > 30 or not sex == "Male") and (capital_gain < 5 and target == "class 1")',
    ],
)
def test_it_selects_what_pandas_selects(pool, frame, where):
    expected = frame.query(where)
    assert 0 < len(expected) < 400
    assert matching(pool, where).nonzero().flatten().tolist() == expected.index.tolist()


def test_classes_and_codes_go_by_number_too(pool):
    assert matching(pool, "target in [1, 3]").equal(torch.isin(pool.targets, torch.tensor([1, 3])))
    assert matching(pool, "sex == 0").equal(matching(pool, 'sex == "Female"'))


def test_a_comparison_with_a_missing_value_is_false(pool):
    known = pool.attributes["identity"].values >= 0
    assert matching(pool, 'identity != "person 03"').equal(
        known & ~matching(pool, 'identity == "person 03"')
    )
    assert matching(pool, 'identity not in ["person 03"]').equal(
        matching(pool, 'identity != "person 03"')
    )
    aged = ~pool.attributes["age"].values.isnan()
    assert matching(pool, "age != 33").equal(aged & ~matching(pool, "age == 33"))
    assert matching(pool, "not age == 33").equal(~matching(pool, "age == 33"))


def test_sets_are_asked_for_their_members(pool):
    friends = pool.attributes["friends"].values
    assert matching(pool, '"Bob" in friends').equal(friends[:, 1])
    assert matching(pool, '"Bob" not in friends and "Ann" in friends').equal(
        ~friends[:, 1] & friends[:, 0]
    )
    assert matching(pool, 'friends in ["Ann", "Bob"]').equal(friends[:, :2].any(dim=1))


def test_what_it_selects_is_forgotten_and_held_out_samples_are_of_the_same_population(pool):
    where = 'age >= 60 and sex == "Female"'
    indices = QueryForget(where=where)(pool, stream(0, "split"))
    chosen = matching(pool, where)
    assert indices.forget.tolist() == indices.train[chosen[indices.train]].tolist()
    heldout = torch.cat([indices.val, indices.test]).sort().values
    assert indices.same_population.tolist() == heldout[chosen[heldout]].tolist()
    assert indices.scenario == {"kind": "query", "where": where}


def test_names_that_begin_with_a_digit_and_truth_values_can_be_asked_for(make_pool):
    flags = coded([True, False] * 20)
    pool = make_pool([0, 1] * 20, attributes={"5 o'clock shadow": flags})
    expected = [True, False] * 20
    assert matching(pool, "_5_o_clock_shadow == True").tolist() == expected
    assert matching(pool, '_5_o_clock_shadow != "False"').tolist() == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("age >=", "where must be a condition such as age >= 60 and"),
        ("", "where must be a condition such as age >= 60 and"),
        ("age = 3", "where must be a condition such as age >= 60 and"),
        ("age > " * 3, "where must be a condition such as age >= 60 and"),
    ],
)
def test_what_is_no_condition_is_refused_at_once(where, message):
    with pytest.raises(ConfigError) as error:
        QueryForget(where=where)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("__import__('os').system('true')", "where may compare columns with constants"),
        ("age.values > 3", "must compare a column with a constant, got age.values and 3"),
        ("(lambda: 1)() == 1", "must compare a column with a constant"),
        ("[a for a in [1]] == 1", "must compare a column with a constant"),
        ("age > capital_gain", "where may compare columns with constants"),
        ("age > 3 + 4", "where may compare columns with constants"),
        ("age", "where may compare columns with constants"),
        ("3", "where may compare columns with constants"),
        ("age > None", "where may compare columns with constants"),
        ("age > -'a'", "where may compare columns with constants"),
        ("age is 3", "where must ask a column of numbers by"),
        ("1 < 2", "must compare a column with a constant, got 1 and 2"),
        ("agee > 3", "got 'agee'; did you mean 'age'?"),
        ("age > 'old'", "where must compare numbers with numbers, got 'old'"),
        ("age == 'old'", "where must be numbers for a column of numbers, got 'old'"),
        ("sex > 'A'", "where must ask a column of names by"),
        ("sex == 'female'", "did you mean 'Female'?"),
        ("friends == 'Ann'", 'where must ask a column of sets by "name" in column'),
        ("'Ann' in sex", 'where must ask a column of names by == "name", != or in [...]'),
        ("3 in [3]", "where must ask column in [...] or name in column"),
        ("'Zoe' in friends", "where must be among the 5 values Ann, Bob, Cy, Dan, Eve"),
        (f"age > {10**30}", "where must hold whole numbers below 2**63, got 1000"),
        (f"age == -{2**63}", "where must hold whole numbers below 2**63, got 9223372036854775808"),
        (f"sex in [{10**30}]", "where must hold whole numbers below 2**63"),
        ("age > 900", "where='age > 900' holds for none of 288 training samples"),
        ("age > 0 or not age > 0", "selects all 288 training samples"),
    ],
)
def test_what_does_not_fit_or_is_not_allowed_is_refused(pool, where, message):
    with pytest.raises(ConfigError) as error:
        QueryForget(where=where)(pool, stream(0, "split"))
    assert message in str(error.value)
