"""Forgetting by an attribute: the values that were named, or drawn, and no others."""

import pytest
import torch
from crafted_splits import people_pool
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.data.splits.attribute import AttributeForget
from erasure.data.splits.drawn import RandomForget
from erasure.data.splits.holdout import Holdout


@pytest.fixture(scope="module")
def pool():
    return people_pool()


def split(pool, seed=0, **settings):
    return AttributeForget(**settings)(pool, stream(seed, "split"))


def names_of(pool, attribute, ids):
    column = pool.attributes[attribute]
    return {column.names[code] for code in column.values[ids].tolist() if code >= 0}


def test_people_are_forgotten_with_all_they_have_in_the_training_set(pool):
    indices = split(pool, attribute="identity", values=["person 03", 7])
    assert names_of(pool, "identity", indices.forget) == {"person 03", "person 07"}
    assert not {"person 03", "person 07"} & names_of(pool, "identity", indices.retain)


def test_their_held_out_samples_are_of_the_same_population(pool):
    indices = split(pool, attribute="identity", values=["person 03", "person 07"])
    heldout = torch.cat([indices.val, indices.test])
    codes = pool.attributes["identity"].values[heldout]
    expected = heldout[torch.isin(codes, torch.tensor([3, 7]))].sort().values
    assert len(expected) > 2
    assert indices.same_population.tolist() == expected.tolist()


def test_the_population_is_that_of_the_values_that_were_drawn(pool):
    indices = split(pool, attribute="identity", n_values=5)
    forgotten = names_of(pool, "identity", indices.forget)
    assert len(forgotten) == 5
    assert set(indices.scenario["values"]) == forgotten
    assert names_of(pool, "identity", indices.same_population) <= forgotten
    assert indices.scenario == {**indices.scenario, "kind": "attribute", "attribute": "identity"}


def test_a_sample_without_a_value_is_never_forgotten(pool):
    indices = split(pool, attribute="identity", top_k=39)
    missing = (pool.attributes["identity"].values == -1).nonzero().flatten()
    assert not torch.isin(missing, indices.forget).any()


def test_the_most_frequent_values_are_those_of_the_training_set(pool):
    indices = split(pool, attribute="identity", top_k=3)
    codes = pool.attributes["identity"].values[indices.train]
    counts = torch.bincount(codes[codes >= 0])
    chosen = [int(name.split()[1]) for name in indices.scenario["values"]]
    assert len(indices.forget) == int(counts.sort(descending=True).values[:3].sum())
    assert counts[chosen].tolist() == sorted(counts[chosen].tolist(), reverse=True)


@pytest.mark.parametrize("attribute", ["identity", "friends"])
@given(share=st.floats(0.02, 0.4), seed=st.integers(0, 9))
def test_values_are_drawn_until_the_share_is_reached_and_no_longer(attribute, share, seed):
    pool = people_pool()
    indices = split(pool, seed, attribute=attribute, target_share=share)
    assert len(indices.forget) >= share * len(indices.train)
    values = indices.scenario["values"]
    if len(values) > 1:
        fewer = split(pool, seed, attribute=attribute, values=values[:-1])
        assert len(fewer.forget) < share * len(indices.train)


@pytest.mark.parametrize("attribute", ["identity", "friends"])
@pytest.mark.parametrize("ways", [[("n_values", n) for n in (1, 2, 4)], [("target_share", 0.3)]])
def test_more_values_contain_fewer(pool, attribute, ways):
    small = set(split(pool, attribute=attribute, n_values=1).forget.tolist())
    for way, number in ways:
        large = set(split(pool, attribute=attribute, **{way: number}).forget.tolist())
        assert small <= large
        small = large


def test_other_seeds_draw_other_values(pool):
    drawn = [split(pool, s, attribute="identity", n_values=3).scenario["values"] for s in (0, 1)]
    again = split(pool, attribute="identity", n_values=3).scenario["values"]
    assert drawn[0] == again != drawn[1]


def test_sets_are_forgotten_by_any_member(pool):
    indices = split(pool, attribute="friends", values=["Ann", "Eve"])
    members = pool.attributes["friends"].values
    assert members[indices.forget][:, [0, 4]].any(dim=1).all()
    assert not members[indices.retain][:, [0, 4]].any()


@pytest.mark.parametrize(
    ("bounds", "fits"),
    [
        ([30, 40], lambda age: (age >= 30) & (age <= 40)),
        ([60, None], lambda age: age >= 60),
        ([None, 33], lambda age: age <= 33),
    ],
)
def test_ranges_of_numbers_include_their_ends_and_no_missing_value(pool, bounds, fits):
    indices = split(pool, attribute="age", value_range=bounds)
    ages = pool.attributes["age"].values
    assert fits(ages[indices.forget]).all()
    assert not fits(ages[indices.retain]).any()


def test_a_column_of_numbers_can_be_asked_for_numbers(pool):
    indices = split(pool, attribute="age", values=[33, 44.0])
    assert set(pool.attributes["age"].values[indices.forget].tolist()) == {33.0, 44.0}


def test_a_subclass_is_forgotten_within_its_class(pool):
    indices = split(pool, attribute="fine", values=["2a"], nested=True)
    assert set(pool.targets[indices.forget].tolist()) == {2}
    assert names_of(pool, "fine", indices.forget) == {"2a"}
    assert {"2b"} <= names_of(pool, "fine", indices.retain)


def test_an_attribute_that_does_not_divide_classes_is_no_subclass(pool):
    with pytest.raises(ConfigError, match=r"subclasses, but its value 'person 00' occurs in \d"):
        split(pool, attribute="identity", values=["person 01"], nested=True)
    with pytest.raises(ConfigError, match="one name per sample to divide classes"):
        split(pool, attribute="age", values=[33], nested=True)


def test_whole_people_can_be_held_out_and_then_the_population_is_empty(pool):
    base = Holdout(group="identity")
    indices = split(pool, attribute="identity", n_values=4, base=base)
    assert indices.same_population.tolist() == []
    other = RandomForget(base=base)(pool, stream(0, "split"))
    assert indices.train.tolist() == other.train.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "values excludes value_range, top_k, n_values, target_share: set one, got none"),
        ({"values": [1], "top_k": 2}, "set one, got values=[1], top_k=2"),
        ({"values": "Ann"}, "values must be a list such as [Ann, Bob], got 'Ann'"),
        ({"values": []}, "values must be a list such as [Ann, Bob], got []"),
        ({"top_k": 0}, "top_k must be >= 1, got 0"),
        ({"n_values": -1}, "n_values must be >= 1, got -1"),
        ({"target_share": 1.0}, "target_share must be in (0, 1), got 1.0"),
        ({"value_range": [3]}, "value_range must be [low, high] with low <= high"),
        ({"value_range": [4, 3]}, "value_range must be [low, high] with low <= high"),
        ({"value_range": [None, None]}, "value_range must be [low, high] with low <= high"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError) as error:
        AttributeForget(attribute="identity", **settings)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"attribute": "identiy", "n_values": 1},
            "attribute must be an attribute of the data set, which has age, capital-gain, fine, "
            "friends, identity, sex, got 'identiy'; did you mean 'identity'?",
        ),
        ({"attribute": "sex", "values": ["female"]}, "did you mean 'Female'?"),
        ({"attribute": "age", "n_values": 1}, "attribute=age is a column of numbers: set values"),
        (
            {"attribute": "age", "values": ["old"]},
            "values must be numbers for a column of numbers",
        ),
        ({"attribute": "sex", "value_range": [0, 1]}, "value_range must be null for a column of"),
        (
            {"attribute": "sex", "top_k": 3},
            "top_k must be <= 2, the values of sex in the training",
        ),
        ({"attribute": "sex", "n_values": 3}, "n_values must be <= 2, the values of sex"),
        ({"attribute": "sex", "n_values": 2}, "selects all 288 training samples: nothing is"),
        (
            {"attribute": "age", "value_range": [200, 300]},
            "value_range=[200, 300] of attribute age selects none of 288 training samples",
        ),
        ({"attribute": "friends", "target_share": 0.9}, "target_share=0.9 cannot be reached"),
    ],
)
def test_requests_that_do_not_fit_the_data_are_refused(pool, settings, message):
    with pytest.raises(ConfigError) as error:
        split(pool, **settings)
    assert message in str(error.value)


def test_data_without_attributes_say_so(make_pool):
    with pytest.raises(ConfigError, match="the data set, which has none, got 'identity'"):
        split(make_pool([0, 1] * 30), attribute="identity", n_values=1)


def test_a_value_that_is_only_held_out_selects_nothing(make_pool):
    labels = [0, 1] * 50
    held = RandomForget()(make_pool(labels), stream(0, "split")).test
    codes = torch.zeros(100, dtype=torch.int64)
    codes[held[:3]] = 1
    pool = make_pool(labels, attributes={"person": Column(codes, ("Ann", "Bob"))})
    with pytest.raises(ConfigError, match=r"values=\['Bob'\] of attribute person selects none of"):
        split(pool, attribute="person", values=["Bob"])
