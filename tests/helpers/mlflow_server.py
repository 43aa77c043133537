"""An MLflow server on this machine that a test can switch off and on again."""

import threading
from pathlib import Path

from werkzeug.serving import make_server

DISK = "_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_ARTIFACT_ROOT"


class SwitchedServer:
    """Serve a database of MLflow at an address that stays the same.

    Args:
        folder: Where the database and the artifacts are.
        monkeypatch: Of the test; MLflow takes its settings from the environment.
    """

    def __init__(self, folder: Path, monkeypatch) -> None:
        values = (f"sqlite:///{folder}/server.db", str(folder / "served"))
        for key, value in zip(DISK, values, strict=True):
            monkeypatch.setenv(key, value)
        self.port = 0
        self._server = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self) -> None:
        from mlflow.server import app

        self._server = make_server("127.0.0.1", self.port, app, threaded=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def off(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
