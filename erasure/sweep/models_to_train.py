"""Which models trials will train, worked out before any of them runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from erasure.config.compose import hydra_sees
from erasure.core.splits import View
from erasure.launch.run import Run
from erasure.training.compute import device_kind
from erasure.training.model_store import ModelRequest, ModelStore
from erasure.trial.assemble import assemble, build_tracker
from erasure.trial.references.training import reference_requests, store_requests
from erasure.trial.trial import Trial

ROLE_NAMES = {
    "original": ("original", "originals"),
    "gold": ("retrained", "retrained"),
    "reference": ("reference model", "reference models"),
}
"""Singular and plural."""


@dataclass(frozen=True, kw_only=True)
class RequiredModel:
    """A trained model that a trial asks the store for.

    Args:
        role: ``original``, ``gold``, or ``reference`` for any of the reference models.
        key: Its name in the store.
    """

    role: str
    key: str


def required_models(runs: Sequence[Run]) -> list[RequiredModel]:
    """Refuse runs that cannot be carried out, and return the models that all of them need.

    Raises:
        ErasureError: If one cannot run.
    """
    required: list[RequiredModel] = []
    for run in runs:
        with hydra_sees(run.config):
            required.extend(check(run.config))
    return required


def check(cfg: Any) -> list[RequiredModel]:
    """Refuse a trial that cannot run, without running it, and return the models it needs.

    They are those that the trial asks for itself; what a method trains besides them is known
    only when it runs. They have the names they have on this machine, where ``device=auto`` may
    be another device than where the trial will run.

    Raises:
        ErasureError: With one message that names the setting and what is allowed.
    """
    build_tracker(cfg)
    # what only checks takes no GPU; the names of models are those on the real device
    trial = assemble(cfg, device=torch.device("cpu"))
    return models_of(_on(trial, str(cfg.device)))


def models_of(trial: Trial) -> list[RequiredModel]:
    """Return the models that a trial needs, by the names they have in the store."""
    seed = trial.seeds.train
    views = {"original": View(trial.pool, trial.indices.train)}
    if trial.evaluator.needs_gold:
        views["gold"] = trial.remaining
    models = [
        RequiredModel(role=role, key=ModelRequest.of(trial.recipe, view, seed).key)
        for role, view in views.items()
    ]
    references = _reference_models(trial)
    return [*models, *(RequiredModel(role="reference", key=each.key) for each in references)]


def missing_models(models: Iterable[RequiredModel], store: ModelStore) -> list[RequiredModel]:
    """Return those, each once, that are not in the store."""
    by_key = {model.key: model for model in models}
    return [model for model in by_key.values() if not store.holds(model.key)]


def summarize_models(models: Iterable[RequiredModel], store: ModelStore) -> str:
    """Return a few words on how many models have to be trained, and which kinds of them."""
    by_key = {model.key: model for model in models}
    missing = Counter(model.role for model in missing_models(by_key.values(), store))
    if not by_key:
        return ""
    if not missing:
        return "no model to train"
    # False is 0, the singular
    kinds = [
        f"{missing[role]} {ROLE_NAMES[role][missing[role] != 1]}"
        for role in ROLE_NAMES
        if missing[role]
    ]
    num_there = len(by_key) - missing.total()
    there = f"; {num_there} in the store" if num_there else ""
    plural = "s" * (missing.total() > 1)
    return f"{missing.total()} model{plural} to train ({', '.join(kinds)}{there})"


def _reference_models(trial: Trial) -> list[ModelRequest]:
    """Return the reference models at most; fewer are made once the attack is decided."""
    settings = trial.reference_settings
    if settings.size == settings.shadows == 0:
        return []
    by_role = reference_requests(trial, trial.evaluator.heldout).values()
    return store_requests(trial, [request for requests in by_role for request in requests])


def _on(trial: Trial, device: str) -> Trial:
    """Return the trial as it is on ``device``, of which nothing but its kind is used."""
    there = torch.device(device_kind(device))
    return replace(trial, device=there, recipe={**trial.recipe, "device": there.type})
