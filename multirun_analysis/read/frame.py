"""What was loaded: runs, values and the meaning of metrics, as tidy tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from erasure.schema import SEED_KINDS, Direction
from multirun_analysis.errors import AnalysisError, near

if TYPE_CHECKING:
    import pandas as pd

SEEDS = tuple(f"seed_{kind}" for kind in SEED_KINDS)
"""Columns of the seeds of a run."""

SHORTEST_ID = 4
"""Characters from which on a text may be the beginning of an id."""

BLOCK = ("dataset", "model", "split")


@dataclass(frozen=True, kw_only=True)
class MetricMeaning:
    """The meaning of a metric name, as the runs' ``metrics.json`` have it.

    Args:
        direction: Which way is better; ``closer_to_gold`` has no value that is best by itself
            unless ``ideal`` says one for where gold has none, ``info`` is not judged.
        low: Smallest possible value.
        high: Largest possible value.
        ideal: The value of a perfect unlearner, None if it depends on the gold model.
        description: One sentence.
        unit: Unit of the value, empty for a pure number.
        declared: Whether ``metrics.json`` describes it; if not, it is the last value of a curve
            or a time that the runner noted.
    """

    direction: Direction
    low: float
    high: float
    ideal: float | None
    description: str
    unit: str
    declared: bool = True

    @property
    def has_own_ideal(self) -> bool:
        """Whether a perfect value is known whatever the gold model gives: gold is no yardstick."""
        return self.ideal is not None and self.direction != "closer_to_gold"


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """The run of a sweep, the parent of its trials.

    Args:
        run_id: Its id.
        name: Its name.
        experiment: Name of the experiment that holds it.
        command: The command line that repeats it.
        fingerprint: Hash of what it swept.
        commit: Commit of the source it ran from, empty if unknown.
        started: Unix time of its start.
        artifact_uri: Where its artifacts are.
        overrides: Of each of its trials by fingerprint, as the command line spells them.
    """

    run_id: str
    name: str
    experiment: str
    command: str
    fingerprint: str
    commit: str
    started: float
    artifact_uri: str
    overrides: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that was loaded; nothing is dropped from it silently.

    Args:
        runs: One row per trial, indexed 0..n-1. Columns: ``run_id`` (``not run:`` and the
            fingerprint for a trial that never started), ``name``, ``parent``, ``experiment``,
            ``unlearner``, ``dataset``, ``model``, ``split``, ``trainer``, ``evaluator``,
            ``seed``, ``seed_split``,
            ``seed_train``, ``seed_unlearn``, ``seed_evaluate`` (whole numbers, <NA> if unknown),
            ``outcome`` (``finished``, ``failed``, ``diverged``, ``died``, ``running``,
            ``not run``), ``reason``, ``commit``, ``dirty`` (bool), ``host``, ``device``,
            ``hardware``, ``started`` (Unix time), ``fingerprint``, ``store_original``,
            ``store_gold``, ``artifact_uri``, ``target`` (class of the unlearner), and what
            identifies a row of a table: ``block`` (text: data set, model, split, and swept
            settings of theirs), ``method`` (text: unlearner and swept settings of its own),
            ``condition`` (both) and ``reference`` (bool: the method is retraining or identity).
        values: One row per run, role and metric: ``run_id``, ``role``, ``metric``, ``value``
            (float, NaN exactly when ``status`` is not ``ok``), ``status`` (``ok``,
            ``degenerate``, ``skipped``, ``error``, ``missing``, or the outcome of a run that did
            not finish), ``reason``, ``ci_low``, ``ci_high``, ``n`` (samples it looks at, NaN
            if unknown). Complete: every declared metric of a role has a row for every run,
            whether it was measured or not.
        params: Resolved configuration by run id; dotted keys to text.
        schema: The meaning of every metric, by name without role.
        sweeps: The sweeps the runs belong to, newest first; may be empty.
        objective: What the trials were ranked by, metric to ``minimize`` or ``maximize``; empty
            if they do not agree.
        uri: Where it was loaded from.
        notes: What a reader has to know about how it was loaded.
    """

    runs: "pd.DataFrame"
    values: "pd.DataFrame"
    params: Mapping[str, Mapping[str, str]]
    schema: Mapping[str, MetricMeaning]
    sweeps: Sequence[SweepRun] = ()
    objective: Mapping[str, str] = field(default_factory=dict)
    uri: str = ""
    notes: Sequence[str] = ()

    @property
    def block(self) -> tuple[str, ...]:
        """The columns of :attr:`runs` that identify a block: what ranks are taken within."""
        return (*BLOCK, "block")

    @property
    def condition(self) -> tuple[str, ...]:
        """The columns of :attr:`runs` that identify a condition; its runs differ by seeds."""
        return (*self.block, "unlearner", "method", "condition")

    @property
    def has_gold(self) -> bool:
        """Whether any run measured the gold model."""
        return bool((self.values["role"] == "gold").any())

    def measured(self, metric: str, role: str = "unlearned") -> "pd.DataFrame":
        """Return the rows of one metric and role, joined with the columns of their runs.

        Raises:
            KeyError: If no run has the metric.
        """
        if metric not in self.schema:
            raise KeyError(metric)
        chosen = self.values[(self.values["metric"] == metric) & (self.values["role"] == role)]
        # left: a run without the metric stays, with NaN
        return self.runs.merge(chosen.drop(columns="reason"), on="run_id", how="left")


@dataclass(frozen=True, kw_only=True)
class NamedRuns:
    """A run, or all runs of a method.

    Args:
        name: For a reader.
        is_run: Whether it is a single run.
        runs: Ids of its runs.
    """

    name: str
    is_run: bool
    runs: Sequence[str]


def named_runs(results: Results, text: str) -> NamedRuns:
    """Return what ``text`` names: a run by id, beginning of an id or name, or a method.

    Raises:
        AnalysisError: If it names nothing, or several things.
    """
    runs = results.runs
    # methods first: the name of one is never taken for the beginning of an id
    by_method = runs[(runs["method"] == text) | (runs["unlearner"] == text)]
    methods = list(by_method["method"].unique())
    if text in methods or len(methods) == 1:
        name = text if text in methods else methods[0]
        return NamedRuns(
            name=name, is_run=False, runs=list(runs[runs["method"] == name]["run_id"])
        )
    if methods:
        raise AnalysisError(f"{text!r} fits {len(methods)} methods: {', '.join(methods)}")
    begins = (
        runs["run_id"].str.startswith(text) if len(text) >= SHORTEST_ID else runs["name"] == ""
    )
    matching: list[dict[Any, Any]] = runs[begins | (runs["name"] == text)].to_dict("records")
    if len(matching) == 1:
        run = matching[0]
        return NamedRuns(name=run["name"], is_run=True, runs=[run["run_id"]])
    if matching:
        ids = ", ".join(run["run_id"][:8] for run in matching[:5])
        raise AnalysisError(f"{text!r} fits {len(matching)} runs: {ids}; give an id")
    hint = near(text, [*runs["method"], *runs["unlearner"], *runs["name"]])
    raise AnalysisError(f"no run and no method is called {text!r}; {hint}")
