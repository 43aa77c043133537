"""One prepared database per session, copied for each test: creating one takes seconds."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from erasure.results.mlflow.tracker import MLflowTracker
from erasure.results.record import TrialRecord, TrialResult


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory):
    path = tmp_path_factory.mktemp("blank") / "mlflow.db"
    MLflowTracker(uri=f"sqlite:///{path}", experiment="template").prepare()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def tracker(blank_database, tmp_path):
    (tmp_path / "mlruns").mkdir()
    shutil.copy(blank_database, tmp_path / "mlruns" / "mlflow.db")
    return MLflowTracker(uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db")


@pytest.fixture
def client(tracker):
    from erasure.results.mlflow.connection import calling, client_of

    with calling(tracker.uri):
        return client_of(tracker.uri)


@pytest.fixture
def trial():
    return TrialRecord(
        name="scrub · digits · mlp · seed 0",
        fingerprint="0" * 31 + "1",
        params={"unlearner.alpha": "0.5", "seed": "0"},
        tags={"unlearner": "scrub", "dataset": "digits", "seed": "0"},
    )


@pytest.fixture
def result(trial):
    return TrialResult(
        trial=trial,
        outcome="finished",
        metrics={"forget/accuracy": 0.25, "gap/avg": 0.125},
        curves={"unlearn/loss": [(0, 2.0), (1, 1.0), (2, 0.5)]},
        seconds={"unlearn": 1.5},
        trained=2,
        started=1_700_000_000.0,
        ended=4_000_000_000.0,
    )


@pytest.fixture
def artifacts(tmp_path):
    folder = tmp_path / "result" / "artifacts"
    (folder / "plots").mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")
    (folder / "plots" / "roc.svg").write_text("<svg/>")
    return folder
