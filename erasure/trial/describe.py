"""The identity of a trial: its name for people and its fingerprint for machines."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from erasure.results.record import TrialRecord
from erasure.trial.causes import fingerprint_of, flattened, trial_causes

GROUPS = ("unlearner", "dataset", "split", "model", "trainer", "evaluator")


def describe(cfg: DictConfig, choices: Mapping[str, Any]) -> TrialRecord:
    """Return the identity of the trial that ``cfg`` asks for.

    Args:
        cfg: The composed configuration.
        choices: The option chosen in each config group, as Hydra's ``runtime.choices`` has it.
    """
    plain = plain_config(cfg)
    options = {group: str(choices.get(group) or "custom") for group in GROUPS}
    seeds = {f"seed.{stage}": str(value) for stage, value in plain["seeds"].items()}
    study = _study_tags(cfg)
    number = f" · trial {study['erasure.study_trial']}" if study else ""
    causes = trial_causes(plain)
    return TrialRecord(
        name=_name(options, plain) + number,
        fingerprint=fingerprint_of(causes),
        params={key: str(value) for key, value in flattened(plain)},
        tags={**options, "seed": str(plain["seed"]), **seeds, **study},
        causes=causes,
    )


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain data.

    Without Hydra's own part, and without what a run knows about its study: that is where it is
    filed, and may hold the password of a database.
    """
    return {str(key): _plain(cfg, key) for key in cfg if key not in ("hydra", "tuning")}


def _plain(cfg: DictConfig, key: Any) -> Any:
    """Return one part of ``cfg`` as plain data; what it refers to may be in another part."""
    if OmegaConf.is_missing(cfg, key):
        return "???"
    value = cfg[key]
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True, enum_to_str=True)
    return value.name if isinstance(value, Enum) else value


def _study_tags(cfg: DictConfig) -> dict[str, str]:
    """Return the tags of a run that belongs to a study."""
    study = OmegaConf.select(cfg, "tuning.study")
    if not study:
        return {}
    return {"erasure.study": str(study), "erasure.study_trial": str(cfg.tuning.trial)}


def _name(options: Mapping[str, str], plain: Mapping[str, Any]) -> str:
    parts = [options["unlearner"], options["dataset"], options["model"]]
    if options["split"] != "random":
        parts.append(options["split"])
    return " · ".join([*parts, f"seed {plain['seed']}"])
