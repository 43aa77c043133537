"""Average ranks of methods over blocks, and which of them can be told apart."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from multirun_analysis.statistics.values import (
    Floats,
    JudgedDirection,
    average,
    require,
    require_share,
    snap,
    to_cost,
)

if TYPE_CHECKING:
    import pandas as pd

ENOUGH_BLOCKS = 10
GOLD = "gold"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Ranks of methods within blocks, and everything a critical-difference diagram shows.

    A refused test has NaN numbers and says why; the average ranks are there if one block is.

    Args:
        average_ranks: By method, best (lowest) first; ties share their rank.
        ranks: Blocks x methods, the blocks that have all methods.
        cells: One row per block and method that was ranked: mean ``cost`` over seeds, ``n_ok``
            of ``n`` runs.
        dropped: Blocks that lack a method, with the methods they lack.
        shown: Where gold and the methods that are not ranked stand on the same axis: half a
            rank beyond the methods that are better, averaged over blocks.
        statistic: Friedman's chi-squared, corrected for ties.
        p: Its p-value.
        critical_difference: Smallest difference of average ranks that Nemenyi's test rejects.
        nemenyi: Methods x methods, p-values of Nemenyi's test.
        cliques: Groups of methods that cannot be told apart, none within another; those with
            one method are left out. All methods if Friedman's test does not reject.
        alpha: Level of significance.
        n_ok: Runs with a cost, of the methods that were ranked.
        n: Runs there should be.
        reason: Why nothing was tested; empty if it was.
    """

    average_ranks: "pd.Series"
    ranks: "pd.DataFrame"
    cells: "pd.DataFrame"
    dropped: Mapping[str, Sequence[str]]
    shown: Mapping[str, float]
    statistic: float = np.nan
    p: float = np.nan
    critical_difference: float = np.nan
    nemenyi: "pd.DataFrame | None" = None
    cliques: Sequence[Sequence[str]] = field(default_factory=tuple)
    alpha: float
    n_ok: int
    n: int
    reason: str = ""

    @property
    def few_blocks(self) -> bool:
        """Whether there are fewer than 10 blocks, too few for the tests to say much."""
        return len(self.ranks) < ENOUGH_BLOCKS

    @property
    def rejects(self) -> bool:
        """Whether Friedman's test finds any difference; only then look at pairs."""
        return bool(self.p <= self.alpha)


def rank_methods(
    frame: "pd.DataFrame",
    *,
    direction: JudgedDirection,
    method: str = "method",
    block: str = "block",
    value: str = "unlearned",
    gold: str = GOLD,
    ideal: float | None = None,
    unranked: Collection[str] = (),
    alpha: float = 0.05,
) -> Ranking:
    """Rank methods by their cost within blocks, seeds averaged first.

    Seeds are repetitions, not data sets, so a block counts once however many seeds it has.
    For ``closer_to_gold`` the cost of a run is its distance from its own gold model. A block
    that lacks a method is left out and named.

    Args:
        frame: One row per run of one metric.
        direction: Which way the metric is better.
        method: Column of the methods.
        block: Column of the blocks: data set, architecture and forget set.
        value: Column of the values.
        gold: Column of the gold values; shown if it is there, needed for ``closer_to_gold``.
        ideal: The perfect value, of ``closer_to_gold`` where gold has none.
        unranked: Methods that are shown and not ranked, such as retraining.
        alpha: Level of significance, in (0, 1).

    Raises:
        ValueError: If a column is missing or an argument is out of range.

    References:
        J. Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 2006.
    """
    import pandas as pd

    require_share("alpha", alpha)
    near_gold = direction == "closer_to_gold"
    require(frame, [method, block, value, *([gold] if near_gold else [])])
    golds = frame[gold] if gold in frame.columns else None
    costs = to_cost(frame[value], direction, gold=golds, ideal=ideal)
    costed = frame[[block, method]].assign(cost=costs)
    aside = costed[method].isin(list(unranked))
    unranked_costs = costed[aside]
    if golds is not None:
        gold_costs = to_cost(golds, direction, gold=golds, ideal=ideal)
        unranked_costs = pd.concat(
            [unranked_costs, frame[[block]].assign(**{method: GOLD, "cost": gold_costs})]
        )
    ranking = _ranked(costed[~aside], unranked_costs, (block, method), alpha)
    return ranking if ranking.reason else _tested(ranking)


def critical_difference(methods: int, blocks: int, alpha: float = 0.05) -> float:
    """Return the critical difference of Nemenyi's test for average ranks.

    ``CD = q sqrt(k (k + 1) / (6 N))`` with the studentized range over the square root of 2;
    scikit-posthocs has the p-values of the pairs and not this distance.

    Raises:
        ValueError: If there are fewer than 2 methods, no block, or ``alpha`` is out of range.
    """
    from scipy import stats

    require_share("alpha", alpha)
    if methods < 2:
        raise ValueError(f"methods must be at least 2, got {methods}")
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, got {blocks}")
    # infinitely many degrees of freedom: the variance of ranks is known, not estimated
    q = float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / 2**0.5
    return float(q * (methods * (methods + 1) / (6 * blocks)) ** 0.5)


def cliques(average_ranks: "pd.Series", difference: float) -> tuple[tuple[str, ...], ...]:
    """Return the largest groups of methods whose average ranks differ by less than this.

    Args:
        average_ranks: By method, ascending.
        difference: The critical difference.
    """
    values = average_ranks.to_numpy(dtype=np.float64)
    # left: a distance of exactly the critical difference tells two methods apart
    ends = np.searchsorted(values, values + difference, side="left")
    # a group that ends where the one before it ends lies within that one
    starts = [i for i in range(len(values)) if i == 0 or ends[i] > ends[i - 1]]
    names = [str(name) for name in average_ranks.index]
    return tuple(tuple(names[i : ends[i]]) for i in starts if ends[i] - i > 1)


def _ranked(
    costed: "pd.DataFrame", unranked_costs: "pd.DataFrame", keys: tuple[str, str], alpha: float
) -> Ranking:
    block, method = keys
    cells = _mean_costs(costed, block, method)
    table = cells.pivot(index=block, columns=method, values="cost")
    complete = table.dropna()
    # costs are snapped, so methods that differ by rounding share a rank
    ranks = complete.rank(axis=1)
    aside = _mean_costs(unranked_costs, block, method).pivot(
        index=block, columns=method, values="cost"
    )
    return Ranking(
        average_ranks=ranks.mean().sort_values(kind="stable"),
        ranks=ranks,
        cells=cells,
        dropped=_dropped(table),
        shown=_positions(complete, aside),
        alpha=alpha,
        n_ok=int(cells["n_ok"].sum()),
        n=int(cells["n"].sum()),
        reason=_refusal(table, ranks),
    )


def _mean_costs(frame: "pd.DataFrame", block: str, method: str) -> "pd.DataFrame":
    cells = average(frame, [block, method], "cost")
    costs = cells["cost"].to_numpy()
    return cells.assign(cost=snap(costs, costs))


def _dropped(table: "pd.DataFrame") -> dict[str, list[str]]:
    absent = table.isna()
    return {
        str(name): [str(m) for m in table.columns[row.to_numpy()]]
        for name, row in absent[absent.any(axis=1)].iterrows()
    }


def _positions(complete: "pd.DataFrame", unranked_costs: "pd.DataFrame") -> dict[str, float]:
    """Average, over the blocks ranked, the place of each other method among the ranked ones."""
    costs = complete.to_numpy(dtype=np.float64)
    positions = {}
    for name in unranked_costs.columns:
        method_costs: Floats = (
            unranked_costs[name].reindex(complete.index).to_numpy(dtype=np.float64)
        )
        measured = np.isfinite(method_costs)
        if not measured.any():
            continue
        better = (costs[measured] < method_costs[measured, None]).sum(axis=1)
        equal = (costs[measured] == method_costs[measured, None]).sum(axis=1)
        # half a rank beyond those that are better; a tie counts half
        positions[str(name)] = float(np.mean(0.5 + better + 0.5 * equal))
    return positions


def _refusal(table: "pd.DataFrame", ranks: "pd.DataFrame") -> str:
    methods, blocks = ranks.shape[1], ranks.shape[0]
    if methods < 3:
        return f"ranks of {methods} methods have no test; compare pairs instead"
    if blocks < 2:
        lacking = table.isna().sum().sort_values(ascending=False, kind="stable")
        worst = ", ".join(f"{name} lacks {count}" for name, count in lacking.items() if count)
        message = f"a test of ranks needs 2 blocks with all {methods} methods, got {blocks}"
        return f"{message} of {len(table)}" + (f" ({worst})" if worst else "")
    # Friedman's correction for ties would divide 0 by 0
    if (ranks.to_numpy() == (methods + 1) / 2).all():
        return "all methods are equal in every block"
    return ""


def _tested(ranking: Ranking) -> Ranking:
    import scikit_posthocs
    from scipy import stats

    columns = [ranking.ranks[name].to_numpy() for name in ranking.ranks.columns]
    statistic, p = stats.friedmanchisquare(*columns)
    difference = critical_difference(len(columns), len(ranking.ranks), ranking.alpha)
    # Nemenyi's table in the order of the ranks, as the diagram shows them
    order = list(ranking.average_ranks.index)
    groups = cliques(ranking.average_ranks, difference)
    return replace(
        ranking,
        statistic=float(statistic),
        p=float(p),
        critical_difference=difference,
        nemenyi=scikit_posthocs.posthoc_nemenyi_friedman(ranking.ranks[order]),
        cliques=groups if p <= ranking.alpha else (tuple(map(str, order)),),
    )
