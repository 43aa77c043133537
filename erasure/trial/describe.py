"""The identity of a trial: its name for people and its fingerprint for machines."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import to_absolute_path
from omegaconf import DictConfig, OmegaConf

from erasure.core.fingerprint import RESULTS_VERSION, fingerprint
from erasure.results.record import TrialRecord
from erasure.training.checksum import file_checksum

GROUPS = ("unlearner", "dataset", "split", "model", "trainer", "evaluator")
NOT_A_CAUSE = (
    "store",
    "data",
    "tracking",
    "resume",
    "pictures",
    "objective",
    "experiment",
    "hydra",
    "tuning",
)
"""Settings that say where things go or what is read out, but move no result."""

FILE_KEYS = ("path", "pretrained", "tokenizer", "model.name")
"""Settings that may name a file or a folder."""

BELOW_ROOT = ("", "hf", "hf-models")
"""Folders of ``data.root`` in which such a file or folder may be, besides where it is named."""

WITH_FILES = ("dataset", "split", "model")
"""Groups whose options may read files that a person edits."""

LIBRARIES = ("torch", "torchvision", "torch_geometric", "functools", "builtins")
"""Packages whose code is told by their version, not by their text."""


def describe(cfg: DictConfig, choices: Mapping[str, Any]) -> TrialRecord:
    """Return the identity of the trial that ``cfg`` asks for.

    Args:
        cfg: The composed configuration.
        choices: The option chosen in each config group, as Hydra's ``runtime.choices`` has it.
    """
    plain = plain_config(cfg)
    flat = dict(_flatten(plain))
    named = {group: str(choices.get(group) or "custom") for group in GROUPS}
    seeds = {f"seed.{stage}": str(value) for stage, value in plain["seeds"].items()}
    study = _study(cfg)
    tags = {**named, "seed": str(plain["seed"]), **seeds, **study}
    number = f" · trial {study['erasure.study_trial']}" if study else ""
    return TrialRecord(
        name=_name(named, plain) + number,
        fingerprint=trial_fingerprint(plain),
        params={key: str(value) for key, value in flat.items()},
        tags=tags,
    )


def trial_fingerprint(plain: Mapping[str, Any]) -> str:
    """Return the hash of all that can move a result.

    That is the resolved configuration without places and read-outs, the results version of this
    package, and the text of every class that is named: its file, or its whole package if that is
    not ours. Editing a method and running the same command again therefore runs it again.
    """
    causes = {key: value for key, value in plain.items() if key not in NOT_A_CAUSE}
    if "references" in causes:  # how many processes train the models moves none of them
        causes["references"] = {k: v for k, v in causes["references"].items() if k != "workers"}
    code, data = sources(causes), files(plain, WITH_FILES)
    told = {"config": causes, "version": RESULTS_VERSION, "sources": code}
    return fingerprint({**told, "files": data} if data else told)


def sources(value: Any) -> dict[str, str]:
    """Return a hash of the source text behind every ``_target_`` in ``value``."""
    return {target: _source(target) for target in sorted(_targets(value))}


def files(plain: Mapping[str, Any], groups: Sequence[str]) -> dict[str, list[Any]]:
    """Return name, size and time of change of every file behind a setting that names files.

    A file or folder that a data set, a split or a model reads is a cause like its name: edited,
    the same command runs again. Only the trial does; models are known by the contents they were
    trained on, and by the files of weights they started from.

    Args:
        plain: The resolved configuration.
        groups: The parts of it that are looked at.
    """
    root = to_absolute(str(plain["data"]["root"]))
    named = {
        f"{key}={text}": _found(text, root)
        for key, texts in _flatten({group: plain.get(group) for group in groups})
        if key in FILE_KEYS or key.rpartition(".")[2] in FILE_KEYS
        for text in (texts if isinstance(texts, list) else [texts])
        if isinstance(text, str) and text
    }
    return {setting: found for setting, found in named.items() if found}


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


def to_absolute(path: str) -> Path:
    """Return ``path``, relative to where the command was typed if Hydra changed the folder."""
    return Path(to_absolute_path(path)) if HydraConfig.initialized() else Path(path).absolute()


def _study(cfg: DictConfig) -> dict[str, str]:
    """Return the tags of a run that belongs to a study."""
    study = OmegaConf.select(cfg, "tuning.study")
    if not study:
        return {}
    return {"erasure.study": str(study), "erasure.study_trial": str(cfg.tuning.trial)}


def _found(text: str, root: Path) -> list[list[Any]]:
    """Return the facts of all files that ``text`` may stand for, by their place below it."""
    path = os.path.expanduser(text)  # noqa: PTH111  # that of Path refuses unknown users
    places = [to_absolute(path), *(root / folder / path for folder in BELOW_ROOT)]
    facts = []
    for place in dict.fromkeys(places):  # a path that is not relative is the same everywhere
        for file in _every_file(place):
            with suppress(FileNotFoundError):  # somebody deleted it just now
                stat = file.stat()
                facts.append([str(file.relative_to(place)), stat.st_size, stat.st_mtime_ns])
    return facts


def _every_file(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(inner for inner in path.rglob("*") if inner.is_file())
    return [path] if path.is_file() else []


def _name(named: Mapping[str, str], plain: Mapping[str, Any]) -> str:
    parts = [named["unlearner"], named["dataset"], named["model"]]
    if named["split"] != "random":
        parts.append(named["split"])
    return " · ".join([*parts, f"seed {plain['seed']}"])


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _targets(value: Any) -> Iterator[str]:
    for path, inner in _flatten(value):
        if path.endswith("_target_") and str(inner).split(".", 1)[0] not in LIBRARIES:
            yield str(inner)


def _source(target: str) -> str:
    """Return a hash of the file that defines ``target``, or of the outside package around it."""
    try:
        defined = resolve_name(target)
        file = Path(str(inspect.getsourcefile(defined)))
        package = str(defined.__module__).split(".", 1)
    except Exception:  # noqa: BLE001  # whatever a foreign import raises, building it says so
        return ""
    if package[0] == "erasure" or len(package) == 1:
        return file_checksum(file)
    top = file.parents[package[1].count(".")]
    return fingerprint({str(p.relative_to(top)): file_checksum(p) for p in top.rglob("*.py")})
