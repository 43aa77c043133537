"""Trials and sweeps as runs of an MLflow experiment."""

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from erasure.core.errors import ConfigError
from erasure.results.mlflow import payload
from erasure.results.mlflow.connection import calling, client_of, locked
from erasure.results.mlflow.page import page_link, prepare_experiment
from erasure.results.mlflow.reachable import absolute, check, database
from erasure.results.provenance import host, is_alive, process_tags
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.tracker import RunLostError, Sweep
from erasure.schema import (
    COMMAND_TAG,
    DEFAULT_URI,
    FINGERPRINT_TAG,
    HOST_TAG,
    NEUTRAL_COLOR,
    OUTCOME_TAG,
    PARENT_TAG,
    REASON_TAG,
    SWEEP_TAG,
    color_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DIED = "died"
"""Outcome of a run whose process ended without a word."""


@dataclass(frozen=True)
class MLflowTracker:
    """Show results in MLflow, in a database file or on a server.

    Args:
        uri: ``sqlite:///path/to/file.db`` (a relative path counts from the current directory, at
            construction) or the address of a server.
        experiment: Name of the experiment that holds the runs.
        save_model: Whether the unlearned weights belong to the artifacts of a trial.
        parent: The run of the sweep that this process works for, or empty.
    """

    uri: str = DEFAULT_URI
    experiment: str = "erasure"
    save_model: bool = False
    parent: str = ""

    def __post_init__(self) -> None:
        if not self.experiment.strip():
            raise ConfigError(f"experiment must be a name, got {self.experiment!r}")
        object.__setattr__(self, "uri", absolute(str(self.uri)))  # frozen: set once, here

    def check(self) -> None:
        """Find out within seconds, changing nothing, whether results can be shown later.

        Raises:
            ConfigError: If not; the message starts with ``uri``.
        """
        check(self.uri)

    def prepare(self) -> None:
        """Create database, experiment and page, once, whoever comes first.

        Raises:
            ConfigError: If the experiment was deleted.
            TrackingError: If the database or server refuses.
        """
        self._open()

    def start(self, trial: TrialRecord, parent: str = "", started: float = 0.0) -> str:
        """Open a run for ``trial`` below ``parent`` and return its id."""
        tags = {
            **trial.tags,
            **process_tags(),
            FINGERPRINT_TAG: trial.fingerprint,
            "mlflow.runColor": color_of(trial.tags.get("unlearner", "")),
            **({PARENT_TAG: parent} if parent else {}),
        }
        return self._create(trial.name, tags, started)

    def find(self, result: TrialResult) -> str:
        """Return the run that waits for ``result`` or holds it already, or an empty string."""
        # None: opened and never closed. A run that failed or finished belongs to that attempt
        unfinished = {None, DIED}
        for run in self._search({FINGERPRINT_TAG: result.trial.fingerprint}):
            same = run.data.tags.get("erasure.started") == str(result.started)
            if same or run.data.tags.get(OUTCOME_TAG) in unfinished:
                return str(run.info.run_id)
        return ""

    def finish(self, run: str, result: TrialResult, artifacts: Path) -> None:
        """Write ``result`` and the files below ``artifacts`` to ``run`` and close it."""
        with calling(self.uri):
            client = self._client()
            opened = client.get_run(run)
            if opened.info.lifecycle_stage != "active":
                raise RunLostError(f"run {run} at {self.uri} was deleted")
            client.log_batch(
                run,
                metrics=payload.metrics_of(result),
                params=payload.params_of(result.trial.params),
                tags=payload.tags_of(_outcome(result, opened.data.tags)),
            )
            if artifacts.is_dir():
                client.log_artifacts(run, str(artifacts))
            if result.traceback:
                client.log_text(run, result.traceback, "traceback.txt")
            status = {"finished": "FINISHED", "pruned": "KILLED"}.get(result.outcome, "FAILED")
            # clocks differ between machines, but no run may end before it began
            ended = max(payload.milliseconds(result.ended), opened.info.start_time)
            client.set_terminated(run, status, end_time=ended)

    def has(self, run: str) -> bool:
        """Tell whether ``run`` exists in this experiment, is not deleted and finished."""
        if not run or self._is_missing():
            return False
        try:
            with calling(self.uri):
                client = self._client()
                info = client.get_run(run).info
                experiment = client.get_experiment_by_name(self.experiment)
        except RunLostError:
            return False
        in_experiment = experiment is not None and info.experiment_id == experiment.experiment_id
        return bool(
            in_experiment and info.lifecycle_stage == "active" and info.status == "FINISHED"
        )

    def reap(self, is_running: Callable[[str], bool]) -> int:
        """Close the runs that dead processes of this machine left open.

        A trial is dead when nobody holds its fingerprint and the process that opened its run is
        gone; either alone is not proof, since two stores can share a database.
        """
        open_runs = self._search({HOST_TAG: host()}, "attributes.status = 'RUNNING'")
        dead = [run for run in open_runs if not _lives(run, is_running)]
        return sum(self._bury(run.info.run_id) for run in dead)

    def start_sweep(self, sweep: Sweep) -> str:
        """Open the run of a sweep, the earlier one if there is one, and return its id."""
        earlier = next(iter(self._search({SWEEP_TAG: sweep.fingerprint})), None)
        tags = {
            **process_tags(),
            **sweep.tags,
            SWEEP_TAG: sweep.fingerprint,
            COMMAND_TAG: sweep.command,
            "mlflow.runColor": NEUTRAL_COLOR,
            "mlflow.note.content": sweep.description,
        }
        run = str(earlier.info.run_id) if earlier else self._create(sweep.name, tags, 0.0)
        with calling(self.uri):
            client = self._client()
            # parameters of a run cannot be changed, and those of the same sweep are the same
            params = [] if earlier else payload.params_of(sweep.overrides)
            client.log_batch(run, params=params, tags=payload.tags_of(tags))
            client.log_metric(run, "sweep/trials", sweep.total)
            # the run of an earlier attempt was closed, and goes on
            client.update_run(run, status="RUNNING", name=sweep.name)
        return run

    def finish_sweep(self, run: str, summary_markdown: str, artifacts: Path, failed: int) -> None:
        """Close the run of a sweep: FAILED if a trial has no result, like the exit code."""
        with calling(self.uri):
            client = self._client()
            client.log_metric(run, "sweep/failed", failed)
            client.log_batch(run, tags=payload.tags_of({"mlflow.note.content": summary_markdown}))
            client.log_text(run, summary_markdown, "summary.md")
            if artifacts.is_dir():
                client.log_artifacts(run, str(artifacts))
            client.set_terminated(run, "FAILED" if failed else "FINISHED")

    def address(self) -> str:
        """Return the command that serves a database, or the link to a server."""
        if database(self.uri) is None:
            return self.page()
        return f"mlflow ui --backend-store-uri {shlex.quote(self.uri)}"

    def page(self) -> str:
        """Return the link to the leaderboard; a database is served by :meth:`address` first."""
        _, experiment = self._open()
        server = "http://127.0.0.1:5000" if database(self.uri) else self.uri.rstrip("/")
        return page_link(server, experiment)

    def _is_missing(self) -> bool:
        path = database(self.uri)
        return path is not None and not path.exists()

    def _client(self) -> "MlflowClient":
        with locked(self.uri):
            return client_of(self.uri)

    def _open(self) -> tuple["MlflowClient", str]:
        """Return a client and the id of the experiment, prepared."""
        with calling(self.uri), locked(self.uri):
            client = client_of(self.uri)
            path = database(self.uri)
            artifact_uri = (
                "" if path is None else (path.parent / "artifacts" / self.experiment).as_uri()
            )
            return client, prepare_experiment(client, self.experiment, artifact_uri)

    def _create(self, name: str, tags: Mapping[str, str], started: float) -> str:
        client, experiment = self._open()
        with calling(self.uri):
            run = client.create_run(
                experiment,
                start_time=payload.milliseconds(started or time.time()),
                tags=payload.legal_tags(tags),
                run_name=name,
            )
        return str(run.info.run_id)

    def _search(self, tags: Mapping[str, str], *conditions: str) -> Iterator["Run"]:
        """Yield the runs that are not deleted and carry ``tags``, the latest first."""
        if self._is_missing():
            return
        # values are fingerprints and names of machines, which hold no quotes
        conditions_on_tags = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
        client, experiment = self._open()
        token = None
        while True:
            with calling(self.uri):
                page = client.search_runs(
                    [experiment],
                    filter_string=" and ".join([*conditions, *conditions_on_tags]),
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
            yield from page
            token = page.token
            if not token:
                return

    def _bury(self, run: str) -> bool:
        """Close a run as failed unless it was closed since we looked."""
        with calling(self.uri):
            client = self._client()
            if client.get_run(run).info.status != "RUNNING":
                return False
            tags = {OUTCOME_TAG: DIED, REASON_TAG: "the process died"}
            client.log_batch(run, tags=payload.tags_of(tags))
            client.set_terminated(run, "FAILED")
        return True


def _lives(run: "Run", is_running: Callable[[str], bool]) -> bool:
    fingerprint = run.data.tags.get(FINGERPRINT_TAG)
    return is_alive(run.data.tags) or (fingerprint is not None and is_running(fingerprint))


def _outcome(result: TrialResult, before: Mapping[str, str]) -> dict[str, str]:
    explained = bool(result.reason) or REASON_TAG in before
    return {
        **result.trial.tags,  # by now they name the models that were used
        OUTCOME_TAG: result.outcome,
        "erasure.started": str(result.started),
        **({REASON_TAG: result.reason} if explained else {}),
    }
