"""Where a tuning sweep is written down: its records, what each study keeps, and the summary."""

from collections.abc import Mapping, Sequence
from typing import Any

from erasure.config.command import typed_command
from erasure.core.fingerprint import combine
from erasure.results.tracker import Sweep
from erasure.sweeps.models_to_train import RequiredModel, summarize_models
from erasure.sweeps.records import SweepRecords
from erasure.training.model_store import ModelStore
from erasure.tuning.client import StudyClient
from erasure.tuning.plan import StudyPlan
from erasure.tuning.settings import StudySettings

TRAINING = (
    *("dataset", "split", "model", "trainer", "precision", "threads", "device"),
    *("seeds.split", "seeds.train", "references.size", "references.shadows"),
)
"""Settings, and groups of them, that originals and retrained models depend on."""


def tuning_sweep(plans: Sequence[StudyPlan], settings: StudySettings) -> Sweep:
    """Return the identity of the sweep over ``plans``."""
    command = typed_command()
    labels = ", ".join(plan.label for plan in plans)
    dataset = plans[0].choices.get("dataset", "")
    return Sweep(
        fingerprint=combine(sorted(f"{plan.name} {plan.fixed}" for plan in plans)),
        name=f"tuning {labels} on {dataset}"
        if len(plans) < 5
        else f"tuning {len(plans)} methods on {dataset}",
        command=command,
        overrides={"studies": labels, **_constants(plans)},
        total=settings.n_trials * len(plans),
        description=f"tuning {labels}\n\n```\n{command}\n```",
        tags={f"tuning.{key.replace(' ', '_')}": v for key, v in _budget(settings).items()},
    )


def search_settings(
    plan: StudyPlan, settings: StudySettings, records: SweepRecords
) -> dict[str, Any]:
    """Return what a recipe, the list of studies and a run that may be pruned have to know."""
    heldout = plan.base.get("evaluator", {}).get("heldout", "val")
    return {
        "sweep": records.sweep.fingerprint,
        "command": records.sweep.command,
        "choices": plan.choices,
        "overrides": list(plan.overrides),
        "axes": {name: vars(axis) for name, axis in plan.space.items()},
        # defaults are as they are drawn, is_default compares settings
        "is_default": plan.is_default(
            {n: plan.space[n].setting(v) for n, v in plan.defaults.items()}
        ),
        "sampler": settings.sampler.get("_target_"),
        "pruner": dict(settings.pruner),
        "n_trials": settings.n_trials,
        "max_trial_seconds": settings.max_trial_seconds,
        "part": heldout,
    }


def conditions(plans: Sequence[StudyPlan], settings: StudySettings) -> dict[str, str]:
    """Return what makes a comparison fair, and what it was, for people."""
    constants = _constants(plans)
    return {
        **_budget(settings),
        **{key.partition(".")[2]: value for key, value in constants.items()},
    }


def outlook(
    clients: Sequence[StudyClient],
    models: Mapping[str, Sequence[RequiredModel]],
    store: ModelStore,
) -> str:
    """Return in one line what there is to run and to train, by models of each study's name."""
    left = {client.plan.name: max(0, client.total - client.num_ended) for client in clients}
    total = sum(client.total for client in clients)
    ended = sum(client.num_ended for client in clients)
    studies = "1 study" if len(clients) == 1 else f"{len(clients)} studies"
    seeds = len(clients[0].plan.seeds)
    trials = f"{studies}, {total} trials with {seeds} seed{'s' * (seeds > 1)} each"
    trials = f"{trials}: {ended} ended before, {sum(left.values())} to run"
    unfinished = [client.plan for client in clients if left[client.plan.name] > 0]
    to_train = summarize_models(
        [model for plan in unfinished for model in models[plan.name]], store
    )
    training = sorted({name for plan in unfinished for name in plan.space if _trains(name)})
    several = f", and others for each value of {', '.join(training)}" if training else ""
    return f"{trials}; {to_train}{several}" if to_train else trials


def _budget(settings: StudySettings) -> dict[str, str]:
    """Return what every method is given, which may grow when a sweep goes on."""
    cap = settings.max_trial_seconds
    return {
        "trials of each study": str(settings.n_trials),
        "wall time a method may take": "no cap" if cap is None else f"{cap:g} s",
        "sampler": str(settings.sampler.get("_target_")).rpartition(".")[2],
        "pruner": str(settings.pruner.get("_target_")).rpartition(".")[2],
    }


def _constants(plans: Sequence[StudyPlan]) -> dict[str, str]:
    """Return what cannot change while a sweep goes on, for its tracking run."""
    plan = plans[0]
    objective = ", ".join(f"{d} {name}" for name, d in plan.objective.metrics.items())
    bounds = ", ".join(
        f"{name} <= {bound:g}" for name, bound in plan.objective.constraints.items()
    )
    return {
        "tuning.part": str(plan.base.get("evaluator", {}).get("heldout", "val")),
        "tuning.seeds": ", ".join(map(str, plan.seeds)),
        "tuning.objective": objective,
        "tuning.constraints": bounds or "none",
    }


def _trains(name: str) -> bool:
    """Tell whether a setting that is drawn changes what models are trained, and how."""
    return name in TRAINING or name.partition(".")[0] in TRAINING
