"""Two runs or two methods side by side: what was set differently, and what came of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.conditions import NOT_A_CAUSE
from multirun_analysis.read.frame import MetricMeaning, NamedRuns, Results, named_runs
from multirun_analysis.statistics import compare_to_baseline, one_metric, to_cost
from multirun_analysis.tables.aggregation import check_metrics, main_metrics

if TYPE_CHECKING:
    import pandas as pd

    from multirun_analysis.statistics import JudgedDirection

PAIR = ("seed_split", "seed_train")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric of both, in one block.

    Args:
        block: Where both ran; for two runs of different blocks, both.
        metric: Its name.
        meaning: Its meaning.
        a: Mean of the first, NaN without a value.
        b: Mean of the second.
        difference: Mean over pairs of the first minus the second.
        half_width: Half of its interval, NaN for single runs.
        pairs: Pairs of runs with the same seeds that both have a value.
        p: Two-sided p of the exact signed-rank test on costs, NaN without one.
        smallest_p: The smallest that so many pairs can give.
        better: ``a`` or ``b``; of methods only if the interval of the costs excludes zero; empty
            if neither, or if the metric is not judged.
    """

    block: str
    metric: str
    meaning: MetricMeaning
    a: float
    b: float
    difference: float
    half_width: float
    pairs: int
    p: float
    smallest_p: float
    better: str


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """A comparison.

    Args:
        a: Name of the first.
        b: Name of the second.
        are_runs: Whether they are single runs.
        settings: Settings that differ, with the value of each; empty text for none.
        differences: By block and metric.
    """

    a: str
    b: str
    are_runs: bool
    settings: Mapping[str, tuple[str, str]]
    differences: Sequence[Difference]


def side_by_side(
    results: Results, a: str, b: str, metrics: Sequence[str] | None = None
) -> SideBySide:
    """Compare two runs, or two methods over the seeds and blocks that both ran on.

    Args:
        results: What was loaded.
        a: Id, beginning of an id or name of a run; or a method.
        b: The other, of the same kind.
        metrics: Names; by default those of a leaderboard.

    Raises:
        AnalysisError: If a name fits nothing or too much, or they cannot be compared.
    """
    first, second = named_runs(results, a), named_runs(results, b)
    if first.is_run != second.is_run:
        run, method = (first, second) if first.is_run else (second, first)
        raise AnalysisError(f"{run.name!r} is a run and {method.name!r} a method; name two alike")
    if first.runs == second.runs:
        raise AnalysisError(f"both names mean {first.name!r}")
    chosen = main_metrics(results) if metrics is None else list(metrics)
    check_metrics(results, chosen)
    judge = _of_runs if first.is_run else _of_methods
    return SideBySide(
        a=first.name,
        b=second.name,
        are_runs=first.is_run,
        settings=_settings(results, first, second),
        differences=judge(results, first, second, chosen),
    )


def _settings(results: Results, first: NamedRuns, second: NamedRuns) -> dict[str, tuple[str, str]]:
    """Return the settings that both have one value of, each its own, or that one of them lacks."""
    left, right = (_constant(results, runs) for runs in (first, second))
    keys = [*left, *(key for key in right if key not in left)]
    causes = (key for key in keys if key.partition(".")[0] not in NOT_A_CAUSE)
    pairs = {key: (left.get(key, ""), right.get(key, "")) for key in causes}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _constant(results: Results, named: NamedRuns) -> dict[str, str]:
    """Return the settings that all its runs share."""
    configurations = [params for run in named.runs if (params := results.params.get(run))]
    if not configurations:
        return {}
    return {
        k: v
        for k, v in configurations[0].items()
        if all(params.get(k) == v for params in configurations)
    }


def _of_runs(
    results: Results, first: NamedRuns, second: NamedRuns, metrics: Sequence[str]
) -> list[Difference]:
    differences = []
    for metric in metrics:
        meaning = results.schema[metric]
        wide = one_metric(results.runs, results.values, metric).set_index("run_id")
        rows = wide.loc[[first.runs[0], second.runs[0]]]
        a, b = (float(value) for value in rows["unlearned"])
        differences.append(
            Difference(
                block=" | ".join(dict.fromkeys(rows["block"])),
                metric=metric,
                meaning=meaning,
                a=a,
                b=b,
                difference=a - b,
                half_width=math.nan,
                pairs=int(not math.isnan(a - b)),
                p=math.nan,
                smallest_p=math.nan,
                better=_lower(*_costs(rows, meaning)),
            )
        )
    return differences


def _of_methods(
    results: Results, first: NamedRuns, second: NamedRuns, metrics: Sequence[str]
) -> list[Difference]:
    runs = results.runs[results.runs["run_id"].isin([*first.runs, *second.runs])]
    counts = runs.groupby("block", sort=False)["method"].nunique()
    blocks = [str(block) for block, methods in counts.items() if methods > 1]
    if not blocks:
        raise AnalysisError(
            f"{first.name!r} and {second.name!r} share no data set, model and split"
        )
    differences = []
    for metric in metrics:
        wide = one_metric(runs, results.values, metric)
        for block in blocks:
            in_block = wide[wide["block"] == block]
            meaning = results.schema[metric]
            differences.append(
                _of_block(in_block, block, metric, meaning, (first.name, second.name))
            )
    return differences


def _of_block(
    wide: "pd.DataFrame", block: str, metric: str, meaning: MetricMeaning, names: tuple[str, str]
) -> Difference:
    sides = [wide[wide["method"] == name] for name in names]
    paired = partial(compare_to_baseline, wide, baseline=names[1], on=PAIR)
    # min takes values as they are, so these are plain differences
    (raw,) = paired(direction="min")
    p = smallest = math.nan
    better = ""
    if meaning.direction != "info":
        (judged,) = paired(direction=meaning.direction, ideal=meaning.ideal)
        p, smallest = judged.p_wilcoxon, judged.smallest_p
        interval = judged.difference
        better = "a" if interval.high < 0 else "b" if interval.low > 0 else ""
    return Difference(
        block=block,
        metric=metric,
        meaning=meaning,
        a=float(sides[0]["unlearned"].mean()),
        b=float(sides[1]["unlearned"].mean()),
        difference=raw.difference.mean,
        half_width=raw.difference.half_width,
        pairs=raw.difference.n_ok,
        p=p,
        smallest_p=smallest,
        better=better,
    )


def _costs(rows: "pd.DataFrame", meaning: MetricMeaning) -> tuple[float, float]:
    if meaning.direction == "info":
        return math.nan, math.nan
    direction: JudgedDirection = meaning.direction
    costs = to_cost(rows["unlearned"], direction, gold=rows["gold"], ideal=meaning.ideal)
    return float(costs[0]), float(costs[1])


def _lower(a: float, b: float) -> str:
    return "a" if a < b else "b" if b < a else ""
