"""Runs and artifacts through MLflow's client; the one module that imports MLflow."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.source import RawRun, chunks

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # its own 7 retries take minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Defaults for our calls; what the user has set wins."""

LOGGERS = ("mlflow", "alembic", "urllib3")


@dataclass(frozen=True)
class ServerSource:
    """Reads a tracking server, in pages of a thousand runs.

    Args:
        uri: Its address.
    """

    uri: str

    def experiments(self) -> dict[str, str]:
        """Return the names of the experiments by id."""
        names: dict[str, str] = {}
        with _calling(self.uri) as client:
            token = None
            while True:
                page = client.search_experiments(max_results=PAGE, page_token=token)
                names |= {
                    str(experiment.experiment_id): str(experiment.name) for experiment in page
                }
                token = page.token
                if not token:
                    return names

    def search(self, experiments: Iterable[str], tag: str = "", value: str = "") -> list[RawRun]:
        """Return the runs of experiments, with a tag if one is named."""
        # MLflow cannot ask whether a tag exists; every value is like %
        condition = f"tags.`{tag}` = '{value}'" if value else f"tags.`{tag}` LIKE '%'"
        return self._search(experiments, condition if tag else "")

    def fetch(self, experiments: Iterable[str], run_ids: Sequence[str]) -> list[RawRun]:
        """Return the runs of experiments that are among ``run_ids``."""
        runs = list[RawRun]()
        for portion in chunks(run_ids):
            quoted_ids = ", ".join(f"'{run_id}'" for run_id in portion)
            runs += self._search(experiments, f"attributes.run_id IN ({quoted_ids})")
        return runs

    def _search(self, experiments: Iterable[str], condition: str) -> list[RawRun]:
        names = self.experiments()
        experiment_ids = [key for key in experiments if key in names]
        runs = list[RawRun]()
        with _calling(self.uri) as client:
            token = None
            while experiment_ids:
                page = client.search_runs(
                    experiment_ids, condition, max_results=PAGE, page_token=token
                )
                runs += [_raw(run, names[str(run.info.experiment_id)]) for run in page]
                token = page.token
                if not token:
                    break
        return runs


@cache
def download(uri: str, run_id: str, name: str) -> Path | None:
    """Fetch a file of a run, once, into a folder that lives as long as this process.

    Returns:
        Its path, or None if the run has no such file.
    """
    target = Path(_folder().name) / run_id / Path(name).parent
    target.mkdir(parents=True, exist_ok=True)
    with _calling(uri) as client:
        if name not in _listed(client, run_id, str(Path(name).parent)):
            return None
        return Path(client.download_artifacts(run_id, name, str(target)))


def attach(uri: str, run_id: str, folder: Path, artifact_path: str) -> None:
    """Log the files of ``folder`` as artifacts of a run, below ``artifact_path``.

    Raises:
        AnalysisError: If the database or server refuses.
    """
    with _calling(uri) as client:
        client.log_artifacts(run_id, str(folder), artifact_path)


def _raw(run: "Run", experiment: str) -> RawRun:
    return RawRun(
        run_id=str(run.info.run_id),
        name=str(run.info.run_name or ""),
        experiment=experiment,
        status=str(run.info.status),
        started=(run.info.start_time or 0) / 1000,
        ended=(run.info.end_time or 0) / 1000,
        artifact_uri=str(run.info.artifact_uri or ""),
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )


def _listed(client: "MlflowClient", run_id: str, folder: str) -> set[str]:
    return {file.path for file in client.list_artifacts(run_id, "" if folder == "." else folder)}


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    # cached: the folder is removed when the last reference goes, at the end of the process
    return tempfile.TemporaryDirectory(prefix="multirun_analysis_")


@contextmanager
def _calling(uri: str) -> Iterator["MlflowClient"]:
    """Yield a client for a block of calls: quiet, impatient, with errors of one kind."""
    with _environment(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # MLflow's affair, not our users'
        warnings.simplefilter("ignore", FutureWarning)
        from mlflow import MlflowClient

        with _quiet():
            try:
                yield MlflowClient(tracking_uri=uri)
            except Exception as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                message = f"tracking-uri {uri} cannot be used: {lines[0][:300]}"
                raise AnalysisError(message) from error


@contextmanager
def _environment() -> Iterator[None]:
    missing = {key: value for key, value in ENVIRONMENT.items() if key not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for key in missing:
            os.environ.pop(key, None)


@contextmanager
def _quiet() -> Iterator[None]:
    before = {logging.getLogger(name): logging.getLogger(name).level for name in LOGGERS}
    for logger in before:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)
