"""How well one decision rule tells two groups of models apart on a sample, as an epsilon.

The rules are those of the NeurIPS 2023 unlearning challenge, enumerated exactly: only the
values that occur can change what a rule decides.
"""

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from erasure.evaluation.statistics.estimates import upper_rates

DELTA = 1e-5
"""Probability with which the guarantee may be broken."""

CAP = 50.0
"""Epsilon of groups that a rule separates without an error."""

BUFFER = 2.0
"""How far an interval may be wider or narrower than the smaller range, and beyond the data."""

CONSTANT = 0.01
"""Share of the larger range below which the smaller one counts as a single value."""

PAIRS = 800_000
"""Pairs of values looked at at once; they should fit the cache of a processor."""


@dataclass(frozen=True)
class Rules:
    """The best rule of each sample: one group is inside an interval, the other outside.

    Args:
        epsilon: What it achieves, ``(n,)`` float64 in [0, 50].
        low: Lower end, ``(n,)``; may be infinite.
        high: Upper end, ``(n,)``; may be infinite.
        members_inside: Whether it is the members that are inside, ``(n,)`` bool.
    """

    epsilon: Tensor
    low: Tensor
    high: Tensor
    members_inside: Tensor


def best_rules(members: Tensor, nonmembers: Tensor, *, confidence: float | None = None) -> Rules:
    """Return the rule that tells two groups of models apart best, for each sample.

    Either a threshold, with the group of the larger median above it, or an interval, with the
    group of the smaller range inside, within 2 as wide as that range, and ending within 2 of the
    data. A rule with errors of one kind only is not trusted; one without any error gives 50, and
    so does a range of less than 1 % of the other. If no rule is left epsilon is 0.

    Args:
        members: Margins under models that saw and unlearned a sample, models by samples,
            ``(N, n)`` float64.
        nonmembers: Margins under models that never saw it, ``(N, n)``.
        confidence: Level of the Clopper-Pearson interval whose upper ends are taken for the
            rates of errors, so that epsilon is a lower bound; None takes the rates themselves.

    References:
        E. Triantafillou et al., "Are we making progress in unlearning? Findings from the first
        NeurIPS unlearning competition", 2024, arXiv:2406.09073.
    """
    # Samples by models from here on: searchsorted works along the last dimension.
    members, nonmembers = (
        side.T.contiguous().sort(dim=1).values for side in (members, nonmembers)
    )
    ranked = _ranked_epsilons(members.shape[1], confidence)
    threshold = _thresholds(members, nonmembers, ranked)
    interval = _intervals(members, nonmembers, ranked)
    # Of a tie the threshold is kept.
    rules = _choose(interval.epsilon > threshold.epsilon, interval, threshold)
    rules = replace(rules, epsilon=rules.epsilon.clamp(min=0.0))  # -inf is a rule not trusted
    return _separate_constant_side(rules, members, nonmembers)


def epsilon_of(fpr: Tensor, fnr: Tensor) -> Tensor:
    """Return the epsilon that rates of errors show, elementwise; ``-inf`` for untrusted rules.

    ``max(log(1 - delta - fpr) - log fnr, log(1 - delta - fnr) - log fpr)``, at most 50.
    """
    # Log 0 is -inf: no error of a kind gives an infinite bound, which the cap makes finite.
    forward = (1 - DELTA - fpr).clamp(min=0).log() - fnr.log()
    backward = (1 - DELTA - fnr).clamp(min=0).log() - fpr.log()
    epsilon = torch.maximum(forward, backward).nan_to_num(0.0, posinf=CAP).clamp(0.0, CAP)
    epsilon = torch.where((fpr == 0) ^ (fnr == 0), -torch.inf, epsilon)
    return torch.where((fpr == 0) & (fnr == 0), CAP, epsilon)


class _RankedEpsilons(NamedTuple):
    """The epsilons that can occur, sorted, and which of them a pair of error counts gives.

    N models per side make (N + 1)^2 pairs of counts; entry ``alarms * (N + 1) + misses`` of
    ``rank_of`` (int32) is the index in ``epsilons`` (float64). Ranks stand in for epsilons in the
    search: comparing integers is exact, and no logarithm is taken there.
    """

    epsilons: Tensor
    rank_of: Tensor


@lru_cache(maxsize=8)
def _ranked_epsilons(models: int, confidence: float | None) -> _RankedEpsilons:
    counts = torch.arange(models + 1, dtype=torch.float64)
    rates = counts / models
    # Here, because upper ends depend on the counts alone: (N + 1) of them, not one per rule.
    if confidence is not None:
        rates = upper_rates(counts, models, confidence)
    of_counts = epsilon_of(rates[:, None], rates[None, :]).flatten()
    epsilons, rank_of = of_counts.unique(return_inverse=True)
    return _RankedEpsilons(epsilons, rank_of.int())


def _thresholds(members: Tensor, nonmembers: Tensor, ranked: _RankedEpsilons) -> Rules:
    """Return the best "at least this" of each sample, of sorted values ``(n, N)``."""
    models = members.shape[1]
    members_above = _median(members) > _median(nonmembers)
    above, below = _oriented(members, nonmembers, members_above)
    values = torch.cat([members, nonmembers], dim=1).sort(dim=1).values
    alarms = models - torch.searchsorted(below, values)
    misses = torch.searchsorted(above, values)
    rank, best = _lookup(ranked.rank_of, alarms * (models + 1) + misses).max(dim=1)
    low = _between(values).gather(1, best.unsqueeze(1)).squeeze(1)
    return Rules(ranked.epsilons[rank], low, torch.full_like(low, torch.inf), members_above)


def _intervals(members: Tensor, nonmembers: Tensor, ranked: _RankedEpsilons) -> Rules:
    """Return the best interval of each sample, of sorted values ``(n, N)``.

    In the 2N sorted values v of both groups, an interval that holds exactly v_i to v_j can be as
    narrow as v_j - v_i and as wide as v_{j+1} - v_{i-1}, so j is in one range for each i.
    """
    models = members.shape[1]
    members_inside = _range(members) <= _range(nonmembers)
    inner, outer = _oriented(members, nonmembers, members_inside)
    values = torch.cat([members, nonmembers], dim=1).sort(dim=1).values
    width = _range(inner).unsqueeze(1)
    before = torch.cat([values[:, :1], values[:, :-1]], dim=1)
    after = torch.cat([values[:, 1:], values[:, -1:] + BUFFER], dim=1)
    first = torch.searchsorted(after, before + width - BUFFER)
    first = torch.maximum(first, torch.arange(2 * models))
    last = torch.searchsorted(values, values + width + BUFFER, right=True) - 1

    # Alarms and misses of an interval are differences of counts at its two ends.
    started = _error_code(inner, outer, values, models, right=False)
    ended = _error_code(inner, outer, values, models, right=True)
    rank, packed = _search(started, ended, first.int(), last.int(), ranked.rank_of, models)
    i, j = packed // (2 * models), packed % (2 * models)
    # Edge k is below v_k; one more, infinity, is above the last value.
    edges = torch.cat([_between(values), values.new_full((len(values), 1), torch.inf)], dim=1)
    low = edges.gather(1, i.unsqueeze(1)).squeeze(1)
    high = edges.gather(1, j.unsqueeze(1) + 1).squeeze(1)
    return Rules(ranked.epsilons[rank], low, high, members_inside)


def _search(
    started: Tensor, ended: Tensor, first: Tensor, last: Tensor, rank_of: Tensor, models: int
) -> tuple[Tensor, Tensor]:
    """Return the rank of the best interval of each sample, and its ends packed ``i * 2N + j``."""
    samples, size = started.shape
    best = torch.zeros(samples, dtype=torch.int32)
    packed = torch.zeros(samples, dtype=torch.int64)
    # Blocks of samples by i by j: the valid j of neighbouring i overlap, so few are in vain.
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
            # An empty interval misses everything and alarms nobody: it is never trusted. Adding
            # N turns minus the hits into misses.
            errors.masked_fill_(outside, 0).add_(models)
            rank, where = _lookup(rank_of, errors).flatten(1).max(dim=1)
            i, j = top + where // (end - begin), begin + where % (end - begin)
            better = rank > best[some]
            best[some] = torch.where(better, rank, best[some])
            packed[some] = torch.where(better, i * size + j, packed[some])
    return best, packed


def _error_code(
    inner: Tensor, outer: Tensor, values: Tensor, models: int, *, right: bool
) -> Tensor:
    """Return ``alarms * (N + 1) - hits`` up to each value, ``(n, 2N)`` int32.

    Both counts in one integer: a difference of two codes is the code of the values in between,
    and half as much memory is read.
    """
    alarms = torch.searchsorted(outer, values, right=right, out_int32=True)
    hits = torch.searchsorted(inner, values, right=right, out_int32=True)
    return alarms * (models + 1) - hits


def _separate_constant_side(rules: Rules, members: Tensor, nonmembers: Tensor) -> Rules:
    """Decide samples on which one side is (almost) constant and the other is not.

    Where the range of one side ``(n, N)`` is below ``CONSTANT`` times that of the other, "equal to
    that constant" is a perfect test. A threshold cannot express it, so the rule becomes an
    interval around the constant and epsilon its cap.
    """
    ranges = torch.stack([_range(members), _range(nonmembers)])
    narrow, wide = ranges.amin(dim=0), ranges.amax(dim=0)
    # wide > 0: two equal constants tell nothing apart
    is_constant = (wide > 0) & (narrow < CONSTANT * wide)
    members_inside = ranges[0] < ranges[1]
    inner, _ = _oriented(members, nonmembers, members_inside)
    margin = CONSTANT * wide / 2
    low, high = inner[:, 0] - margin, inner[:, -1] + margin
    certain = Rules(torch.full_like(rules.epsilon, CAP), low, high, members_inside)
    return _choose(is_constant, certain, rules)


def _choose(first: Tensor, rules: Rules, others: Rules) -> Rules:
    """Return ``rules`` for the samples of the mask ``first`` (n,), ``others`` for the rest."""
    pairs = ((getattr(rules, f.name), getattr(others, f.name)) for f in fields(Rules))
    return Rules(*(torch.where(first, *pair) for pair in pairs))


def _lookup(rank_of: Tensor, codes: Tensor) -> Tensor:
    # index_select takes int32 as it is; rank_of[codes] would widen the codes to int64 first.
    return rank_of.index_select(0, codes.reshape(-1).int()).view(codes.shape)


def _oriented(members: Tensor, nonmembers: Tensor, members_first: Tensor) -> tuple[Tensor, Tensor]:
    mask = members_first.unsqueeze(1)
    return torch.where(mask, members, nonmembers), torch.where(mask, nonmembers, members)


def _between(values: Tensor) -> Tensor:
    """Return a threshold below each of the sorted values ``(n, k)`` and above the one before."""
    lowest = values.new_full((len(values), 1), -torch.inf)
    return torch.cat([lowest, (values[:, 1:] + values[:, :-1]) / 2], dim=1)


def _median(ranked: Tensor) -> Tensor:
    size = ranked.shape[1]
    return (ranked[:, (size - 1) // 2] + ranked[:, size // 2]) / 2


def _range(ranked: Tensor) -> Tensor:
    return ranked[:, -1] - ranked[:, 0]
