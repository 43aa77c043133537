"""Fronts and hypervolumes against brute force and hand values."""

import numpy as np
import pandas as pd
import pytest

from multirun_analysis.statistics.pareto import (
    FrontObjective,
    dominated_volume,
    hypervolume,
    non_dominated,
    pareto_front,
)

GAP = FrontObjective(column="gap", direction="min")
ACCURACY = FrontObjective(column="accuracy", direction="max")
SECONDS = FrontObjective(column="seconds", direction="min")


def rng(seed=0):
    return np.random.default_rng(seed)


def brute_force(points):
    as_good = (points[:, None] <= points).all(axis=2)
    better = (points[:, None] < points).any(axis=2)
    return ~(as_good & better).any(axis=0)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_the_front_is_that_of_all_pairs(dimensions):
    points = rng(dimensions).integers(0, 6, size=(80, dimensions)).astype(float)
    assert non_dominated(points).tolist() == brute_force(points).tolist()


def test_directions_and_missing_values():
    frame = pd.DataFrame(
        {"gap": [0.1, 0.2, 0.05, np.nan, 0.1], "accuracy": [0.9, 0.8, 0.5, 1.0, 0.9]},
        index=["a", "b", "c", "d", "e"],
    )
    front = pareto_front(frame, [GAP, ACCURACY])
    assert front.on_front.to_dict() == {"a": True, "b": False, "c": True, "d": False, "e": True}
    assert (front.n_ok, front.n) == (4, 5)
    assert front.costs.loc["a"].tolist() == pytest.approx([0.1, -0.9])


def test_gold_and_ideal_are_objectives_too():
    frame = pd.DataFrame({"mia": [0.5, 0.6, 0.7], "gold": [0.52] * 3, "ratio": [0.8, 1.0, 1.3]})
    near = FrontObjective(column="mia", direction="closer_to_gold", gold="gold")
    one = FrontObjective(column="ratio", direction="closer_to_ideal", ideal=1.0)
    assert pareto_front(frame, [near, one]).on_front.tolist() == [True, True, False]


def test_nothing_dominates_nothing():
    frame = pd.DataFrame({"gap": [np.nan], "accuracy": [1.0]})
    for rows in (frame, frame[:0]):
        front = pareto_front(rows, [GAP, ACCURACY])
        assert (front.n_ok, front.on_front.any()) == (0, False)


def test_the_area_of_the_specification():
    points = np.array([[0.2, 0.6], [0.5, 0.3]])
    assert dominated_volume(points, np.ones(2)) == pytest.approx(0.47)


def test_two_boxes_share_their_corner():
    """``.8 * .4 * .5 + .5 * .7 * .8`` less what both cover, ``.5 * .4 * .5``."""
    points = np.array([[0.2, 0.6, 0.5], [0.5, 0.3, 0.2]])
    assert dominated_volume(points, np.ones(3)) == pytest.approx(0.16 + 0.28 - 0.1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_volumes_are_those_of_counted_cells(dimensions):
    """On a grid of integers a cell is covered if its lower corner is dominated."""
    points = rng(dimensions).integers(0, 9, size=(15, dimensions)).astype(float)
    cells = np.stack(np.meshgrid(*[np.arange(8.0)] * dimensions), axis=-1)
    covered = (points <= cells[..., None, :]).all(axis=-1).any(axis=-1)
    volume = dominated_volume(points, np.full(dimensions, 8.0))
    assert volume == pytest.approx(covered.sum())


def test_volumes_ignore_order_copies_and_dominated_points():
    points = rng().random((20, 3))
    reference = np.ones(3)
    expected = dominated_volume(points, reference)
    again = np.concatenate([points[::-1], points, np.maximum(points, 0.9)])
    assert dominated_volume(again, reference) == pytest.approx(expected)
    assert dominated_volume(points + 1.0, reference) == 0.0
    assert dominated_volume(points[:0], reference) == 0.0


def test_a_maximized_objective_has_its_reference_in_its_own_unit():
    frame = pd.DataFrame({"gap": [0.2, 0.5, np.nan, 2.0], "accuracy": [0.4, 0.7, 0.9, 0.9]})
    volume = hypervolume(frame, [GAP, ACCURACY], (1.0, 0.0))
    assert volume.value == pytest.approx(0.47)
    assert (volume.inside, volume.n_ok, volume.n, volume.reference) == (2, 3, 4, (1.0, 0.0))
    three = hypervolume(
        frame.assign(seconds=[1.0, 1.0, 1.0, 1.0]), [GAP, ACCURACY, SECONDS], (1.0, 0.0, 3.0)
    )
    assert three.value == pytest.approx(0.94)


def test_no_point_has_no_volume_but_points_outside_have_none():
    frame = pd.DataFrame({"gap": [2.0, np.nan], "accuracy": [0.5, 0.5]})
    assert hypervolume(frame, [GAP, ACCURACY], (1.0, 0.0)).value == 0.0
    volume = hypervolume(frame[1:], [GAP, ACCURACY], (1.0, 0.0))
    assert np.isnan(volume.value)
    assert volume.reason == "no point has all objectives"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: pareto_front(f, []), "objectives must be at least one"),
        (lambda f: pareto_front(f, [GAP, GAP]), "objectives must be different"),
        (lambda f: pareto_front(f, [SECONDS]), "columns .'seconds'"),
        (lambda f: hypervolume(f, [GAP], (1.0,)), "objectives must be 2 or 3, got 1"),
        (lambda f: hypervolume(f, [GAP, ACCURACY], (1.0,)), "reference must be 2 numbers"),
        (lambda f: hypervolume(f, [GAP, ACCURACY], (1.0, np.nan)), "reference must be 2"),
        (lambda f: dominated_volume(np.ones((1, 4)), np.ones(4)), "points must be"),
        (lambda f: dominated_volume(np.ones((1, 2)), np.ones(3)), "points must be"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(pd.DataFrame({"gap": [1.0], "accuracy": [1.0]}))
