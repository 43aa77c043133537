"""Many trained models of one recipe: which there are, and how they are trained or got."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch

from erasure.core.references import ReferenceRole
from erasure.core.seeding import isolated, stream
from erasure.core.source import source_hash
from erasure.core.splits import SplitIndices, View
from erasure.core.task import Report
from erasure.training.many.ensemble import Member, pays_off, train_together
from erasure.training.model_store import ModelRequest, ModelStore, Trained, Training
from erasure.training.trainers import Standard
from erasure.trial.checks import unstackable
from erasure.trial.models import get_or_train
from erasure.trial.progress import quiet_progress
from erasure.trial.references.settings import FIRST_SEED, Engine
from erasure.trial.trial import Trial

CHUNK = 32
"""Dense networks trained at once."""

CONVOLUTIONAL_CHUNK = 8
"""Convolutional networks trained at once; their activations take more memory."""


@dataclass(frozen=True, kw_only=True)
class ReferenceRequest:
    """A reference model that has to be there.

    Args:
        seed: Its training seed.
        view: Its training samples.
    """

    seed: int
    view: View


def reference_requests(
    trial: Trial, heldout: Literal["val", "test"]
) -> Mapping[ReferenceRole, Sequence[ReferenceRequest]]:
    """Return the models that have to be trained at most, by role.

    Args:
        trial: The trial.
        heldout: The held-out part that shadows may be trained on.
    """
    views: dict[ReferenceRole, View] = {
        "original": View(trial.data.pool, trial.data.indices.train),
        "gold": trial.data.retain,
    }
    requests = {
        role: [ReferenceRequest(seed=seed, view=view) for seed in trial.references.seeds]
        for role, view in views.items()
    }
    requests["shadow"] = [
        ReferenceRequest(
            seed=FIRST_SEED + number,
            view=View(trial.data.pool, shadow_half(trial, heldout, number).train),
        )
        for number in range(trial.references.shadows)
    ]
    return requests


def shadow_half(trial: Trial, heldout: Literal["val", "test"], number: int) -> SplitIndices:
    """Return the random half that a shadow is trained on; forget is the part that it unlearns.

    Both halves are of the training set and the held-out part together, so that each sample is
    in about half of the shadows. The share that is unlearned is that of the trial.
    """
    indices = trial.data.indices
    # sorted: the half must not depend on which of the samples are in which part
    ids = torch.cat([indices.train, getattr(indices, heldout)]).sort().values
    generator = stream(FIRST_SEED + number, "shadow")
    order = ids[torch.randperm(len(ids), generator=generator)]
    half = len(ids) // 2
    size = max(1, round(half * len(indices.forget) / len(indices.train)))
    forget, retain, rest = order.split([size, half - size, len(ids) - half])
    if heldout == "val":
        return SplitIndices(forget=forget, retain=retain, val=rest, test=indices.test)
    return SplitIndices(forget=forget, retain=retain, val=indices.val, test=rest)


def get_or_train_many(
    trial: Trial, store: ModelStore, requests: Sequence[ReferenceRequest], report: Report
) -> tuple[list[str], int]:
    """Return the names in ``store`` of all models in ``requests``, and how many had to be trained.

    Each is stored as soon as it is trained, so that a run that was killed goes on where it was.
    """
    engine = chosen_engine(trial)
    in_store = store_requests(trial, requests)
    missing = [
        request for request, model in zip(requests, in_store, strict=True) if not store.has(model)
    ]
    begun, num_there = time.perf_counter(), len(requests) - len(missing)
    if missing:
        report(num_there, len(requests))
    num_fresh = 0
    for done, trained in enumerate(_TRAIN[engine](trial, store, missing), start=1):
        num_fresh += trained.fresh  # another process may have trained it meanwhile
        seconds_left = (time.perf_counter() - begun) / done * (len(missing) - done)
        report(num_there + done, len(requests), minutes_left=seconds_left / 60)
    return [model.key for model in in_store], num_fresh


def store_requests(trial: Trial, requests: Sequence[ReferenceRequest]) -> list[ModelRequest]:
    """Return what the store is asked for; stacked training has names of its own."""
    stacked = chosen_engine(trial) == "stacked"
    recipe = _stacked_recipe(trial) if stacked else trial.recipe
    return [ModelRequest.of(recipe, request.view, request.seed) for request in requests]


def chosen_engine(trial: Trial) -> Engine:
    """Return how the reference models of ``trial`` are trained.

    Stacking where it is faster; else several processes where there are several cores and no GPU,
    and one model after the other where not.
    """
    if trial.references.engine != "auto":
        return trial.references.engine
    model = trial.fresh()
    if not unstackable(trial) and pays_off(model, trial.data.pool.input_shape, trial.device):
        return "stacked"
    return "processes" if trial.device.type == "cpu" and _workers(trial) > 1 else "alone"


def _stacked(
    trial: Trial, store: ModelStore, requests: Sequence[ReferenceRequest]
) -> Iterator[Trained]:
    convolves = any(isinstance(m, torch.nn.Conv2d) for m in trial.fresh().modules())
    size = CONVOLUTIONAL_CHUNK if convolves and trial.device.type == "cpu" else CHUNK
    recipe = _stacked_recipe(trial)
    trainer = trial.trainer
    if not isinstance(trainer, Standard):
        raise TypeError("only the standard trainer stacks models")  # refused when assembled
    for start in range(0, len(requests), size):
        chunk = requests[start : start + size]
        begun = time.perf_counter()
        members = [
            Member(
                model=trial.fresh_of(request.seed)(),
                view=request.view,
                generator=stream(request.seed, "train"),
            )
            for request in chunk
        ]
        # Nothing of a stacked network draws, dropout is refused; this is for the global generators
        with isolated(chunk[0].seed, "train", "layers"):
            trained = train_together(members, trainer)
        # trained together, each is charged an equal share
        each_seconds = (time.perf_counter() - begun) / len(chunk)
        for request, training in zip(chunk, trained, strict=True):
            in_store = ModelRequest.of(recipe, request.view, request.seed)
            timed = replace(training, seconds=each_seconds)
            yield store.get(in_store, partial(_already_trained, timed))


def _already_trained(training: Training) -> Training:
    return training


def _alone(
    trial: Trial, store: ModelStore, requests: Sequence[ReferenceRequest]
) -> Iterator[Trained]:
    for request in requests:
        yield _train_one(trial, store, request)


def _processes(
    trial: Trial, store: ModelStore, requests: Sequence[ReferenceRequest]
) -> Iterator[Trained]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    workers = min(_workers(trial), len(requests))
    if workers < 2:
        yield from _alone(trial, store, requests)
        return
    # unordered: a slow model must not keep those that are ready from being counted
    parallel = Parallel(n_jobs=workers, backend="loky", return_as="generator_unordered")
    try:
        yield from parallel(delayed(_in_worker)(trial, store, request) for request in requests)
    finally:  # idle workers stay for five minutes, and a trial's process would wait for them
        get_reusable_executor().shutdown(wait=True)


def _in_worker(trial: Trial, store: ModelStore, request: ReferenceRequest) -> Trained:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    torch.set_num_threads(int(trial.recipe["threads"]))
    return _train_one(trial, store, request)


def _train_one(trial: Trial, store: ModelStore, request: ReferenceRequest) -> Trained:
    seeded = trial.seeded(request.seed)
    return get_or_train(seeded, store, request.view, quiet_progress(), "reference")[1]


def _workers(trial: Trial) -> int:
    return trial.references.workers or os.cpu_count() or 1


def _stacked_recipe(trial: Trial) -> dict[str, Any]:
    """Return the causes of weights that were trained together with others."""
    return {**trial.recipe, "engine": "stacked", "engine_code": source_hash(train_together)}


_TRAIN: Mapping[Engine, Any] = {"stacked": _stacked, "alone": _alone, "processes": _processes}
