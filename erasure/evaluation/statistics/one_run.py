"""A lower bound on epsilon from one run: how many coins an attacker guesses right."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from torch import Tensor

from erasure.evaluation.statistics.estimates import LEVEL


class OneRunBound(NamedTuple):
    """What one run shows.

    Args:
        epsilon: Lower bound on epsilon, at least 0.
        guesses: Guesses of the test that gives it.
        correct: How many of them are right.
        inverted: Whether it takes low scores for canaries that were in.
        tests: Number of tests, the largest of whose bounds it is.
        largest: What it would be had every guess of every test been right.
    """

    epsilon: float
    guesses: int
    correct: int
    inverted: bool
    tests: int
    largest: float


def one_run_bound(
    scores: Tensor,
    included: Tensor,
    *,
    shares: Sequence[float] = (1.0,),
    two_sided: bool = False,
    delta: float = 0.0,
) -> OneRunBound:
    """Return the lower bound on epsilon from guessing which canaries were included.

    The k highest scores are guessed to be in and the k lowest out, with no guess about those
    between. There is one test for each share, with k half of that share of the canaries; and with
    ``two_sided`` another one with the opposite guesses. Of J tests each has the confidence
    1 - 0.05 / J, so that the largest of their bounds holds with 95 % (Bonferroni). The shares must
    not be chosen by looking at ``included``.

    Args:
        scores: ``(m,)``, higher for canaries that rather were in. Ties are broken by position,
            so the order of canaries must not depend on ``included``.
        included: Which canaries were in, ``(m,)`` bool, by independent fair coins.
        shares: Shares of the canaries about which to guess, in (0, 1].
        two_sided: Whether also to guess the opposite.
        delta: Delta of the guarantee that is refuted.
    """
    canaries = len(scores)
    ranked = included[scores.argsort(stable=True)]
    sizes = [max(1, int(share * canaries / 2)) for share in shares]
    tests = list(product(sizes, (False, True) if two_sided else (False,)))
    tail = (1 - LEVEL) / len(tests)
    bounds, largest = [], 0.0
    for size, inverted in tests:
        guesses = 2 * size
        correct = int(ranked[-size:].sum()) + int((~ranked[:size]).sum())
        correct = guesses - correct if inverted else correct
        epsilon = epsilon_lower(correct, guesses, canaries, delta=delta, tail=tail)
        bounds.append((epsilon, guesses, correct, inverted))
        largest = max(largest, epsilon_lower(guesses, guesses, canaries, delta=delta, tail=tail))
    # of equal bounds, which are all 0, the test with the most right guesses is reported
    best = max(bounds, key=lambda bound: (bound[0], bound[2] / bound[1]))
    return OneRunBound(*best, tests=len(tests), largest=largest)


def epsilon_lower(
    correct: int, guesses: int, canaries: int, *, delta: float = 0.0, tail: float = 1 - LEVEL
) -> float:
    """Return the smallest epsilon that so many right guesses do not refute, at least 0.

    Args:
        correct: Right guesses.
        guesses: Guesses.
        canaries: Canaries, with those about which nothing was guessed.
        delta: Delta of the guarantee.
        tail: One minus the confidence.

    References:
        T. Steinke, M. Nasr, M. Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS
        2023, arXiv:2305.08846.
    """
    from scipy.optimize import brentq
    from scipy.special import betaincinv, logit

    if correct == 0 or p_value(correct, guesses, canaries, 0.0, delta) >= tail:
        return 0.0
    # With delta 0 it is the lower end of a Clopper-Pearson interval, as an epsilon.
    pure = float(logit(betaincinv(correct, guesses - correct + 1, tail)))
    if delta == 0 or p_value(correct, guesses, canaries, pure, delta) <= tail:
        return pure

    def excess(epsilon: float) -> float:
        return p_value(correct, guesses, canaries, epsilon, delta) - tail

    # The p-value rises with epsilon, and with delta: the root is below the one without delta.
    return float(brentq(excess, 0.0, pure))


def p_value(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Return the highest probability of so many right guesses under (epsilon, delta).

    Without delta every guess is right with a probability of at most ``e^epsilon / (1 +
    e^epsilon)``, whatever the others are, so that their number W is binomial at most. Delta adds
    ``2 m delta max_i P[v - i <= W < v] / i`` for v right guesses and m canaries.

    Args:
        correct: Right guesses.
        guesses: Guesses.
        canaries: Canaries, with those about which nothing was guessed.
        epsilon: Epsilon of the guarantee.
        delta: Delta of the guarantee.
    """
    from scipy.special import expit
    from scipy.stats import binom

    rate = expit(epsilon)
    tail = float(binom.sf(correct - 1, guesses, rate))
    if delta == 0 or correct == 0:
        return tail
    steps = np.arange(1, correct + 1)
    masses = binom.pmf(correct - steps, guesses, rate).cumsum()
    return min(1.0, tail + 2 * canaries * delta * float((masses / steps).max()))
