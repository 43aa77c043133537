"""Learning-rate schedules: the rate of every step, worked out by formula."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.errors import ConfigError
from erasure.training.schedules import Cosine, MultiStep, OneCycle


def rates(schedule, steps, lr=0.1):
    """Return the rate of each step and the one that is left after the last."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    scheduler = schedule(optimizer, steps)
    lrs = []
    for _ in range(steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lrs, optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_cosine_falls_along_half_a_cosine(final):
    lrs, last = rates(Cosine(final=final), 10)
    low = 0.1 * final
    expected = [low + (0.1 - low) * (1 + math.cos(math.pi * step / 10)) / 2 for step in range(11)]
    assert [*lrs, last] == pytest.approx(expected, abs=1e-12)


def test_cosine_in_levels_falls_once_per_level():
    """``(1 + cos(pi * level / 4)) / 2`` for levels of three steps each."""
    lrs, last = rates(Cosine(final=0.1, levels=4), 12)
    expected = [0.01 + 0.09 * (1 + math.cos(math.pi * (step // 3) / 4)) / 2 for step in range(12)]
    assert lrs == pytest.approx(expected, abs=1e-12)
    assert last == pytest.approx(0.01)
    assert rates(Cosine(levels=5), 5) == (pytest.approx(rates(Cosine(), 5)[0], abs=1e-12), 0.0)
    with pytest.raises(ConfigError, match="levels must be >= 0 or null, got -1"):
        Cosine(levels=-1)


def test_multistep_falls_at_shares_of_the_run():
    lrs, last = rates(MultiStep(at=(0.5, 0.75), factor=0.1), 8)
    assert [*lrs, last] == pytest.approx([0.1] * 4 + [0.01] * 2 + [0.001] * 3)


def test_points_that_coincide_count_twice():
    lrs, _ = rates(MultiStep(at=(0.5, 0.5), factor=0.1), 2)
    assert lrs == pytest.approx([0.1, 0.001])


def test_one_cycle_rises_then_falls_whatever_rate_the_optimizer_has():
    """101 points, 30.3 % of which rise from 1/25 of the highest rate; the end is 4e-6 of it."""
    lrs, last = rates(OneCycle(max_lr=1.0), 100, lr=123.0)
    assert lrs[0] == pytest.approx(1 / 25)
    peak = max(range(100), key=lrs.__getitem__)
    assert peak in (29, 30)
    assert lrs[peak] == pytest.approx(1.0, abs=0.01)
    assert lrs[: peak + 1] == sorted(lrs[: peak + 1])
    assert lrs[peak:] == sorted(lrs[peak:], reverse=True)
    assert last == pytest.approx(1 / 25 / 1e4)


@given(steps=st.integers(1, 40), rise=st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5, 0.75]))
def test_one_cycle_fits_runs_of_any_length(steps, rise):
    lrs, last = rates(OneCycle(max_lr=1.0, rise=rise), steps)
    assert all(0 < rate <= 1.0 for rate in lrs)
    assert last == pytest.approx(4e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Cosine(final=1.1), r"final must be in [0, 1], got 1.1"),
        (lambda: Cosine(final=-0.1), r"final must be in [0, 1], got -0.1"),
        (lambda: OneCycle(max_lr=0.0), "max_lr must be > 0, got 0.0"),
        (lambda: OneCycle(max_lr=0.1, rise=0.0), r"rise must be in (0, 1), got 0.0"),
        (lambda: OneCycle(max_lr=0.1, rise=1.0), r"rise must be in (0, 1), got 1.0"),
        (lambda: MultiStep(at=[0.5, 1.0]), r"at must hold shares in (0, 1), got [0.5, 1.0]"),
        (lambda: MultiStep(factor=1.0), r"factor must be in (0, 1), got 1.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(build, message):
    with pytest.raises(ConfigError) as error:
        build()
    assert str(error.value) == message
