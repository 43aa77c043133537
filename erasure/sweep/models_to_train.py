"""Which models trials will train, told before any of them runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from omegaconf import DictConfig

from erasure.config.compose import hydra_sees
from erasure.core.splits import View
from erasure.training.compute import device_kind
from erasure.training.model_store import ModelRequest, ModelStore
from erasure.trial.assemble import assemble, build_tracker
from erasure.trial.references.many import requests_of
from erasure.trial.references.members import members
from erasure.trial.trial import Trial

SPOKEN = {
    "original": ("original", "originals"),
    "gold": ("retrained", "retrained"),
    "reference": ("reference model", "reference models"),
}


@dataclass(frozen=True, kw_only=True)
class RequiredModel:
    """A trained model that a trial asks the store for.

    Args:
        role: ``original``, ``gold``, or ``reference`` for any of the reference models.
        key: Its name in the store.
    """

    role: str
    key: str


def required_models(configs: Sequence[DictConfig]) -> list[RequiredModel]:
    """Refuse trials that cannot run, and return the models that all of them need.

    Raises:
        ErasureError: If one cannot run.
    """
    required: list[RequiredModel] = []
    for config in configs:
        with hydra_sees(config):
            required.extend(check(config))
    return required


def check(cfg: DictConfig) -> list[RequiredModel]:
    """Refuse a trial that cannot run, without running it, and return the models it needs.

    They are those that the trial asks for itself; what a method trains besides them is known
    only when it runs. They have the names they have on this machine, where ``device=auto`` may
    be another device than where the trial will run.

    Raises:
        ErasureError: With one message that names the setting and what is allowed.
    """
    build_tracker(cfg)
    parts = assemble(cfg, device=torch.device("cpu"))
    return needs_of(_on(parts, str(cfg.device)))


def needs_of(parts: Trial) -> list[RequiredModel]:
    """Return the models that a trial needs, by the names they have in the store."""
    seed = parts.seeds.train
    own = {"original": View(parts.pool, parts.indices.train)}
    if parts.evaluator.needs_gold:
        own["gold"] = parts.remaining
    found = [
        RequiredModel(role=role, key=ModelRequest.of(parts.recipe, view, seed).key)
        for role, view in own.items()
    ]
    return [
        *found,
        *(RequiredModel(role="reference", key=request.key) for request in _pool(parts)),
    ]


def missing(needs: Iterable[RequiredModel], store: ModelStore) -> list[RequiredModel]:
    """Return those, each once, that are not in the store."""
    every = {need.key: need for need in needs}
    return [need for need in every.values() if not store.holds(need.key)]


def in_words(needs: Iterable[RequiredModel], store: ModelStore) -> str:
    """Return in words how many models have to be trained, and which kinds of them."""
    every = {need.key: need for need in needs}
    left = Counter(need.role for need in missing(every.values(), store))
    if not every:
        return ""
    if not left:
        return "no model to train"
    kinds = [f"{left[role]} {SPOKEN[role][left[role] != 1]}" for role in SPOKEN if left[role]]
    there = len(every) - left.total()
    rest = f"; {there} in the store" if there else ""
    return f"{left.total()} model{'s' * (left.total() > 1)} to train ({', '.join(kinds)}{rest})"


def _pool(parts: Trial) -> list[ModelRequest]:
    """Return what the pool asks for at most; it stops growing once the attack is decided."""
    if parts.reference.size == parts.reference.shadows == 0:
        return []
    wanted = members(parts, parts.evaluator.heldout).values()
    return requests_of(parts, [each for several in wanted for each in several])


def _on(parts: Trial, device: str) -> Trial:
    """Return the parts as they are on ``device``, of which nothing but its kind is used."""
    place = torch.device(device_kind(device))
    return replace(parts, device=place, recipe={**parts.recipe, "device": place.type})
