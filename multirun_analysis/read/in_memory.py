"""From runs that are in memory to tidy tables, as :func:`load` makes them of tracked ones."""

from collections.abc import Mapping, Sequence

from multirun_analysis.read.conditions import TrialSetup
from multirun_analysis.read.frame import Results
from multirun_analysis.read.measurements import collect
from multirun_analysis.read.metrics_file import Entries
from multirun_analysis.read.rows import objectives_of, row_of, run_table, with_labels
from multirun_analysis.read.source import RawRun


def from_runs(runs: Sequence[RawRun], files: Mapping[str, Entries]) -> Results:
    """Return the tables of runs that nobody has to read.

    Args:
        runs: Trials, with the tags and parameters of tracked ones.
        files: By run id what ``metrics.json`` of a finished one says.
    """
    setups = [
        TrialSetup(tags=run.tags, settings=run.params, complete=bool(run.params)) for run in runs
    ]
    records = with_labels([row_of(run) for run in runs], setups)
    outcomes = {record["run_id"]: (record["outcome"], record["reason"]) for record in records}
    measured = collect(runs, files, outcomes)
    objectives = objectives_of(runs)
    return Results(
        runs=run_table(records),
        values=measured.values,
        params={run.run_id: run.params for run in runs},
        schema=measured.schema,
        objective=objectives[0] if len(objectives) == 1 else {},
    )
