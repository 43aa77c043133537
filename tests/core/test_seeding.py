"""Named random streams."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.seeding import branch, isolated, stream


def draw(generator):
    return torch.rand(4, generator=generator).tolist()


def test_a_stream_is_a_function_of_its_arguments():
    assert draw(stream(3, "a", "b")) == draw(stream(3, "a", "b"))


def test_streams_of_different_names_and_seeds_differ():
    paths = [("a",), ("b",), ("a", "b"), ("b", "a"), ("ab",), ()]
    drawn = {tuple(draw(stream(seed, *path))) for path in paths for seed in (0, 1, -1)}
    assert len(drawn) == 3 * len(paths)


@given(seed=st.integers(-(2**63), 2**64), name=st.text(max_size=5))
def test_any_seed_and_any_name_make_a_stream(seed, name):
    assert draw(stream(seed, name)) == draw(stream(seed, name))


@pytest.mark.slow
def test_a_stream_is_the_same_in_another_process_with_another_hash_seed(python):
    code = "from erasure.core.seeding import stream; print(stream(5, 'split').initial_seed())"
    output = python("-c", code, PYTHONHASHSEED="1")
    assert int(output.stdout) == stream(5, "split").initial_seed()


def test_isolated_blocks_draw_by_name_and_leave_no_trace():
    torch_before = torch.get_rng_state()
    with isolated(1, "model"):
        first = torch.rand(4)
    with isolated(1, "model"):
        again = torch.rand(4)
    with isolated(1, "other"):
        other = torch.rand(4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_isolated_restores_after_an_error():
    before = torch.get_rng_state()
    try:
        with isolated(1, "model"):
            torch.rand(4)
            raise KeyError  # noqa: TRY301
    except KeyError:
        pass
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_drawn_outside_does_not_matter_inside():
    numpy_before, python_before = np.random.get_state()[2], random.getstate()  # noqa: NPY002
    with isolated(1, "model"):
        first = torch.rand(4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        with isolated(1, "model"):
            assert torch.equal(torch.rand(4), first)
    assert np.random.get_state()[2] == numpy_before  # noqa: NPY002
    assert random.getstate() == python_before


def test_a_branch_draws_nothing_from_its_parent():
    parent, untouched = stream(0, "unlearn"), stream(0, "unlearn")
    child = branch(parent, "other")
    assert draw(child) != draw(stream(0, "unlearn"))
    assert draw(parent) == draw(untouched)


def test_a_branch_depends_on_the_seed_of_its_parent_and_not_on_its_position():
    parent = stream(0, "unlearn")
    early = draw(branch(parent, "other"))
    draw(parent)
    assert draw(branch(parent, "other")) == early
    assert draw(branch(stream(1, "unlearn"), "other")) != early
    assert draw(branch(parent, "another")) != early


def test_seeds_stay_what_they_are_between_versions():
    """Or every split, initial weight and batch would be another one."""
    assert stream(7, "model", "a").initial_seed() == 7105311637113795870
    with isolated(7, "model", "a"):
        assert torch.initial_seed() == 7105311637113795870
