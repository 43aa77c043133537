"""A server or database that cannot be used is found out at once, and nothing is created."""

import os
import socket
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import urllib3.util.connection

from erasure.core.errors import ConfigError, TrackingError
from erasure.results.mlflow import reachable
from erasure.results.mlflow.tracker import MLflowTracker


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def server():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.codes.get(self.path, 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as running:
        running.codes = {}
        running.uri = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/health", "/behind/a/proxy/health"])
def test_a_server_that_answers_is_fine(server, path):
    server.codes[path] = 200
    MLflowTracker(uri=server.uri + path.removesuffix("/health") + "/").check()


def test_a_server_that_wants_a_password_is_there(server):
    server.codes["/health"] = 401
    MLflowTracker(uri=server.uri).check()


def test_something_else_than_mlflow_is_refused(server):
    with pytest.raises(ConfigError, match=r"^uri must be .* 404.*is this an MLflow server"):
        MLflowTracker(uri=server.uri).check()


@pytest.fixture
def attempts(monkeypatch):
    """Addresses that were connected to, by MLflow or by the check before it."""
    addresses = []
    for module in (urllib3.util.connection, socket):

        def connect(address, *rest, _connect=module.create_connection, **settings):
            addresses.append(address)
            return _connect(address, *rest, **settings)

        monkeypatch.setattr(module, "create_connection", connect)
    return addresses


def test_a_server_that_is_down_is_refused_at_once(closed_port, attempts):
    uri = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(ConfigError, match=f"^uri must be a server .*{uri}/health.*tracking=none"):
        MLflowTracker(uri=uri).check()
    assert attempts == [("127.0.0.1", closed_port)]


def test_a_server_that_hangs_is_refused(monkeypatch):
    monkeypatch.setattr(reachable, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConfigError, match=r"^uri must be .*timed out"):
            MLflowTracker(uri=uri).check()


def test_writing_to_a_server_that_is_down_is_tried_twice(closed_port, trial, attempts):
    """MLflow alone tries eight times, with pauses that add up to minutes."""
    with pytest.raises(TrackingError):
        MLflowTracker(uri=f"http://127.0.0.1:{closed_port}").start(trial)
    assert attempts == 2 * [("127.0.0.1", closed_port)]


def test_a_password_is_refused_and_not_shown():
    with pytest.raises(ConfigError, match=r"^uri must not contain a password") as caught:
        MLflowTracker(uri="http://me:secret@host:5000").check()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "mlruns",
        "file:///tmp/mlruns",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://host/db",
    ],
)
def test_other_addresses_are_refused_with_what_is_allowed(uri):
    with pytest.raises(ConfigError, match=r"^uri must be sqlite:///path/to/file.db, http://"):
        MLflowTracker(uri=uri).check()


def test_a_new_database_is_fine_and_not_created(tmp_path):
    MLflowTracker(uri=f"sqlite:///{tmp_path}/a/b/mlflow.db").check()
    assert list(tmp_path.iterdir()) == []


def test_the_database_of_a_sweep_is_fine(tracker):
    tracker.check()


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^uri must name .*file is a file"):
        MLflowTracker(uri=f"sqlite:///{tmp_path}/file/mlruns/mlflow.db").check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match=r"^uri must name .*Permission denied"):
        MLflowTracker(uri=f"sqlite:///{tmp_path}/locked/mlflow.db").check()


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(ConfigError, match=r"^uri must name .*is not a file"):
        MLflowTracker(uri=f"sqlite:///{tmp_path}").check()


@pytest.mark.parametrize("name", ["a.db?timeout=3", "a%41b/a.db"])
def test_what_mlflow_cannot_open_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"^uri must name .*path with \? or % in it"):
        MLflowTracker(uri=f"sqlite:///{tmp_path}/{name}").check()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match=r"^uri must name .*not a database"):
        MLflowTracker(uri=f"sqlite:///{path}").check()


def test_a_database_of_something_else_is_refused(tmp_path):
    path = tmp_path / "optuna.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE studies (id INTEGER)")
    with pytest.raises(ConfigError, match=r"^uri must name .*something else"):
        MLflowTracker(uri=f"sqlite:///{path}").check()
