"""Many trained models of one recipe: out of the store, or trained together and put there."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from rich.console import Console

from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.core.task import Report, silent
from erasure.training.many.ensemble import Member, pays_off, train_together
from erasure.training.model_store import ModelRequest, ModelStore, Trained, Training
from erasure.training.trainers import Standard
from erasure.trial.checks import unstackable
from erasure.trial.models import obtain_trained
from erasure.trial.progress import Progress
from erasure.trial.references.settings import Engine
from erasure.trial.trial import Trial

CHUNK = 32
"""Dense networks trained at once."""

CONVOLUTIONAL_CHUNK = 8
"""Convolutional networks trained at once; their activations take more memory."""


@dataclass(frozen=True, kw_only=True)
class ReferenceRequest:
    """A model of a pool.

    Args:
        seed: Its training seed.
        view: Its training samples.
    """

    seed: int
    view: View


def obtain_many(
    parts: Trial, store: ModelStore, wanted: Sequence[ReferenceRequest], report: Report
) -> tuple[list[str], int]:
    """Return the names in ``store`` of all models ``wanted``, and how many were trained for it.

    Each is stored as soon as it is trained, so that a run that was killed goes on where it was.
    """
    engine = chosen_engine(parts)
    requests = requests_of(parts, wanted)
    missing = [
        each for each, request in zip(wanted, requests, strict=True) if not store.has(request)
    ]
    begun, there = time.perf_counter(), len(wanted) - len(missing)
    if missing:
        report(there, len(wanted))
    trained = 0
    for done, each in enumerate(_TRAIN[engine](parts, store, missing), start=1):
        trained += each.fresh
        left = (time.perf_counter() - begun) / done * (len(missing) - done)
        report(there + done, len(wanted), minutes_left=left / 60)
    return [request.key for request in requests], trained


def requests_of(parts: Trial, wanted: Sequence[ReferenceRequest]) -> list[ModelRequest]:
    """Return what the store is asked for; stacked training has names of its own."""
    stacked = chosen_engine(parts) == "stacked"
    recipe = {**parts.recipe, "engine": "stacked"} if stacked else parts.recipe
    return [ModelRequest.of(recipe, each.view, each.seed) for each in wanted]


def chosen_engine(parts: Trial) -> Engine:
    """Return how the pool of ``parts`` is trained.

    Stacking where it is faster; else several processes where there are several cores and no GPU,
    and one model after the other where not.
    """
    if parts.reference.engine != "auto":
        return parts.reference.engine
    model = parts.fresh()
    if not unstackable(parts) and pays_off(model, parts.pool.input_shape, parts.device):
        return "stacked"
    return "processes" if parts.device.type == "cpu" and _workers(parts) > 1 else "alone"


def _stacked(
    parts: Trial, store: ModelStore, wanted: Sequence[ReferenceRequest]
) -> Iterator[Trained]:
    convolves = any(isinstance(m, torch.nn.Conv2d) for m in parts.fresh().modules())
    size = CONVOLUTIONAL_CHUNK if convolves and parts.device.type == "cpu" else CHUNK
    recipe = {**parts.recipe, "engine": "stacked"}
    trainer = parts.trainer
    if not isinstance(trainer, Standard):
        raise TypeError("only the standard trainer stacks models")  # refused when assembled
    for start in range(0, len(wanted), size):
        chunk = wanted[start : start + size]
        begun = time.perf_counter()
        members = [
            Member(
                model=parts.fresh_of(each.seed)(),
                view=each.view,
                generator=stream(each.seed, "train"),
            )
            for each in chunk
        ]
        with isolated(chunk[0].seed, "train", "layers"):
            trained = train_together(members, trainer)
        each_seconds = (time.perf_counter() - begun) / len(chunk)
        for each, training in zip(chunk, trained, strict=True):
            request = ModelRequest.of(recipe, each.view, each.seed)
            yield store.get(request, _handed_over(replace(training, seconds=each_seconds)))


def _handed_over(training: Training) -> Any:
    return lambda: training


def _alone(
    parts: Trial, store: ModelStore, wanted: Sequence[ReferenceRequest]
) -> Iterator[Trained]:
    for each in wanted:
        yield _one(parts, store, each)


def _processes(
    parts: Trial, store: ModelStore, wanted: Sequence[ReferenceRequest]
) -> Iterator[Trained]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    workers = min(_workers(parts), len(wanted))
    if workers < 2:
        yield from _alone(parts, store, wanted)
        return
    pool = Parallel(n_jobs=workers, backend="loky", return_as="generator_unordered")
    try:
        yield from pool(delayed(_in_worker)(parts, store, each) for each in wanted)
    finally:  # idle workers stay for five minutes, and a trial's process would wait for them
        get_reusable_executor().shutdown(wait=True)


def _in_worker(parts: Trial, store: ModelStore, each: ReferenceRequest) -> Trained:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    torch.set_num_threads(int(parts.recipe["threads"]))
    return _one(parts, store, each)


def _one(parts: Trial, store: ModelStore, each: ReferenceRequest) -> Trained:
    quiet = Progress(Console(quiet=True))
    return obtain_trained(parts.seeded(each.seed), store, each.view, quiet, "reference")[1]


def _workers(parts: Trial) -> int:
    return parts.reference.workers or os.cpu_count() or 1


_TRAIN: Mapping[Engine, Any] = {"stacked": _stacked, "alone": _alone, "processes": _processes}


def unwatched() -> tuple[Progress, Report]:
    """Return a watch that shows nothing and a report that records nothing."""
    return Progress(Console(quiet=True)), silent
