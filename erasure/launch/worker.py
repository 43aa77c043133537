"""One trial in a process of its own: the child's side of ``hydra/launcher=local``."""

import faulthandler
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker needs to know, in a form that any process can open.

    Args:
        shared: Pickled task function, Hydra context and Hydra's global state.
        config: Pickled configuration of the trial.
        env: Environment variables of its slot.
        log: File for everything the trial prints.
    """

    shared: bytes
    config: bytes
    env: Mapping[str, str]
    log: Path


def pack(task: TaskFunction, context: HydraContext) -> bytes:
    """Pickle what all trials of a sweep share."""
    return bytes(cloudpickle.dumps((task, context, Singleton.get_state())))


def work(job: Job, outbox: Connection) -> None:
    """Run one trial and send back its pickled ``JobReturn`` and its error as text."""
    os.environ.update(job.env)
    # Ctrl-C reaches every process of the terminal; only the parent decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _print_to(job.log)
    faulthandler.enable()
    answer = _run(job.shared, job.config)
    with suppress(BrokenPipeError):  # the parent died; the trial's own records are complete
        outbox.send_bytes(answer)
    outbox.close()


def _print_to(log: Path) -> None:
    """Send standard output and error, C libraries included, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    # the descriptors themselves: CUDA, faulthandler and child processes write past sys.stdout
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _run(shared: bytes, pickled: bytes) -> bytes:
    setup_globals()
    task, context, state = pickle.loads(shared)
    # Hydra's registries, which the parent filled from its plugins and this process has empty
    Singleton.set_state(state)
    config: DictConfig = pickle.loads(pickled)
    HydraConfig.instance().set_config(config)
    returned = run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    return _answer(returned)


def _answer(returned: JobReturn) -> bytes:
    error = _error(returned)
    try:
        answer: bytes = cloudpickle.dumps((returned, error))
        # opened here, where a failure costs one trial: in the parent it would end the sweep
        pickle.loads(answer)
    except Exception:  # noqa: BLE001  # a foreign value may refuse to be pickled in any way
        returned.return_value = RuntimeError(error or "the return value cannot be pickled")
        answer = cloudpickle.dumps((returned, error))
    return answer


def _error(returned: JobReturn) -> str:
    """Write the traceback of a failed trial to its log and return the error in one line."""
    try:
        # the property raises what the trial raised
        _: Any = returned.return_value
    except Exception as error:  # noqa: BLE001  # whatever the trial raised
        traceback.print_exception(error)
        return f"{type(error).__name__}: {error}"
    return ""
