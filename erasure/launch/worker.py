"""One job in a process of its own: the child's side. It knows nothing of what the job is."""

import faulthandler
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]


def pack(value: object) -> bytes:
    """Pickle what a process is to do, or what it is to do it with, by value where needed."""
    return bytes(cloudpickle.dumps(value))


def work(
    call: bytes, payload: bytes, env: Mapping[str, str], log: Path, outbox: Connection
) -> None:
    """Carry out one job and send back what it returned or raised, and its error as text.

    Args:
        call: Pickled function of one argument.
        payload: Pickled argument.
        env: Environment variables of the slot.
        log: File for everything the job prints.
        outbox: Takes the pickled answer.
    """
    os.environ.update(env)
    # Ctrl-C reaches every process of the terminal; only the parent decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _print_to(log)
    faulthandler.enable()
    answer = _answer(*_carry_out(call, payload))
    with suppress(BrokenPipeError):  # the parent died; the job's own records are complete
        outbox.send_bytes(answer)
    outbox.close()


def _print_to(log: Path) -> None:
    """Send standard output and error, C libraries included, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # the descriptors themselves: CUDA, faulthandler and child processes write past sys.stdout
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _carry_out(pickled: bytes, payload: bytes) -> tuple[Any, str]:
    """Return what the job returned or raised, with its error in one line.

    The traceback of an error goes to the log.
    """
    try:
        call: Callable[[Any], Any] = pickle.loads(pickled)
        return call(pickle.loads(payload)), ""
    except Exception as error:  # noqa: BLE001  # whatever the job raised
        traceback.print_exception(error)
        return error, f"{type(error).__name__}: {error}"


def _answer(returned: Any, error: str) -> bytes:
    try:
        answer: bytes = cloudpickle.dumps((returned, error))
        # opened here, where a failure costs one job: in the parent it would end the sweep
        pickle.loads(answer)
    except Exception:  # noqa: BLE001  # a foreign value may refuse to be pickled in any way
        stand_in = RuntimeError(error or "the return value cannot be pickled")
        answer = cloudpickle.dumps((stand_in, error))
    return answer
