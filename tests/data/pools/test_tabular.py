"""Tables: what is fitted on training rows alone, what columns mean, what is refused."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from crafted_tabular import BUNDLED, CRAFTED, MADE, craft, overrides
from hypothesis import given
from hypothesis import strategies as st

from erasure.config.build import build
from erasure.core.columns import Column, coded
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.pool import FittingPool
from erasure.data.frames.series import as_column, cleaned
from erasure.data.frames.table import TableSettings, packed, unpacked
from erasure.data.pools.tabular import MOST_CATEGORIES, TabularPool
from erasure.data.pools.tensor import TensorPool
from erasure.data.splits.selecting import column

TRAIN = torch.tensor([0, 1, 2, 3])
NAN = float("nan")


def numbers(*values):
    return Column(torch.tensor(values, dtype=torch.float64))


def people(**fields):
    """Six people, the last two of whom are held out; nobody in training lives in Oslo."""
    base = {
        "features": {
            "city": coded(["Bari", "Graz", "Bari", "Lyon", "Oslo", "Graz"]),
            "age": numbers(1.0, 2.0, 3.0, 6.0, 100.0, 3.0),
        },
        "targets": torch.tensor([0, 1, 1, 0, 1, 0]),
        "class_names": ("young", "old"),
    }
    return TabularPool(**base | fields)


def with_features(**features):
    return people(features=features)


def test_numbers_and_categories_are_encoded_as_by_hand():
    """Mean 3 and variance (4 + 1 + 0 + 9) / 4 = 3.5 are those of the first four ages."""
    inputs = people().fitted(TRAIN).inputs
    age = (torch.tensor([1.0, 2, 3, 6, 100, 3]).double() - 3) / 3.5**0.5
    city = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]])
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, torch.cat([age.float().unsqueeze(1), city.float()], dim=1))


def test_the_encoding_is_that_of_sklearn_fitted_on_the_training_rows():
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(0)
    raw = rng.normal(5, 3, (300, 4)) * [1, 1e-3, 1e6, 1]
    texts = rng.integers(0, 30, (300, 2))
    names = tuple(f"{i:02d}" for i in range(30))
    train = torch.from_numpy(rng.permutation(300)[:40])
    features = {f"x{i}": Column(torch.from_numpy(raw[:, i].copy())) for i in range(4)}
    features |= {f"c{i}": Column(torch.from_numpy(texts[:, i].copy()), names) for i in range(2)}
    pool = people(features=features, targets=torch.zeros(300, dtype=torch.int64))
    scaled = StandardScaler().fit(raw[train]).transform(raw)
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(texts[train])
    expected = np.concatenate([scaled, hot.transform(texts)], axis=1)
    assert pool.fitted(train).inputs.shape[1] < 4 + 60
    np.testing.assert_allclose(pool.fitted(train).inputs.numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "changed",
    [
        {"age": numbers(1.0, 2.0, 3.0, 6.0, -1e9, 4.0)},
        {"city": coded(["Bari", "Graz", "Bari", "Lyon", "Aarau", "Aarau"])},
        {"age": numbers(1.0, 2.0, 3.0, 6.0, NAN, 3.0)},
    ],
    ids=["a number", "a category that sorts first", "a missing value"],
)
def test_held_out_rows_never_move_the_statistics(changed):
    before = people(missing="mean")
    after = people(missing="mean", features={**before.features, **changed})
    assert after.fingerprint != before.fingerprint
    seen = [pool.fitted(TRAIN).fetch(TRAIN) for pool in (before, after)]
    assert torch.equal(*seen)


def test_a_training_row_moves_the_statistics():
    changed = {**people().features, "age": numbers(1.0, 2.0, 3.0, 7.0, 100.0, 3.0)}
    before, after = (pool.fitted(TRAIN) for pool in (people(), people(features=changed)))
    assert not torch.equal(before.fetch(TRAIN[:1]), after.fetch(TRAIN[:1]))


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=30, unique=True),
    st.integers(2, 4),
)
def test_training_rows_have_mean_zero_and_deviation_one(values, count):
    labels = torch.zeros(len(values), dtype=torch.int64)
    pool = people(features={"x": numbers(*values)}, targets=labels)
    chosen = torch.arange(count)
    seen = pool.fitted(chosen).fetch(chosen).double()
    assert abs(seen.mean().item()) < 1e-6
    assert seen.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)


def test_what_is_constant_in_training_is_zero_everywhere():
    pool = with_features(same=numbers(0.1, 0.1, 0.1, 0.1, 5.0, 0.1), age=people().features["age"])
    assert torch.equal(pool.fitted(TRAIN).inputs[:, 0], torch.zeros(6))
    assert pool.fitted(torch.tensor([0, 4])).inputs[4, 0] == 1.0


def test_a_difference_too_small_to_be_squared_counts_as_constant():
    pool = with_features(tiny=numbers(0.0, 1e-200, 0.0, 0.0, 0.0, 0.0))
    assert torch.equal(pool.fitted(TRAIN).inputs, torch.zeros(6, 1))


def test_a_missing_number_is_the_training_mean_and_a_missing_category_is_none():
    features = {
        "age": numbers(1.0, NAN, 3.0, 5.0, NAN, 100.0),
        "city": coded(["Bari", None, "Graz", "Bari", "", "Oslo"]),
        "empty": numbers(NAN, NAN, NAN, NAN, 7.0, NAN),
    }
    inputs = people(features=features, missing="mean").fitted(TRAIN).inputs
    std = (8 / 3) ** 0.5
    age = torch.tensor([-2 / std, 0, 0, 2 / std, 0, 97 / std])
    torch.testing.assert_close(inputs[:, 0], age)
    assert torch.equal(inputs[:, 1], torch.zeros(6))
    assert inputs[:, 2:].tolist() == [[1, 0], [0, 0], [0, 1], [1, 0], [0, 0], [0, 0]]


def test_missing_values_are_refused_with_their_columns_and_what_can_be_done():
    features = {"age": numbers(1, NAN, 3, 5, NAN, 9), "city": coded(["a", "", "b", "a", "b", "a"])}
    with pytest.raises(DataError, match=r"NaN\) in age \(2\), city \(1\) of 6 rows") as caught:
        people(features=features)
    assert "missing=mean" in str(caught.value)
    assert "missing=drop" in str(caught.value)


def test_a_missing_attribute_that_nobody_learns_from_is_fine():
    pool = people(attributes={"income": numbers(1, NAN, 3, 5, NAN, 9)})
    assert pool.fitted(TRAIN).inputs.shape == (6, 4)


def test_sets_have_a_column_for_each_name_that_occurs_in_training():
    tags = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]]).bool()
    inputs = with_features(tags=Column(tags, ("a", "b", "c"))).fitted(TRAIN).inputs
    assert torch.equal(inputs, tags[:, [0, 2]].float())


def test_every_feature_is_an_attribute_a_split_can_choose_by():
    pool = people(attributes={"person": coded(list("abcdef"))})
    assert list(pool.attributes) == ["person", "city", "age"]
    assert column(pool, "city", "attribute").having(["Bari"]).tolist() == [1, 0, 1, 0, 0, 0]
    assert column(pool, "age", "attribute").having([3]).tolist() == [0, 0, 1, 0, 0, 1]
    assert pool.fitted(TRAIN).attributes == pool.attributes


def test_fitting_keeps_everything_but_the_inputs():
    official = torch.tensor([0, 0, 0, 0, 2, 2], dtype=torch.int8)
    pool = people(official=official, properties={"level": "row"})
    fitted = pool.fitted(TRAIN)
    assert isinstance(pool, FittingPool)
    assert isinstance(fitted, TensorPool)
    assert not isinstance(fitted, FittingPool)
    for name in ("targets", "class_names", "official", "properties", "task_type", "num_classes"):
        assert getattr(fitted, name) is getattr(pool, name) or name == "num_classes"
    assert (pool.input_shape, fitted.input_shape) == ((2,), (4,))


def test_the_fingerprint_of_the_fitted_pool_knows_contents_and_training_rows():
    fitted = people().fitted(TRAIN).fingerprint
    assert people().fitted(TRAIN.flip(0)).fingerprint == fitted
    older = {**people().features, "age": numbers(1.0, 2.0, 3.0, 6.0, 101.0, 3.0)}
    others = [
        people().fitted(TRAIN[:3]),
        people().fitted(torch.tensor([0, 1, 2, 3, 4])),
        people(features=older).fitted(TRAIN),
        people(class_names=("young", "grey")).fitted(TRAIN),
    ]
    assert len({fitted, *(pool.fingerprint for pool in others)}) == 5


def test_the_fingerprint_of_a_table_knows_what_is_a_feature_and_what_missing_means():
    base = people()
    only = people(features={"age": base.features["age"]}, attributes=base.features)
    assert only.attributes.keys() == base.attributes.keys()
    prints = {base.fingerprint, only.fingerprint, people(missing="mean").fingerprint}
    assert len(prints) == 3
    assert people().fingerprint == base.fingerprint


def test_an_unfitted_table_is_not_read():
    with pytest.raises(DataError, match=r"has to be encoded before .* pool\.fitted\(train\)"):
        people().fetch(TRAIN)


def test_equal_rows_have_equal_digests_whatever_their_zeros_and_nans():
    features = {"x": numbers(0.0, -0.0, 1.0, NAN, -NAN, 1.0), "c": coded(list("aaabbb"))}
    digests = people(features=features, missing="mean").digests(torch.arange(6)).tolist()
    assert digests[0] == digests[1]
    assert digests[3] == digests[4]
    assert len(set(digests)) == 4


def test_sketches_weigh_columns_alike_whatever_their_units():
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(50, 6, generator=rng, dtype=torch.float64)
    rows[1] = rows[0] + 0.01
    features = {f"x{i}": Column(values * 10.0**i) for i, values in enumerate(rows.unbind(1))}
    pool = people(features=features, targets=torch.zeros(50, dtype=torch.int64))
    sketches = torch.nn.functional.normalize(pool.sketch(torch.arange(50)), dim=1)
    cosines = sketches @ sketches[0]
    assert cosines[1] > 0.999
    assert cosines[2:].max() < 0.99


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({}, "at least one feature"),
        ({"x": numbers(1, 2, 3, 4, float("inf"), 6)}, "feature x holds infinite numbers"),
        ({"x": numbers(1, 2)}, "x has 2 rows for 6 inputs"),
        (
            {"key": Column(torch.arange(6), tuple(map(str, range(MOST_CATEGORIES + 1))))},
            f"key has {MOST_CATEGORIES + 1} different values, more than {MOST_CATEGORIES}",
        ),
    ],
)
def test_features_that_cannot_be_learned_from_are_refused(features, message):
    with pytest.raises(DataError, match=message):
        people(features=features)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (numbers(0.0, 1e-30, 0.0, 0.0, 1e30, 0.0), "does not fit into float32"),
        (coded(["", "", "", "", "Oslo", "Bari"]), "no feature has a value in any training"),
    ],
)
def test_an_encoding_without_finite_numbers_is_refused(values, message):
    pool = people(features={"x": values}, missing="mean")
    with pytest.raises(DataError, match=message):
        pool.fitted(TRAIN)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_of_the_labels_is_that_of_the_encoded_pool():
    here, there = people(), people(targets=people().targets.cuda())
    fitted = there.fitted(TRAIN)
    assert fitted.inputs.is_cuda
    assert fitted.fingerprint == here.fitted(TRAIN).fingerprint
    assert torch.equal(there.digests(TRAIN.cuda()).cpu(), here.digests(TRAIN))
    assert torch.equal(there.sketch(TRAIN.cuda()).cpu(), here.sketch(TRAIN))


@pytest.mark.parametrize("option", [*BUNDLED, *MADE, *CRAFTED])
def test_every_option_reads_what_was_crafted_for_it(compose_config, tmp_path, option):
    craft(tmp_path, option)
    cfg = compose_config(f"dataset={option}", "~evaluator", *overrides(tmp_path, option))
    pool = build(cfg.dataset, "dataset")(DataConfig(root=tmp_path, verify=False, download=False))
    assert len(pool.targets) >= 120
    assert pool.num_classes >= 2


# ---- from a frame ---------------------------------------------------------------------------


def frame(**changes):
    columns = {
        "age": [20, 30, 40, 50],
        "height": [1.5, 1.6, 1.7, 1.8],
        "city": [" Graz", "Bari", "Graz ", "Bari"],
        "member": [True, False, True, True],
        "person": [10, 9, 10, 9],
        "part": ["train", "test", "Validation", None],
        "label": ["yes", "no", "yes", "no"],
    }
    return pd.DataFrame(columns | changes)


def table(**fields):
    return TableSettings(**{"target": "label"} | fields)


def test_columns_are_what_their_types_say():
    pool = table(categories=["person"], ignore=["part"]).pool(frame())
    assert list(pool.features) == ["age", "height", "city", "member", "person"]
    assert [c.kind for c in pool.features.values()] == ["number"] * 2 + ["category"] * 3
    assert pool.features["age"].values.tolist() == [20, 30, 40, 50]
    assert pool.features["city"] == pool.attributes["city"]
    assert (pool.features["city"].names, pool.features["city"].values.tolist()) == (
        ("Bari", "Graz"),
        [1, 0, 1, 0],
    )
    assert pool.features["member"].names == ("False", "True")
    assert pool.features["person"].names == ("9", "10")
    assert pool.features["person"].values.tolist() == [1, 0, 1, 0]
    assert (pool.class_names, pool.targets.tolist()) == (("no", "yes"), [1, 0, 1, 0])


def test_attributes_are_not_learned_from_and_official_parts_are_kept():
    pool = table(attributes=["city"], features=["age"]).pool(frame(), official="part")
    assert list(pool.features) == ["age"]
    assert sorted(pool.attributes) == ["age", "city"]
    assert pool.official.tolist() == [0, 2, 1, -1]
    numbered = table(features=["age"]).pool(frame(part=[2, 1, 0, 0]), official="part")
    assert numbered.official.tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "names", "targets"),
    [
        ([3, 10, 3, 1], ("1", "3", "10"), [1, 2, 1, 0]),
        ([1.0, 0.0, 0.0, 1.0], ("0", "1"), [1, 0, 0, 1]),
        ([True, False, True, False], ("False", "True"), [1, 0, 1, 0]),
        (pd.Categorical(list("baba"), categories=list("bac")), ("a", "b"), [1, 0, 1, 0]),
        (pd.array([2, 1, 2, 1], dtype="Int64"), ("1", "2"), [1, 0, 1, 0]),
    ],
    ids=["integers", "whole floats", "truth values", "categorical", "nullable"],
)
def test_labels_become_classes_in_sorted_order(labels, names, targets):
    pool = table(features=["age"]).pool(frame(label=labels))
    assert (pool.class_names, pool.targets.tolist()) == (names, targets)
    assert pool.targets.dtype == torch.int64


def test_unknown_texts_are_missing_and_what_remains_may_be_numbers():
    actual = cleaned(frame(age=["1", " ?", "3", ""], city=["?", "Bari", "Graz", "Bari"]), ["?"])
    assert actual["age"].dtype == np.float64
    assert actual["age"].isna().tolist() == [False, True, False, True]
    assert actual["city"].isna().tolist() == [True, False, False, False]
    kept = cleaned(frame(age=["1", "?", "3", "4"]), [])
    assert kept["age"].tolist() == ["1", "?", "3", "4"]
    nominal = cleaned(frame(age=pd.Categorical(["1", "?", "2", "1"])), ["?"])["age"]
    assert as_column(nominal).names == ("1", "2")
    assert as_column(nominal).values.tolist() == [0, -1, 1, 0]


def test_dropping_leaves_out_rows_with_a_missing_feature_or_label_and_no_others():
    holes = frame(height=[1.5, None, 1.7, 1.8], label=["yes", "no", "no", None])
    pool = table(missing="drop", features=["height"], attributes=["part"]).pool(holes)
    assert pool.features["height"].values.tolist() == [1.5, 1.7]
    assert pool.targets.tolist() == [1, 0]
    part = pool.attributes["part"]
    assert [part.names[code] for code in part.values] == ["train", "Validation"]
    with pytest.raises(DataError, match="each of the 4 rows has a missing value"):
        table(missing="drop", features=["height"]).pool(frame(height=[None] * 4))


@pytest.mark.parametrize(
    ("fields", "changes", "message"),
    [
        ({"target": "labels"}, {}, r"target must be among .* got 'labels'; did you mean 'label'"),
        ({"features": ["age", "hight"]}, {}, r"features must be .* 'hight'; .* 'height'"),
        ({"categories": ["town"]}, {}, r"categories must be among the columns age, .* 'town'"),
        ({"attributes": ["aeg"]}, {}, r"attributes must be .*; did you mean 'age'"),
        ({"ignore": ["x"]}, {}, r"ignore must be among .* got 'x'"),
        ({"target": None}, {}, r"target must be one of age, height, .*, got null"),
        ({"features": ["age", "label"]}, {}, r"features must not be target.* got label"),
        ({"features": ["age"], "attributes": ["age"]}, {}, r"features must not be .* got age"),
    ],
)
def test_columns_that_do_not_fit_their_roles_are_named(fields, changes, message):
    with pytest.raises(ConfigError, match=message):
        table(**fields).pool(frame(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": [0.5, 1.0, 2.0, 1.0]}, r"label must hold classes, got numbers such as 0\.5"),
        ({"label": ["a", None, "b", "a"]}, r"label is missing in 1 of 4 rows; missing=drop"),
        ({"label": ["a"] * 4}, "label must have two or more classes"),
        ({"age": [[1], [2], [3], [4]]}, "column age must hold numbers or text, got object"),
        ({"age": pd.to_datetime(["2020-01-01"] * 4)}, r"age must hold .* datetime64.*ignore"),
        ({"age": [1j, 2, 3, 4]}, "age holds complex numbers"),
    ],
)
def test_values_that_cannot_be_used_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        table(ignore=["part"]).pool(frame(**changes))


def test_many_different_numbers_are_measurements_unless_the_target_is_a_category():
    many = pd.DataFrame({"x": np.arange(100.0), "label": np.arange(100) // 3})
    with pytest.raises(DataError, match=r"34 different numbers in 100 .*dataset\.categories"):
        table().pool(many)
    assert table(categories=["label"]).pool(many).num_classes == 34


def test_a_table_without_rows_or_with_two_columns_of_a_name_is_refused():
    with pytest.raises(DataError, match="no rows"):
        table().pool(frame().iloc[:0])
    double = pd.concat([frame(), frame()[["age"]]], axis=1)
    with pytest.raises(DataError, match="more than one column 'age'"):
        table().pool(double)
    with pytest.raises(DataError, match="must be train, val, test or 0, 1, 2, got 'bari'"):
        table().pool(frame(part=["Bari"] * 4), official="part")


def test_a_table_comes_back_from_disk_as_it_was():
    pool = table(categories=["person"], attributes=["part"]).pool(frame())
    again = unpacked(packed(pool), DataConfig(), "people")
    assert again.fingerprint == pool.fingerprint
    assert list(again.features) == list(pool.features)
    assert replace(again, missing="error").fitted(torch.arange(4)).inputs.shape == (4, 8)


def test_a_table_that_does_not_fit_into_memory_is_refused():
    pool = table(ignore=["part"]).pool(frame())
    with pytest.raises(DataError, match=r"data\.resident_limit=0.* forbids; raise it"):
        unpacked(packed(pool), DataConfig(resident_limit=0.0), "people")


def test_no_step_of_loading_and_fetching_goes_through_rows_one_by_one():
    """Ten times the rows take the same number of calls of Python functions."""

    def calls(rows):
        rng = np.random.default_rng(0)
        drawn = pd.DataFrame({"x": rng.random(rows), "c": rng.choice(list("abcde?"), rows)})
        drawn["label"] = rng.integers(0, 3, rows)
        count = 0

        def tick(_frame, event, _argument):
            nonlocal count
            count += event == "call"

        sys.setprofile(tick)
        try:
            pool = table(missing="mean").pool(drawn).fitted(torch.arange(rows // 2))
            pool.fetch(torch.arange(100))
            pool.digests(torch.arange(100))
        finally:
            sys.setprofile(None)
        return count

    calls(100)  # imports
    few, many = calls(400), calls(4000)
    assert many <= 1.1 * few
