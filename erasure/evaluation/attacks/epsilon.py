"""How well one decision rule tells two pools of models apart on a sample, as an epsilon.

The rules are those of the NeurIPS 2023 unlearning challenge, enumerated exactly: only the
values that occur can change what a rule decides.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

DELTA = 1e-5
"""Probability with which the guarantee may be broken."""

CAP = 50.0
"""Epsilon of pools that a rule separates without an error."""

BUFFER = 2.0
"""How far an interval may be wider or narrower than the smaller range, and beyond the data."""

PEAKED = 0.01
"""Share of the larger range below which the smaller one gives its pool away."""

PAIRS = 800_000
"""Pairs of values looked at at once; they should fit the cache of a processor."""


@dataclass(frozen=True)
class Rules:
    """The best rule of each sample: one pool is inside an interval, the other outside.

    Args:
        epsilon: What it achieves, ``(n,)`` float64 in [0, 50].
        low: Lower end, ``(n,)``; may be infinite.
        high: Upper end, ``(n,)``; may be infinite.
        ours_inside: Whether it is our pool that is inside, ``(n,)`` bool.
    """

    epsilon: Tensor
    low: Tensor
    high: Tensor
    ours_inside: Tensor


def best_rules(ours: Tensor, theirs: Tensor, *, confidence: float | None = None) -> Rules:
    """Return the rule that tells two pools apart best, for each sample.

    Either a threshold, with the pool of the larger median above it, or an interval, with the
    pool of the smaller range inside, within 2 as wide as that range, and ending within 2 of the
    data. A rule with errors of one kind only is not trusted; one without any error gives 50, and
    so does a range of less than 1 % of the other. If no rule is left epsilon is 0.

    Args:
        ours: Margins, models by samples, ``(N, n)`` float64.
        theirs: Margins of the other pool, ``(N, n)``.
        confidence: Level of the Clopper-Pearson interval whose upper ends are taken for the
            rates of errors, so that epsilon is a lower bound; None takes the rates themselves.

    References:
        E. Triantafillou et al., "Are we making progress in unlearning? Findings from the first
        NeurIPS unlearning competition", 2024, arXiv:2406.09073.
    """
    left, right = (side.T.contiguous().sort(dim=1).values for side in (ours, theirs))
    values, rank = _ranked(len(ours), confidence)
    single = _thresholds(left, right, rank)
    pair = _intervals(left, right, rank)
    better = pair.best > single.best
    best = torch.where(better, pair.best, single.best)
    found = Rules(
        values[best.long()].clamp(min=0.0),
        torch.where(better, pair.low, single.low),
        torch.where(better, pair.high, single.high),
        torch.where(better, pair.ours_inside, single.ours_inside),
    )
    return _peaked(found, left, right)


def epsilon_of(fpr: Tensor, fnr: Tensor) -> Tensor:
    """Return the epsilon that rates of errors show, elementwise; ``-inf`` for untrusted rules.

    ``max(log(1 - delta - fpr) - log fnr, log(1 - delta - fnr) - log fpr)``, at most 50.
    """
    forward = (1 - DELTA - fpr).clamp(min=0).log() - fnr.log()
    backward = (1 - DELTA - fnr).clamp(min=0).log() - fpr.log()
    found = torch.maximum(forward, backward).nan_to_num(0.0, posinf=CAP).clamp(0.0, CAP)
    found = torch.where((fpr == 0) ^ (fnr == 0), -torch.inf, found)
    return torch.where((fpr == 0) & (fnr == 0), CAP, found)


@dataclass(frozen=True)
class _Found:
    best: Tensor
    low: Tensor
    high: Tensor
    ours_inside: Tensor


@lru_cache(maxsize=8)
def _ranked(models: int, confidence: float | None) -> tuple[Tensor, Tensor]:
    """Return the sorted epsilons that can occur, and the place of each pair of error counts.

    Places ``((models + 1)^2,)`` int32 stand in for epsilons in the search, which is exact and
    quick; entry ``fp * (models + 1) + fn``.
    """
    counts = torch.arange(models + 1, dtype=torch.float64)
    rates = counts / models
    if confidence is not None:
        rates = upper_rates(counts, models, confidence)
    found = epsilon_of(rates[:, None], rates[None, :])
    values, rank = found.flatten().unique(return_inverse=True)
    return values, rank.int()


def upper_rates(counts: Tensor, n: int, confidence: float) -> Tensor:
    """Return the upper ends of Clopper-Pearson intervals of ``counts`` (k,) of ``n``."""
    from scipy.special import betaincinv

    tail = (1 + confidence) / 2
    ends = betaincinv(counts.numpy() + 1, (n - counts).clamp(min=1e-9).numpy(), tail)
    return torch.where(counts < n, torch.as_tensor(ends, dtype=torch.float64), 1.0)


def _thresholds(ours: Tensor, theirs: Tensor, rank: Tensor) -> _Found:
    """Return the best "at least this" of each sample, of sorted values ``(n, N)``."""
    models = ours.shape[1]
    ours_above = _median(ours) > _median(theirs)
    above, below = _oriented(ours, theirs, ours_above)
    values = torch.cat([ours, theirs], dim=1).sort(dim=1).values
    alarms = models - torch.searchsorted(below, values)
    misses = torch.searchsorted(above, values)
    best, where = _at(rank, alarms * (models + 1) + misses).max(dim=1)
    low = _between(values).gather(1, where.unsqueeze(1)).squeeze(1)
    return _Found(best, low, torch.full_like(low, torch.inf), ours_above)


def _intervals(ours: Tensor, theirs: Tensor, rank: Tensor) -> _Found:
    """Return the best interval of each sample, of sorted values ``(n, N)``.

    In the sorted values v of both pools, an interval that holds exactly v_i to v_j can be as
    narrow as v_j - v_i and as wide as v_{j+1} - v_{i-1}, so j is in one range for each i.
    """
    models = ours.shape[1]
    ours_inside = _range(ours) <= _range(theirs)
    inner, outer = _oriented(ours, theirs, ours_inside)
    values = torch.cat([ours, theirs], dim=1).sort(dim=1).values
    width = _range(inner).unsqueeze(1)
    before = torch.cat([values[:, :1], values[:, :-1]], dim=1)
    after = torch.cat([values[:, 1:], values[:, -1:] + BUFFER], dim=1)
    first = torch.searchsorted(after, before + width - BUFFER)
    first = torch.maximum(first, torch.arange(2 * models))
    last = torch.searchsorted(values, values + width + BUFFER, right=True) - 1

    # Alarms and misses of an interval are differences of counts at its two ends.
    started = _code(inner, outer, values, models, right=False)
    ended = _code(inner, outer, values, models, right=True)
    best, place = _search(started, ended, first.int(), last.int(), rank, models)
    i, j = place // (2 * models), place % (2 * models)
    edges = torch.cat([_between(values), values.new_full((len(values), 1), torch.inf)], dim=1)
    low = edges.gather(1, i.unsqueeze(1)).squeeze(1)
    high = edges.gather(1, j.unsqueeze(1) + 1).squeeze(1)
    return _Found(best, low, high, ours_inside)


def _search(
    started: Tensor, ended: Tensor, first: Tensor, last: Tensor, rank: Tensor, models: int
) -> tuple[Tensor, Tensor]:
    """Return the best of all intervals of each sample, and its place ``i * 2N + j``."""
    samples, size = started.shape
    best = torch.zeros(samples, dtype=torch.int32)
    place = torch.zeros(samples, dtype=torch.int64)
    rows = max(1, min(size, size // 8))
    chunk = max(1, PAIRS // (rows * size))
    columns = torch.arange(size, dtype=torch.int32)
    for some in torch.arange(samples).split(chunk):
        for top in range(0, size, rows):
            block = slice(top, min(top + rows, size))
            low, high = first[some, block], last[some, block]
            begin, end = int(low.min()), int(high.max()) + 1
            if begin >= end:
                continue
            errors = ended[some, None, begin:end] - started[some, block, None]
            inside = columns[begin:end]
            outside = (inside < low.unsqueeze(-1)) | (inside > high.unsqueeze(-1))
            # An empty interval misses everything and alarms nobody: it is never trusted.
            errors.masked_fill_(outside, 0).add_(models)
            found, where = _at(rank, errors).flatten(1).max(dim=1)
            i, j = top + where // (end - begin), begin + where % (end - begin)
            better = found > best[some]
            best[some] = torch.where(better, found, best[some])
            place[some] = torch.where(better, i * size + j, place[some])
    return best, place


def _code(inner: Tensor, outer: Tensor, values: Tensor, models: int, *, right: bool) -> Tensor:
    """Return ``alarms * (N + 1) - hits`` up to each value, ``(n, 2N)`` int32."""
    alarms = torch.searchsorted(outer, values, right=right, out_int32=True)
    hits = torch.searchsorted(inner, values, right=right, out_int32=True)
    return alarms * (models + 1) - hits


def _peaked(found: Rules, ours: Tensor, theirs: Tensor) -> Rules:
    """Let a pool whose values are nearly one value be told by that."""
    ranges = torch.stack([_range(ours), _range(theirs)])
    small, large = ranges.amin(dim=0), ranges.amax(dim=0)
    peaked = (large > 0) & (small < PEAKED * large)
    ours_inside = ranges[0] < ranges[1]
    inner = _oriented(ours, theirs, ours_inside)[0]
    margin = PEAKED * large / 2
    return Rules(
        torch.where(peaked, CAP, found.epsilon),
        torch.where(peaked, inner[:, 0] - margin, found.low),
        torch.where(peaked, inner[:, -1] + margin, found.high),
        torch.where(peaked, ours_inside, found.ours_inside),
    )


def _at(rank: Tensor, places: Tensor) -> Tensor:
    return rank.index_select(0, places.reshape(-1).int()).view(places.shape)


def _oriented(ours: Tensor, theirs: Tensor, ours_first: Tensor) -> tuple[Tensor, Tensor]:
    mask = ours_first.unsqueeze(1)
    return torch.where(mask, ours, theirs), torch.where(mask, theirs, ours)


def _between(values: Tensor) -> Tensor:
    """Return a threshold below each of the sorted values ``(n, k)`` and above the one before."""
    first = values.new_full((len(values), 1), -torch.inf)
    return torch.cat([first, (values[:, 1:] + values[:, :-1]) / 2], dim=1)


def _median(ranked: Tensor) -> Tensor:
    size = ranked.shape[1]
    return (ranked[:, (size - 1) // 2] + ranked[:, size // 2]) / 2


def _range(ranked: Tensor) -> Tensor:
    return ranked[:, -1] - ranked[:, 0]
