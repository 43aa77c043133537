"""Configurations of many trials, composed by Hydra once for all that differ by plain values."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException


@dataclass(frozen=True, kw_only=True)
class Compositions:
    """Composes the configurations of trials.

    Hydra takes a third of a second for a configuration with an evaluator of sixty metrics. Which
    files go into one does not depend on values, so trials that choose the same options share a
    composition, and values that differ are set in a copy of it, as Hydra sets them.

    Args:
        loader: Composes a configuration.
        master: The configuration of the command line as a whole.
    """

    loader: ConfigLoader
    master: DictConfig
    _shared: dict[tuple[str, ...], DictConfig] = field(default_factory=dict, repr=False)
    _groups: dict[str, bool] = field(default_factory=dict, repr=False)

    def compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Return the configuration of a trial with its number.

        Raises:
            HydraException: If it cannot be composed; the message names the override.
        """
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        plain = [override for override in parsed if self._is_plain(override, parsed)]
        shape = tuple(_shape_of(o, plain) for o in parsed)
        if shape not in self._shared:
            composed = self.loader.load_sweep_config(self.master, list(overrides))
            self._shared[shape] = composed
        config = copy.deepcopy(self._shared[shape])
        # resolvers with a cache, such as ${now:}, answer alike in all trials of a sweep
        OmegaConf.copy_cache(from_config=self.master, to_config=config)
        try:
            for override in plain:
                OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
        except OmegaConfBaseException:  # a value of the wrong type; Hydra says which override
            config = self.loader.load_sweep_config(self.master, list(overrides))
        with open_dict(config), read_write(config.hydra):
            config.hydra.job.id, config.hydra.job.num = str(number), number
            config.hydra.sweep.dir = str(self.master.hydra.sweep.dir)  # with its time stamp
            # the composition was made for another trial and lists its overrides
            config.hydra.overrides.task = []
        add_overrides(config, [str(o.input_line) for o in parsed if not o.is_hydra_override()])
        return config

    def _is_plain(self, override: Override, all_of_them: Sequence[Override]) -> bool:
        """Tell whether an override sets a single value that no other one has a hand in."""
        key = override.key_or_group
        setting = (OverrideType.CHANGE, OverrideType.FORCE_ADD)
        if override.is_hydra_override() or override.package is not None or "/" in key:
            return False
        if override.type not in setting or not _is_scalar(override.value()):
            return False
        if self._is_group(key):
            return False
        others = [o for o in all_of_them if o is not override and not self._chooses(o)]
        return not any(_overlap(key, other.key_or_group) for other in others)

    def _chooses(self, override: Override) -> bool:
        """Tell whether an override chooses an option; a mapping sets what is in a group."""
        return not isinstance(override.value(), dict) and self._is_group(override.key_or_group)

    def _is_group(self, key: str) -> bool:
        if "." in key:
            return False  # a group is a folder, whose name has none
        if key not in self._groups:
            options = self.loader.get_group_options(key, results_filter=None)  # folders as well
            self._groups[key] = bool(options)
        return self._groups[key]


def add_overrides(config: DictConfig, overrides: Sequence[str]) -> None:
    """Note in ``config`` what else was set, as Hydra does for ``hydra.job.override_dirname``."""
    with open_dict(config), read_write(config.hydra):
        config.hydra.overrides.task.extend(overrides)
        job = cast("dict[str, Any]", OmegaConf.to_container(config.hydra.job))
        if str(job["override_dirname"]).startswith("${hydra_override_dirname"):
            return  # Hydra 1.4 works it out when it is asked for
        how = config.hydra.job.config.override_dirname
        lines = OmegaConf.to_container(config.hydra.overrides.task)  # as they were typed
        kept = [str(line) for line in lines or () if _key(str(line)) not in how.exclude_keys]
        joined = str(how.item_sep).join(sorted(kept))
        config.hydra.job.override_dirname = re.sub("=", str(how.kv_sep), joined)


def varied(
    config: DictConfig, changes: Mapping[str, Any], number: int, overrides: Sequence[str]
) -> DictConfig:
    """Return a copy of ``config`` for the job ``number`` with other values of settings.

    Args:
        config: A composed configuration, which is left as it is.
        changes: Values by dotted setting.
        number: Hydra's ``hydra.job.num``.
        overrides: The changes as overrides.
    """
    copied = copy.deepcopy(config)
    with open_dict(copied), read_write(copied.hydra):
        for key, value in changes.items():
            OmegaConf.update(copied, key, value)
        copied.hydra.job.id, copied.hydra.job.num = str(number), number
    add_overrides(copied, overrides)
    return copied


def own_seeds(config: DictConfig) -> dict[str, Any]:
    """Return the seeds of the stages that do not follow ``seed``."""
    raw = cast("dict[str, Any]", OmegaConf.to_container(config.seeds, resolve=False))
    return {stage: config.seeds[stage] for stage, value in raw.items() if value != "${seed}"}


def nested_yaml(settings: Mapping[str, Any]) -> str:
    """Return settings by dotted path as nested YAML."""
    body = OmegaConf.create()
    for name, value in settings.items():
        OmegaConf.update(body, name, value, force_add=True)
    return OmegaConf.to_yaml(body) if body else ""


def _shape_of(override: Override, plain: Sequence[Override]) -> str:
    """Return what two trials must have in common to share a composition: all but plain values."""
    if any(override is each for each in plain):
        return f"{override.type} {override.key_or_group}"
    return str(override.input_line)


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _overlap(key: str, other: str) -> bool:
    # with the dot, or a.bc would lie inside a.b
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


@lru_cache(maxsize=1024)
def _key(line: str) -> str:
    return str(OverridesParser.create().parse_override(line).key_or_group)


@contextmanager
def hydra_sees(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` refer to ``config`` for a block."""
    holder = HydraConfig.instance()
    before = holder.cfg
    holder.cfg = cast("Any", config)  # set_config would copy it, which takes longest here
    try:
        yield
    finally:
        holder.cfg = before
