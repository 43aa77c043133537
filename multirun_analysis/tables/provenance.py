"""What every table has to say besides its numbers."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from erasure.schema import without_password
from multirun_analysis.read.frame import Results

if TYPE_CHECKING:
    import pandas as pd

PLACES = ("_target_", "_partial_", "base.", "cache", "root")


def provenance_of(results: Results) -> dict[str, str]:
    """Return the provenance of results by name, for a reader.

    Number of seeds of each kind, what was forgotten, how many gold models there are, sizes of
    the attacked sets, hardware, source, and what the trials were ranked by.
    """
    runs = results.runs
    finished = runs[runs["outcome"] == "finished"]
    golds = finished.loc[finished["store_gold"] != "", "store_gold"].nunique()
    ranked = ", ".join(f"{name} ({way})" for name, way in results.objective.items())
    entries = {
        "runs": _outcomes(runs),
        "seeds": _seeds(finished),
        "forget set": _joined(_forget(results, run) for run in finished["run_id"]),
        "samples": _sizes(results),
        "held-out part": _joined(
            results.params[run].get("evaluator.heldout", "") for run in finished["run_id"]
        ),
        "gold models": str(golds) if golds else "none",
        "hardware": _joined(finished["hardware"]),
        "commit": _joined(commit[:12] for commit in finished["commit"]),
        "ranked by": ranked,
        "tracked at": without_password(results.uri),
    }
    return {name: text for name, text in entries.items() if text}


def _outcomes(runs: "pd.DataFrame") -> str:
    counts = runs["outcome"].value_counts()
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def _seeds(finished: "pd.DataFrame") -> str:
    kinds = ("split", "train", "unlearn", "evaluate")
    counts = {kind: finished[f"seed_{kind}"].nunique() for kind in kinds}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _forget(results: Results, run_id: str) -> str:
    """Return the selection rule of a run: the settings of its split, without its base."""
    params = results.params[run_id]
    rule = params.get("split._target_", "").rpartition(".")[2]
    settings = {
        key.removeprefix("split."): value
        for key, value in params.items()
        if key.startswith("split.") and value not in ("None", "")
    }
    options = [f"{key}={value}" for key, value in settings.items() if not key.startswith(PLACES)]
    return f"{rule} ({', '.join(options)})" if options else rule


def _sizes(results: Results) -> str:
    """Return how many samples the metrics look at, where the files say so."""
    values = results.values
    sized = values[(values["role"] == "unlearned") & values["n"].notna()]
    forget = sized.loc[sized["metric"] == "forget/accuracy", "n"]
    attacks = sized["metric"].str.startswith("mia/") & sized["metric"].str.endswith("/auc")
    counted = {"forgotten": forget, "attacked, with those never seen": sized.loc[attacks, "n"]}
    return "; ".join(f"{name} {_range(sizes)}" for name, sizes in counted.items() if len(sizes))


def _range(sizes: "pd.Series") -> str:
    low, high = int(sizes.min()), int(sizes.max())
    return str(low) if low == high else f"{low} to {high}"


def _joined(texts: Iterable[str], most: int = 4) -> str:
    distinct: Sequence[str] = [text for text in dict.fromkeys(texts) if text]
    more = f"; and {len(distinct) - most} more" if len(distinct) > most else ""
    return "; ".join(distinct[:most]) + more
