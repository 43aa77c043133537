"""From a composed configuration to the settings of a trial: plain data in one form."""

import copy
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from erasure.config.canonical import canonical

Composed: TypeAlias = DictConfig
"""A configuration as Hydra composed it."""

NOT_OF_THE_TRIAL = ("hydra", "tuning")
"""Parts of a configuration that are Hydra's own, or say to which study a run belongs: that is
where it is filed, and may hold the password of a database."""


def settings_of_config(cfg: Composed) -> dict[str, Any]:
    """Return the resolved settings of the trial that ``cfg`` asks for, in canonical form."""
    return canonical({str(key): _plain(cfg, key) for key in cfg if key not in NOT_OF_THE_TRIAL})


def options_of_config(cfg: Composed) -> dict[str, str]:
    """Return the option that was chosen in each group; none where Hydra did not compose ``cfg``.

    A sweep's configuration says it itself, that of a task that runs is known to Hydra.
    """
    if OmegaConf.select(cfg, "hydra.runtime.choices") is not None:
        choices = cfg.hydra.runtime.choices
    elif HydraConfig.initialized():
        choices = HydraConfig.get().runtime.choices
    else:
        return {}
    return {str(group): str(option) for group, option in choices.items() if option}


def config_of(
    settings: Mapping[str, Any], options: Mapping[str, str], composed: Composed
) -> Composed:
    """Return a configuration with the settings of a trial, as if Hydra had composed it.

    Args:
        settings: Those of the trial. Seeds of stages that equal ``seed`` follow it.
        options: The option chosen in each group.
        composed: Gives everything that is not of the trial, such as Hydra's own part.
    """
    cfg = copy.deepcopy(composed)
    seeds = {k: "${seed}" if v == settings["seed"] else v for k, v in settings["seeds"].items()}
    with open_dict(cfg), read_write(cfg.hydra):
        for group, value in {**settings, "seeds": seeds}.items():
            # a component is replaced; a group whose keys have types keeps them
            has_types = OmegaConf.get_type(cfg, group) is not dict
            OmegaConf.update(cfg, group, value, merge=has_types, force_add=True)
        cfg.hydra.runtime.choices.update(options)
    return cfg


def study_tags(cfg: Composed) -> dict[str, str]:
    """Return the tags of a run that belongs to a study, none of any other."""
    study = OmegaConf.select(cfg, "tuning.study")
    if not study:
        return {}
    return {"erasure.study": str(study), "erasure.study_trial": str(cfg.tuning.trial)}


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Return settings as a YAML file has them."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(settings)))


def _plain(cfg: Composed, key: Any) -> Any:
    """Return one part of ``cfg`` as plain data; what it refers to may be in another part."""
    if OmegaConf.is_missing(cfg, key):
        return "???"
    value = cfg[key]
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True, enum_to_str=True)
    return value.name if isinstance(value, Enum) else value
