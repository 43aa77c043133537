"""Runs and methods by what people call them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from multirun_analysis.errors import AnalysisError, near
from multirun_analysis.read.frame import Results

SHORTEST_ID = 4


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run, or all runs of a method.

    Args:
        name: For a reader.
        is_run: Whether it is a single run.
        runs: Ids of its runs.
    """

    name: str
    is_run: bool
    runs: Sequence[str]


def find(results: Results, text: str) -> Found:
    """Return what ``text`` names: a run by id, beginning of an id or name, or a method.

    Raises:
        AnalysisError: If it names nothing, or several things.
    """
    runs = results.runs
    by_method = runs[(runs["method"] == text) | (runs["unlearner"] == text)]
    methods = list(by_method["method"].unique())
    if text in methods or len(methods) == 1:
        name = text if text in methods else methods[0]
        return Found(name=name, is_run=False, runs=list(runs[runs["method"] == name]["run_id"]))
    if methods:
        raise AnalysisError(f"{text!r} fits {len(methods)} methods: {', '.join(methods)}")
    begins = (
        runs["run_id"].str.startswith(text) if len(text) >= SHORTEST_ID else runs["name"] == ""
    )
    matching: list[dict[Any, Any]] = runs[begins | (runs["name"] == text)].to_dict("records")
    if len(matching) == 1:
        run = matching[0]
        return Found(name=run["name"], is_run=True, runs=[run["run_id"]])
    if matching:
        ids = ", ".join(run["run_id"][:8] for run in matching[:5])
        raise AnalysisError(f"{text!r} fits {len(matching)} runs: {ids}; give an id")
    hint = near(text, [*runs["method"], *runs["unlearner"], *runs["name"]])
    raise AnalysisError(f"no run and no method is called {text!r}; {hint}")
