"""Axes that step together, several grids, and the combinations they span."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from erasure.config.axes import SweeperAxes, merged, read_products, varying
from erasure.config.folders import conf_folder
from erasure.core.errors import ConfigError


@pytest.fixture(scope="module")
def read():
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()

        def products(*arguments, **sweeper):
            return read_products(loader, SweeperAxes(**sweeper), arguments)

        yield products


def combinations(products):
    return [" ".join(overrides) for product in products for overrides in product.overrides()]


def test_the_last_axis_varies_fastest_and_repeats_are_dropped(read):
    assert combinations(read("a=1,2", "b=x,y,x", "c=3")) == [
        "a=1 b=x c=3", "a=1 b=y c=3", "a=2 b=x c=3", "a=2 b=y c=3",
    ]  # fmt: skip


def test_paired_axes_step_together_in_place_of_the_first(read):
    assert combinations(read("a=1,2,2", "b=x,y", "c=range(5,8)", paired=["a", "c"])) == [
        "a=1 c=5 b=x", "a=1 c=5 b=y", "a=2 c=6 b=x", "a=2 c=6 b=y", "a=2 c=7 b=x", "a=2 c=7 b=y",
    ]  # fmt: skip
    groups = [["a", "b"], ["+c", "d"]]
    assert combinations(read("a=1,2", "b=3,4", "+c=5,6", "d=7,8", paired=groups)) == [
        "a=1 b=3 +c=5 d=7", "a=1 b=3 +c=6 d=8", "a=2 b=4 +c=5 d=7", "a=2 b=4 +c=6 d=8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("paired", "message"),
    [
        (["a", "b"], "equally many values: a has 2, b has 3"),
        (["a", "c"], "names c, which must have several values, such as c=a,b; got c=1"),
        (["a", "d"], "names d, which must have several values, such as d=a,b; got none"),
        (["a"], "must be a list of two keys or more"),
        ("a,b", "must be a list of two keys or more"),
        ([["a", "b"], ["c"]], "must be a list of two keys or more"),
        ([], "must be a list of two keys or more"),
        ([["a", "b"], ["a", "c"]], "must name each key once, got a twice"),
        (["a", "a"], "must name each key once, got a twice"),
    ],
)
def test_keys_that_cannot_step_together_are_refused(read, paired, message):
    with pytest.raises(ConfigError, match=rf"hydra\.sweeper\.zip.*{message}"):
        read("a=1,2", "b=1,2,3", "c=1", paired=paired)


def test_grids_share_the_rest_of_the_command_which_wins(read):
    grids = ["a=1,2 b='x y'", {"a": 3, "b": "4,5", "c": None}]
    assert combinations(read("d=7", grids=grids, params={"b": "0", "d": 6})) == [
        "b='x y' d=7 a=1", "b='x y' d=7 a=2", "b=4 d=7 a=3 c=null", "b=5 d=7 a=3 c=null",
    ]  # fmt: skip
    assert combinations(read("a=9", grids=["a=1,2", "b=1"])) == ["a=9", "b=1 a=9"]


def test_what_tells_trials_of_several_grids_apart(read):
    products = read("d=7", grids=["a=1 b=2,3", "a=1 c=4"])
    assert varying(products) == ("b=2", "b=3", "c=4")
    assert merged(products) == {"a": ["a=1"], "b": ["b=2", "b=3"], "d": ["d=7"], "c": ["c=4"]}


def test_a_grid_that_sweeps_none_of_paired_keys_is_left_alone(read):
    grids = ["a=1,2 b=3,4", "c=5,6"]
    assert combinations(read(grids=grids, paired=["a", "b"])) == [
        "a=1 b=3",
        "a=2 b=4",
        "c=5",
        "c=6",
    ]
    with pytest.raises(ConfigError, match="names b"):
        read(grids=["a=1,2", "c=5,6"], paired=["a", "b"])


@pytest.mark.parametrize("grids", ["a=1", [], [1], [["a=1"]], {"a": 1}])
def test_grids_of_another_form_are_refused(read, grids):
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.grids"):
        read(grids=grids)


def test_values_in_files_are_spelled_for_hydra(read):
    params = {"a": "1,2", "b": [r"\d", None, True], "c": {"d": 0.5, "e.f": {"g": False}}}
    assert combinations(read(params=params))[0] == r"a=1 b=['\d',null,true] c.d=0.5 c.e.f.g=false"
