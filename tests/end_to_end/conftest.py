"""Running the program as a user does: in a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import HANGS
from running import ROOT


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    quiet = {"COLUMNS": "120", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **quiet}


@pytest.fixture(scope="session")
def erasure(environment) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "run.py"), *arguments]
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )

    return run
