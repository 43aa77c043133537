"""Splits: partitions of the data, exact in size, and functions of the seed alone."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.core.task_types import Multilabel
from erasure.data.sources.digits import Digits
from erasure.data.splits.drawn import ClassForget, RandomForget, StratifiedForget
from erasure.data.splits.holdout import Holdout, stratified
from erasure.data.splits.selecting import in_proportion

PARTS = ("forget", "retain", "val", "test")

label_lists = st.lists(st.integers(0, 4), min_size=12, max_size=80)


@pytest.fixture(scope="module")
def digits():
    return Digits()(DataConfig())


def split(strategy, pool, seed=0):
    return strategy(pool, stream(seed, "split"))


def base_of(indices):
    return [part.tolist() for part in (indices.train, indices.val, indices.test)]


def classes_of(pool, ids):
    return Counter(pool.targets[ids].tolist())


@given(
    labels=label_lists,
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_stratified_parts_are_a_partition_exact_in_total_and_by_class(labels, share, seed):
    targets = torch.tensor(labels)
    ids = torch.arange(len(labels)).flip(0)
    rest, drawn = stratified(ids, targets, share, stream(seed, "split"))
    assert sorted([*rest.tolist(), *drawn.tolist()]) == list(range(len(labels)))
    assert rest.tolist() == sorted(rest.tolist())
    assert drawn.tolist() == sorted(drawn.tolist())
    assert len(drawn) == round(share * len(labels))
    sizes = Counter(targets[drawn].tolist())
    for label, count in Counter(labels).items():
        assert abs(sizes[label] - share * count) < 1 + 1e-9


def test_largest_remainders_get_what_rounding_leaves():
    """Shares of 10, 7 and 3 at 0.25 are 2.5, 1.75 and 0.75: five in all, so 2, 2 and 1."""
    targets = torch.tensor([0] * 10 + [1] * 7 + [2] * 3)
    _, drawn = stratified(torch.arange(20), targets, 0.25, stream(0, "split"))
    assert Counter(targets[drawn].tolist()) == {0: 2, 1: 2, 2: 1}


@given(
    labels=label_lists,
    fraction=st.floats(0.05, 0.95),
    test=st.floats(0.1, 0.5),
    val=st.floats(0.1, 0.5),
    seed=st.integers(0, 9),
)
def test_random_splits_are_partitions(make_pool, labels, fraction, test, val, seed):
    pool = make_pool(labels)
    held = round(test * len(labels))
    train = len(labels) - held - round(val * (len(labels) - held))
    assume(0 < round(fraction * train) < train)
    assume(held > 0 and round(val * (len(labels) - held)) > 0)
    indices = split(RandomForget(base=Holdout(test=test, val=val), fraction=fraction), pool, seed)
    every = torch.cat([getattr(indices, part) for part in PARTS])
    assert sorted(every.tolist()) == list(range(len(labels)))
    assert len(indices.test) == held
    assert len(indices.train) == train
    assert len(indices.forget) == round(fraction * train)


@given(labels=label_lists, chosen=st.sets(st.integers(0, 4), min_size=1, max_size=4))
def test_class_splits_are_partitions_and_forget_the_class_and_no_other(make_pool, labels, chosen):
    pool = make_pool(labels, num_classes=5)
    base = split(RandomForget(), pool)
    trained = classes_of(pool, base.train)
    assume(any(trained[label] for label in chosen))
    assume(any(trained[label] for label in trained.keys() - chosen))
    indices = split(ClassForget(classes=sorted(chosen)), pool)
    assert set(classes_of(pool, indices.forget)) <= chosen
    assert not chosen & set(classes_of(pool, indices.retain))
    assert base_of(indices) == base_of(base)


def test_the_digits_are_split_as_documented(digits):
    """20 % of 1,797 is 359; 10 % of the other 1,438 is 144; 10 % of the other 1,294 is 129."""
    indices = split(RandomForget(), digits)
    assert [len(getattr(indices, part)) for part in PARTS] == [129, 1165, 144, 359]


def test_each_class_has_its_share_of_every_held_out_part(digits):
    train, val, test = Holdout()(digits, stream(0, "split"))
    counts = classes_of(digits, torch.arange(1797))
    tests, vals = classes_of(digits, test), classes_of(digits, val)
    for label, count in counts.items():
        assert abs(tests[label] - 0.2 * count) < 1
        assert abs(vals[label] - 0.1 * (count - tests[label])) < 1
    assert len(train) + len(val) + len(test) == 1797


@pytest.mark.parametrize(
    "strategy",
    [
        RandomForget(fraction=0.01),
        RandomForget(fraction=0.7),
        RandomForget(fraction=None, count=3),
        StratifiedForget(fraction=0.3),
        StratifiedForget(fraction=None, count=7),
        ClassForget(classes=[3]),
        ClassForget(classes=[3, 7], share=0.5),
        ClassForget(classes=["9"], share=0.1),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_base_split_does_not_depend_on_what_is_forgotten(digits, strategy, seed):
    assert base_of(split(strategy, digits, seed)) == base_of(split(RandomForget(), digits, seed))


@given(
    labels=label_lists,
    sizes=st.tuples(st.integers(0, 80), st.integers(0, 80)),
    seed=st.integers(0, 9),
)
def test_more_in_proportion_contain_fewer(labels, sizes, seed):
    ids, codes = torch.arange(len(labels)).flip(0), torch.tensor(labels)
    small, large = (
        set(in_proportion(ids, codes, min(size, len(ids)), stream(seed, "draw")).tolist())
        for size in sorted(sizes)
    )
    assert small <= large
    assert len(large) == min(max(sizes), len(ids))


def test_seats_in_proportion_are_those_of_sainte_lague():
    """Quotients over 1, 3, 5 deal 3, 2 and 2 of seven where largest remainders deal 4, 2, 1."""
    codes = torch.tensor([0] * 53 + [1] * 24 + [2] * 23)
    drawn = in_proportion(torch.arange(100), codes, 7, stream(0, "draw"))
    assert Counter(codes[drawn].tolist()) == {0: 3, 1: 2, 2: 2}
    codes = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    drawn = in_proportion(torch.arange(100), codes, 10, stream(0, "draw"))
    assert Counter(codes[drawn].tolist()) == {0: 6, 1: 3, 2: 1}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "strategies",
    [
        [RandomForget(fraction=f) for f in (0.05, 0.2, 0.21)],
        [StratifiedForget(fraction=f) for f in (0.05, 0.2, 0.21)],
        [StratifiedForget(fraction=None, count=n) for n in (1, 30, 31, 32, 33)],
        [ClassForget(classes=[3, 5], share=s) for s in (0.1, 0.5, 0.51, 1.0)],
    ],
)
def test_more_contains_less(digits, strategies, seed):
    sets = [set(split(one, digits, seed).forget.tolist()) for one in strategies]
    assert all(small < large for small, large in pairwise(sets))


def test_a_stratified_forget_set_has_every_class_in_its_proportion(digits):
    indices = split(StratifiedForget(fraction=0.1), digits)
    assert len(indices.forget) == 129
    forgotten, trained = classes_of(digits, indices.forget), classes_of(digits, indices.train)
    for label, count in trained.items():
        assert abs(forgotten[label] - 129 / 1294 * count) < 1


def test_sets_of_labels_are_strata_of_their_own(make_pool):
    """Of 40, 20 and 20 samples with three sets of labels, training keeps 72 % of each."""
    sets = torch.tensor([[1, 0], [1, 1], [0, 1], [1, 0]]).repeat(20, 1)
    pool = make_pool(sets, class_names=("a", "b"), task_type=Multilabel())
    indices = split(StratifiedForget(base=Holdout(test=0.2, val=0.1), fraction=0.5), pool)
    rows = Counter(map(tuple, pool.targets[indices.forget].tolist()))
    assert len(indices.forget) == round(0.5 * len(indices.train))
    assert abs(rows[1, 0] - 2 * rows[1, 1]) <= 2
    assert set(rows) == {(1, 0), (1, 1), (0, 1)}


def test_a_class_may_be_one_of_several_labels(make_pool):
    sets = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]]).repeat(10, 1)
    pool = make_pool(sets, class_names=("a", "b"), task_type=Multilabel())
    indices = split(ClassForget(classes=["b"]), pool)
    assert pool.targets[indices.forget][:, 1].tolist() == [1] * len(indices.forget)
    assert pool.targets[indices.retain][:, 1].tolist() == [0] * len(indices.retain)


@pytest.mark.parametrize(
    "strategy", [RandomForget(), StratifiedForget(), ClassForget(classes=[3], share=0.5)]
)
def test_another_seed_is_another_split(digits, strategy):
    first, again, other = (split(strategy, digits, seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint
    for part in PARTS:
        assert getattr(first, part).tolist() != getattr(other, part).tolist()


def test_classes_may_be_named_or_numbered_in_any_order(make_pool):
    pool = make_pool(torch.arange(60) % 3)
    by_name = split(ClassForget(classes=["class 2", 0, 0]), pool)
    assert by_name.fingerprint == split(ClassForget(classes=[0, 2]), pool).fingerprint
    assert set(classes_of(pool, by_name.forget)) == {0, 2}


def test_names_win_over_numbers_and_digits_are_known_by_both(digits):
    by_number = split(ClassForget(classes=[3]), digits)
    assert split(ClassForget(classes=["3"]), digits).fingerprint == by_number.fingerprint
    assert set(classes_of(digits, by_number.forget)) == {3}
    assert 3 not in classes_of(digits, by_number.retain)


def test_a_share_of_a_class_leaves_the_rest_in_retain(digits):
    whole = split(ClassForget(classes=[3, 5]), digits).forget
    indices = split(ClassForget(classes=[3, 5], share=0.25), digits)
    assert set(indices.forget.tolist()) < set(whole.tolist())
    assert len(indices.forget) == round(0.25 * len(whole))
    forgotten, trained = classes_of(digits, indices.forget), classes_of(digits, whole)
    for label in (3, 5):
        assert abs(forgotten[label] - 0.25 * trained[label]) < 1
        assert classes_of(digits, indices.retain)[label] == trained[label] - forgotten[label]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Holdout(test=0.0), r"test must be in (0, 1), got 0.0"),
        (lambda: Holdout(test=1.0), r"test must be in (0, 1), got 1.0"),
        (lambda: Holdout(val=-0.1), r"val must be in (0, 1), got -0.1"),
        (lambda: RandomForget(fraction=1.5), r"fraction must be in (0, 1), got 1.5"),
        (lambda: RandomForget(fraction=0.0), r"fraction must be in (0, 1), got 0.0"),
        (lambda: RandomForget(fraction=None, count=0), r"count must be >= 1, got 0"),
        (
            lambda: RandomForget(fraction=0.1, count=5),
            "fraction and count exclude each other: set one and make the other null, "
            "got fraction=0.1 and count=5",
        ),
        (
            lambda: RandomForget(fraction=None),
            "fraction and count exclude each other: set one and make the other null, "
            "got fraction=None and count=None",
        ),
        (lambda: ClassForget(classes=[]), "classes must be a list such as [3], got []"),
        (lambda: ClassForget(classes="3"), "classes must be a list such as [3], got '3'"),
        (lambda: ClassForget(classes=[3], share=0.0), r"share must be in (0, 1], got 0.0"),
        (lambda: ClassForget(classes=[3], share=1.1), r"share must be in (0, 1], got 1.1"),
    ],
)
def test_impossible_settings_are_refused_by_name(build, message):
    with pytest.raises(ConfigError) as error:
        build()
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            RandomForget(fraction=None, count=1294),
            "count must be < 1294, the size of the training set, got 1294",
        ),
        (
            RandomForget(fraction=0.0001),
            "fraction=0.0001 of 1294 training samples forgets 0; "
            "it must leave at least one sample to forget and one to retain",
        ),
        (
            RandomForget(fraction=0.9999),
            "fraction=0.9999 of 1294 training samples forgets 1294; "
            "it must leave at least one sample to forget and one to retain",
        ),
        (
            ClassForget(classes=list(range(10))),
            "classes=[0, 1, 2, 3, 4, 5, ...] covers all training samples: nothing is retained",
        ),
        (
            ClassForget(classes=[3], share=0.001),
            "classes=[3] with share=0.001 selects none of 1294 training samples",
        ),
    ],
)
def test_requests_that_do_not_fit_the_data_are_refused_with_its_size(digits, strategy, message):
    with pytest.raises(ConfigError) as error:
        split(strategy, digits)
    assert str(error.value) == message


@pytest.mark.parametrize("name", [10, -1, "ten", 3.0])
def test_a_class_that_does_not_exist_is_refused_with_those_that_do(digits, name):
    with pytest.raises(ConfigError) as error:
        split(ClassForget(classes=[name]), digits)
    known = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert str(error.value).startswith(
        f"classes must be among the 10 classes {known} (by name or number), got {name!r}"
    )


def test_held_out_samples_of_a_class_are_of_its_population(digits):
    indices = split(ClassForget(classes=[3], share=0.5), digits)
    heldout = torch.cat([indices.val, indices.test])
    expected = heldout[digits.targets[heldout] == 3].sort().values
    assert indices.same_population.tolist() == expected.tolist()
    assert indices.scenario == {"kind": "class", "classes": [3], "share": 0.5}
    assert split(RandomForget(), digits).same_population is None


def test_a_misspelled_class_gets_a_suggestion(make_pool):
    names = (*(f"animal {i}" for i in range(13)), "truck")
    pool = make_pool(torch.arange(140) % 14, class_names=names)
    with pytest.raises(
        ConfigError, match=r"animal 11, \.\.\. .* got 'truk'; did you mean 'truck'"
    ):
        split(ClassForget(classes=["truk"]), pool)


def test_forgetting_every_class_that_occurs_is_refused(make_pool):
    pool = make_pool(torch.arange(60) % 3, num_classes=5)
    with pytest.raises(ConfigError, match=r"classes=\[0, 1, 2\] covers all training samples"):
        split(ClassForget(classes=[0, 1, 2]), pool)


def test_all_classes_may_be_forgotten_in_part(digits):
    indices = split(ClassForget(classes=list(range(10)), share=0.5), digits)
    assert len(indices.forget) == 647
    assert set(classes_of(digits, indices.forget)) == set(range(10))
