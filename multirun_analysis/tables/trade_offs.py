"""Forgetting, utility and time of every method: who is beaten by nobody, and by how much."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multirun_analysis.read.frame import Results
from multirun_analysis.statistics import (
    FrontObjective,
    Hypervolume,
    hypervolume,
    interval_table,
    one_metric,
    pareto_front,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

FORGETTING = ("forget/accuracy", "mia/loss/auc")
"""Metrics whose distance from gold says how well a method forgot."""

DIVERGENCE = "forget/js_to_gold"
"""A metric that is such a distance itself, in nats, at most log 2."""

RETAINED, HELDOUT = "retain/accuracy", ("test/accuracy", "val/accuracy")
TIME = "cost/share_of_retraining"
WORST = 1.0
"""Coordinates of the reference point: all wrong and as slow as retraining; never another one."""

KEYS = ["block", "method", "reference"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TradeOffs:
    """The objectives of every method, less is better.

    Args:
        table: One row per block and method: ``block``, ``method``, ``reference``; per objective
            such as ``forgetting`` its mean over seeds, ``forgetting_low`` and
            ``forgetting_high`` the ends of its interval; ``front`` (on the front of all
            objectives), ``front_utility`` and ``front_time`` (on that of forgetting and this
            one), ``alone`` (hypervolume of the method by itself) and ``adds`` (what would be
            missing without it). Yardsticks are on no front and add nothing.
        meanings: What each objective is made of, by name; those nobody measured are left out.
        volumes: Hypervolume of all methods together by block, with the reference point 1 in
            every objective.
    """

    table: "pd.DataFrame"
    meanings: Mapping[str, str]
    volumes: Mapping[str, Hypervolume]


def trade_offs(results: Results, *, level: float = 0.95) -> TradeOffs:
    """Return the objectives of all methods, averaged over seeds.

    Forgetting is the mean distance from gold of forget accuracy, of the loss attack, and of the
    predictions on the forget set; utility is what is lost of gold's accuracy on retain and
    held-out data, where gains do not count; time is the share of retraining. Without a gold
    model the first two are the distance of the attack from chance, and the mean error.

    Args:
        results: What was loaded.
        level: Confidence of the intervals, in (0, 1).
    """
    runs = results.runs[["run_id", *KEYS, "seed_train"]].copy()
    gold = results.has_gold
    parts_of = {
        "forgetting": _forgetting(results) if gold else _exposure(results),
        "utility": _losses(results, gold=gold),
        "time": {TIME: _wide(results, TIME)["unlearned"].to_numpy(dtype=np.float64)},
    }
    prefixes = {
        "forgetting": "mean distance from gold of" if gold else "distance from chance of",
        "utility": "mean loss, compared with gold, of" if gold else "mean error,",
        "time": "unlearning time over retraining time,",
    }
    meanings = {}
    for name, parts in parts_of.items():
        measured = {metric: part for metric, part in parts.items() if np.isfinite(part).any()}
        if measured:
            # a run that lacks one of them has no value, rather than a mean of fewer
            runs[name] = np.mean(list(measured.values()), axis=0)
            meanings[name] = f"{prefixes[name]} {', '.join(measured)}"
    table = runs[KEYS].drop_duplicates(ignore_index=True)
    for name in meanings:
        table = table.merge(_intervals(runs, name, level), on=KEYS)
    return _with_fronts(table, meanings)


def _wide(results: Results, metric: str) -> "pd.DataFrame":
    return one_metric(results.runs, results.values, metric)


def _forgetting(results: Results) -> dict[str, Floats]:
    parts = {}
    for metric in FORGETTING:
        wide = _wide(results, metric)
        parts[metric] = np.abs(wide["unlearned"] - wide["gold"]).to_numpy(dtype=np.float64)
    divergence = _wide(results, DIVERGENCE)["unlearned"].to_numpy(dtype=np.float64)
    return {**parts, DIVERGENCE: divergence / math.log(2.0)}


def _exposure(results: Results) -> dict[str, Floats]:
    attack = _wide(results, FORGETTING[1])["unlearned"]
    # 0.5 is chance, and an attack below it tells as much as one above
    return {FORGETTING[1]: np.abs(attack.to_numpy(dtype=np.float64) - 0.5)}


def _losses(results: Results, *, gold: bool) -> dict[str, Floats]:
    parts = {}
    test, val = (_shortfall(results, metric, gold=gold) for metric in HELDOUT)
    parts[RETAINED] = _shortfall(results, RETAINED, gold=gold)
    name = HELDOUT[0] if np.isfinite(test).any() else HELDOUT[1]
    parts[name] = np.where(np.isfinite(test), test, val)
    return parts


def _shortfall(results: Results, metric: str, *, gold: bool) -> Floats:
    """Return what is lost of an accuracy; to be better than gold is no merit and no fault."""
    wide = _wide(results, metric)
    target = wide["gold"].to_numpy(dtype=np.float64) if gold else 1.0
    shortfall: Floats = target - wide["unlearned"].to_numpy(dtype=np.float64)
    return np.maximum(0.0, shortfall)


def _intervals(runs: "pd.DataFrame", name: str, level: float) -> "pd.DataFrame":
    intervals = interval_table(runs, by=KEYS, value=name, cluster="seed_train", level=level)
    names = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
    return intervals.rename(columns=names)[[*KEYS, *names.values()]]


def _with_fronts(table: "pd.DataFrame", meanings: Mapping[str, str]) -> TradeOffs:
    import pandas as pd

    names = list(meanings)
    volumes, parts = {}, []
    for block, group in table.groupby("block", sort=False):
        judged = group[~group["reference"]]
        fronts = {"front": names} | {
            f"front_{axis}": ["forgetting", axis]
            for axis in names
            if axis != "forgetting" and "forgetting" in names
        }
        columns = {
            column: _front(judged, axes).reindex(group.index, fill_value=False)
            for column, axes in fronts.items()
        }
        part = group.assign(**columns)
        if len(names) > 1:
            volumes[str(block)] = _volume(judged, names)
            part["alone"] = [_volume(part.loc[[i]], names).value for i in part.index]
            part["adds"] = _additions(judged, names).reindex(group.index)
        parts.append(part)
    joined = pd.concat(parts, ignore_index=True) if parts else table
    return TradeOffs(table=joined, meanings=meanings, volumes=volumes)


def _front(judged: "pd.DataFrame", names: Sequence[str]) -> "pd.Series":
    objectives = [FrontObjective(column=name, direction="min") for name in names]
    # without objectives nobody is on a front; of those judged none is a yardstick, all False
    return pareto_front(judged, objectives).on_front if objectives else judged["reference"]


def _volume(rows: "pd.DataFrame", names: Sequence[str]) -> Hypervolume:
    objectives = [FrontObjective(column=name, direction="min") for name in names]
    return hypervolume(rows, objectives, [WORST] * len(names))


def _additions(judged: "pd.DataFrame", names: Sequence[str]) -> "pd.Series":
    """Return what is lost of the volume of a block when a method is left out.

    Only a method on the front can be missed.
    """
    import pandas as pd

    front = judged[_front(judged, names)]
    volume = _volume(front, names).value
    losses = {i: volume - _volume(front.drop(index=i), names).value for i in front.index}
    # nothing is left without the only one, and nothing has no volume
    additions = dict.fromkeys(front.index, volume) if len(front) == 1 else losses
    return pd.Series({i: additions.get(i, 0.0) for i in judged.index}, dtype=np.float64)
