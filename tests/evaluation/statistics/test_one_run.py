"""The bound on epsilon from one run: the paper's examples, closed forms, and coverage."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta, binom

from erasure.evaluation.statistics.one_run import epsilon_lower, one_run_bound, p_value


def by_definition(correct, guesses, canaries, epsilon, delta):
    """The theorem term by term: P[W >= v] + 2 m delta max_i P[v - i <= W <= v - 1] / i."""
    guess = binom(guesses, math.exp(epsilon) / (1 + math.exp(epsilon)))
    between = [
        (guess.cdf(correct - 1) - guess.cdf(correct - i - 1)) / i for i in range(1, correct + 1)
    ]
    at_least = 1 - guess.cdf(correct - 1)
    return min(1.0, at_least + 2 * canaries * delta * max(between, default=0.0))


@pytest.mark.parametrize(
    ("canaries", "guesses", "correct", "delta", "expected"),
    [
        (100, 100, 75, 0.0, 0.702),
        (100, 100, 75, 1e-4, 0.699),
        (1000, 100, 75, 1e-4, 0.673),
        (100_000, 1510, 1439, 1e-5, 2.675),
    ],
)
def test_the_examples_of_the_paper(canaries, guesses, correct, delta, expected):
    """As printed there; the last is cut off and not rounded."""
    bound = epsilon_lower(correct, guesses, canaries, delta=delta)
    assert bound == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("canaries", "guesses", "correct"),
    [(129, 128, 80), (60, 40, 40), (300, 30, 16), (50, 20, 3), (40, 12, 0)],
)
@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-2])
def test_it_is_what_the_theorem_says(canaries, guesses, correct, delta):
    for epsilon in (0.0, 0.7, 3.0):
        expected = by_definition(correct, guesses, canaries, epsilon, delta)
        actual = p_value(correct, guesses, canaries, epsilon, delta)
        assert actual == pytest.approx(expected, rel=1e-9, abs=1e-13)
    bound = epsilon_lower(correct, guesses, canaries, delta=delta)
    if bound > 0:
        assert by_definition(correct, guesses, canaries, bound, delta) == pytest.approx(0.05)
    else:
        assert by_definition(correct, guesses, canaries, 0.0, delta) >= 0.05


def test_without_delta_it_is_the_lower_end_of_clopper_and_pearson():
    """All of r right: q = 0.05^(1/r), and 100 guesses show an epsilon of 3.49."""
    assert epsilon_lower(100, 100, 100) == pytest.approx(
        math.log(0.05**0.01 / (1 - 0.05**0.01)), abs=1e-12
    )
    share = beta.ppf(0.05, 90, 11)
    assert epsilon_lower(90, 100, 1000) == pytest.approx(math.log(share / (1 - share)), abs=1e-9)
    assert epsilon_lower(50, 100, 100) == 0.0
    assert epsilon_lower(58, 100, 100) == 0.0  # one-sided p-value 0.067
    assert epsilon_lower(59, 100, 100) > 0.0  # 0.044


def test_more_delta_and_more_canaries_are_a_smaller_bound():
    bounds = [epsilon_lower(90, 100, 1000, delta=delta) for delta in (0.0, 1e-6, 1e-5, 1e-4)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[-1]
    assert epsilon_lower(90, 100, 10_000, delta=1e-5) < epsilon_lower(90, 100, 1000, delta=1e-5)


@pytest.mark.parametrize("truth", [0.0, 1.0])
@pytest.mark.parametrize("canaries", [30, 130, 1000])
def test_randomized_response_is_refuted_in_at_most_one_of_twenty(truth, canaries):
    """Every guess right with e^eps / (1 + e^eps), which is what eps-DP allows at most."""
    rate = math.exp(truth) / (1 + math.exp(truth))
    bounds = np.array([epsilon_lower(v, canaries, canaries) for v in range(canaries + 1)])
    refuted = binom.pmf(np.arange(canaries + 1), canaries, rate)[bounds > truth].sum()
    # Exact, no simulation; how far it is below 5 % is what a whole number of guesses leaves.
    assert 0.02 < refuted <= 0.05


def test_scores_that_know_nothing_refute_in_at_most_one_of_twenty():
    """Of four tests together, with a share of guesses that abstains."""
    generator = torch.Generator().manual_seed(0)
    found = 0
    for _ in range(400):
        scores = torch.randn(60, generator=generator)
        included = torch.rand(60, generator=generator) < 0.5
        found += one_run_bound(scores, included, shares=(0.25, 1.0), two_sided=True).epsilon > 0
    assert found <= 30  # binomial: 20 expected at most, standard deviation 4.4


def scored(inside, outside):
    scores = torch.tensor([*inside, *outside])
    return scores, torch.arange(len(scores)) < len(inside)


def test_few_sure_guesses_find_what_many_miss():
    """Ten extreme canaries a side among 200 that say nothing."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(180, generator=generator)
    scores = torch.cat([torch.full((10,), 5.0), torch.full((10,), -5.0), noise])
    coins = torch.rand(180, generator=generator) < 0.5
    included = torch.cat([torch.arange(20) < 10, coins])
    few = one_run_bound(scores, included, shares=(0.1,))
    assert (few.guesses, few.correct) == (20, 20)
    assert few.epsilon == pytest.approx(epsilon_lower(20, 20, 200))
    many = one_run_bound(scores, included, shares=(1.0,))
    both = one_run_bound(scores, included, shares=(0.1, 1.0))
    assert many.epsilon < both.epsilon < few.epsilon
    assert (both.tests, both.guesses) == (2, 20)
    assert both.epsilon == pytest.approx(epsilon_lower(20, 20, 200, tail=0.025))


def test_a_model_that_overdid_it_is_found_by_the_opposite_guesses():
    scores, included = scored([-1.0] * 20, [1.0] * 20)
    assert one_run_bound(scores, included).epsilon == 0.0
    bound = one_run_bound(scores, included, two_sided=True)
    assert (bound.inverted, bound.correct, bound.guesses, bound.tests) == (True, 40, 40, 2)
    assert bound.epsilon == bound.largest == pytest.approx(epsilon_lower(40, 40, 40, tail=0.025))


def test_an_odd_canary_is_left_out_and_ties_go_by_position():
    scores, included = scored([2.0, 1.5, 0.3], [0.2, -1.0])
    bound = one_run_bound(scores, included)
    assert (bound.guesses, bound.correct) == (4, 4)
    # The later of equal scores are guessed to be in: here the two that were out.
    bound = one_run_bound(*scored([0.0, 0.0], [0.0, 0.0]))
    assert (bound.guesses, bound.correct, bound.epsilon) == (4, 0, 0.0)
