"""An MLflow server on this machine that a test can switch off and on again."""

import os
import subprocess
import sys
from pathlib import Path

DISK = ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_ARTIFACT_ROOT")


class SwitchedServer:
    """Serve a database of MLflow at an address that stays the same.

    The server is a process of its own, because MLflow warns of much that tests treat as errors,
    and a small one: ``mlflow server`` itself takes hundreds of megabytes.

    Args:
        folder: Where the database and the artifacts are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "server.db"

    def on(self) -> None:
        """Start it and return when it accepts connections."""
        values = (f"sqlite:///{self.database}", str(self.folder / "served"))
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.port)],
            env={**os.environ, **dict(zip(DISK, values, strict=True))},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def off(self) -> None:
        """End it: connections are refused from now on."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def serve(port: int) -> None:
    """Serve until the process is killed; the port that 0 became is the only line it prints."""
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", port, app, threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
