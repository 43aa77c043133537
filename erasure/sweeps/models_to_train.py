"""Which models trials will train, worked out before any of them runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import fingerprint
from erasure.launch.run import Run
from erasure.training.model_store import ModelRequest, ModelStore
from erasure.trial.checks import check as check_trial
from erasure.trial.measurable import too_few_samples
from erasure.trial.places import build_tracker
from erasure.trial.references.training import reference_requests, store_requests
from erasure.trial.trial import Trial

MEASURED = ("dataset", "split", "evaluator", "objective", "seeds")
"""Settings that decide how many samples there are for a value."""

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
        required.extend(check(run.trial))
    return required


def check(trial: Trial) -> list[RequiredModel]:
    """Refuse a trial that cannot run, without running it, and return the models it needs.

    They are those that the trial asks for itself; what a method trains besides them is known
    only when it runs. They have the names they have on this machine, where ``device=auto`` may
    be another device than where the trial will run.

    Raises:
        ErasureError: With one message that names the setting and what is allowed.
    """
    # what only checks takes no GPU; the names of models are those on the real device
    on_cpu = replace(trial, device_name="cpu")
    build_tracker(trial.settings)
    check_trial(on_cpu)
    return models_of(on_cpu)


def require_measurable(runs: Sequence[Run]) -> None:
    """Refuse runs whose data have too few samples for their objective.

    Raises:
        ConfigError: With the metric's own reason, and what to set.
    """
    asked_before: set[str] = set()
    for run in runs:
        # methods share their data: one trial of each data set and seed says it for all of them
        settings = run.trial.settings
        what = fingerprint({key: settings[key] for key in MEASURED if key in settings})
        if what not in asked_before:
            asked_before.add(what)
            _require_measurable(replace(run.trial, device_name="cpu"))


def _require_measurable(trial: Trial) -> None:
    for name, reason in too_few_samples(trial).items():
        key = "metrics" if name in trial.objective.metrics else "constraints"
        raise ConfigError(
            f"objective.{key}[{name}] cannot be measured with seed={trial.settings['seed']}: "
            f"{reason}. Take more samples (split.base, or another split or dataset), a smaller "
            "min_n of the metric, or an objective without it"
        )


def models_of(trial: Trial) -> list[RequiredModel]:
    """Return the models that a trial needs, by the names they have in the store."""
    seed = trial.seeds.train
    views = {"original": trial.data.train}
    if trial.evaluator.needs_gold:
        views["gold"] = trial.data.retain
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
    settings = trial.references
    if settings.size == settings.shadows == 0:
        return []
    by_role = reference_requests(trial, trial.evaluator.heldout).values()
    return store_requests(trial, [request for requests in by_role for request in requests])
