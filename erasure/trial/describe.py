"""The identity of a trial: its name for people and its fingerprint for machines."""

from collections.abc import Mapping
from typing import Any

from erasure.results.record import TrialRecord
from erasure.trial.causes import fingerprint_of, flattened, trial_causes

GROUPS = ("unlearner", "dataset", "split", "model", "trainer", "evaluator")


def describe(
    settings: Mapping[str, Any], options: Mapping[str, str], tags: Mapping[str, str]
) -> TrialRecord:
    """Return the identity of a trial.

    Args:
        settings: Everything there is to say, in canonical form.
        options: The option that was chosen in each group, as far as one was.
        tags: Further tags, such as the study it belongs to.
    """
    chosen = {group: options.get(group) or _named(settings, group) for group in GROUPS}
    seeds = {f"seed.{stage}": str(value) for stage, value in settings["seeds"].items()}
    number = f" · trial {tags['erasure.study_trial']}" if "erasure.study_trial" in tags else ""
    causes = trial_causes(settings)
    return TrialRecord(
        name=_name(chosen, settings) + number,
        fingerprint=fingerprint_of(causes),
        params={key: str(value) for key, value in flattened(settings)},
        tags={**chosen, "seed": str(settings["seed"]), **seeds, **tags},
        causes=causes,
    )


def _named(settings: Mapping[str, Any], group: str) -> str:
    """Return a name for a component that no option stands for: that of its class."""
    component = settings.get(group)
    target = component.get("_target_") if isinstance(component, Mapping) else None
    return str(target).rpartition(".")[2] if target else "custom"


def _name(chosen: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    parts = [chosen["unlearner"], chosen["dataset"], chosen["model"]]
    if chosen["split"] != "random":
        parts.append(chosen["split"])
    return " · ".join([*parts, f"seed {settings['seed']}"])
