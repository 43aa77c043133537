"""Guards around every test, and small data that several packages test with."""

import copy
import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets  # noqa: F401  # its first import draws from the global generator of Python
import torch
from hypothesis import HealthCheck, settings
from patience import HANGS

from erasure.data.pools.tensor import TensorPool

pytest_plugins = ["contexts", "stub_app"]
REPOSITORY = Path(__file__).parents[1]
SET_BY_LIBRARIES = ("PYTEST_", "KMP_", "TORCHINDUCTOR_", "_MLFLOW_", "RDBASE")
"""What pytest notes about the running test, and libraries when they are first imported."""

settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")


def pytest_configure():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def global_generators_untouched():
    """Fail a test that draws from, or seeds, a global random generator."""
    before = _generator_states()
    yield
    after = _generator_states()
    changed = [name for name in before if after[name] != before[name]]
    if changed:
        _restore(before)
    assert not changed, f"the global generator of {', '.join(changed)} was used"


@pytest.fixture(autouse=True)
def environment_unchanged():
    """Fail a test that leaves an environment variable set, changed or deleted."""
    before = dict(os.environ)
    yield
    after = dict(os.environ)
    if before == after:
        return
    names = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
    names = [name for name in names if not name.startswith(SET_BY_LIBRARIES)]
    for name in names:
        os.environ.pop(name, None)
        os.environ.update({name: before[name]} if name in before else {})
    assert not names, f"environment variables were left changed: {names}"


@pytest.fixture(autouse=True)
def one_thread():
    """Give every test one thread, whatever the one before it set."""
    yield
    torch.set_num_threads(1)


@pytest.fixture
def python():
    """Run Python code in a process of its own and return the finished process."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=REPOSITORY,
            env=child_environment(**environment),
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )

    return run


@pytest.fixture
def start_python():
    """Start Python processes that are killed, if they still run, when the test ends."""
    started = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=REPOSITORY,
            env=child_environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def compose_config():
    """Compose ``conf/config.yaml``, or another file, with overrides as on the command line."""

    def composed(*overrides, name="config", hydra=False):
        return copy.deepcopy(_composed(overrides, name, hydra))

    return composed


@pytest.fixture
def make_pool():
    """Build a pool of float rows ``[id, id, id]`` with the given labels."""

    def make(labels, num_classes=None, **fields):
        targets = torch.as_tensor(labels)
        inputs = torch.arange(len(targets)).float().unsqueeze(-1).repeat(1, 3)
        classes = num_classes or int(targets.max()) + 1
        names = tuple(f"class {i}" for i in range(classes))
        return TensorPool(**{"inputs": inputs, "targets": targets, "class_names": names} | fields)

    return make


@cache
def _composed(overrides, name, hydra):
    from hydra import compose, initialize_config_dir

    from erasure.config.schema import register_schema

    register_schema()
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        return compose(name, list(overrides), return_hydra_config=hydra)


def child_environment(**changes):
    return {**os.environ, "OMP_NUM_THREADS": "1", **changes}


def _generator_states():
    """The states as they are compared, and nothing that takes long: this is read at every test."""
    _name, keys, position, *_ = np.random.get_state(legacy=True)  # noqa: NPY002  # to see who draws
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (keys.tobytes(), position),
        "random": random.getstate(),
    }


def _restore(states):
    torch.set_rng_state(torch.frombuffer(bytearray(states["torch"]), dtype=torch.uint8))
    keys, position = states["numpy"]
    np.random.set_state(("MT19937", np.frombuffer(keys, np.uint32), position))  # noqa: NPY002
    random.setstate(states["random"])
