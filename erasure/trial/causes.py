"""What moves a result: settings, code, versions of libraries, and files.

Three things are named by a hash of their causes. A *trial* depends on all of them. A *trained
model* depends on the modules of its model and trainer and of the pool it reads; no metric, page,
tracker or method is among these. *What a method makes of a model* depends on the method as well.

The code that carries out a trial is a cause of trials as the classes that a configuration names
are: :data:`CARRIES_OUT` and what it imports. What only shows, stores, checks or refuses is cut
off by :data:`MOVES_NOTHING`, so that a progress bar or a tracker can be edited freely.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from erasure.config.paths import to_absolute
from erasure.core.fingerprint import RESULTS_VERSION, fingerprint
from erasure.core.pool import Pool
from erasure.core.source import code_of_targets

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
    "references.workers",
)
"""Settings that say where things go, what is read out or how many work, but move no result."""

CARRIES_OUT = ("erasure.trial.run", "erasure.trial.trial")
"""Modules that carry out a trial, together with what they import."""

REFERENCES = ("erasure.trial.references.grow", "erasure.metrics.privacy.ulira")
"""Modules that make reference models, where there are to be any; the attack says when to stop."""

MOVES_NOTHING = (
    "erasure.config",
    "erasure.evaluation.pictures",
    "erasure.metrics",
    "erasure.results",
    "erasure.training.checksum",
    "erasure.training.model_store",
    "erasure.training.tensor_cache",
    "erasure.trial.alone",
    "erasure.trial.artifacts",
    "erasure.trial.causes",
    "erasure.trial.checks",
    "erasure.trial.describe",
    "erasure.trial.objective",
    "erasure.trial.outcome",
    "erasure.trial.places",
    "erasure.trial.progress",
    "erasure.trial.recorded",
    "erasure.trial.replaced",
    "erasure.trial.table",
    "erasure.trial.task",
    "erasure.trial.why",
    "erasure.unlearners",
)
"""What the code of trials imports to show, store or check; a configuration names its metrics."""

TRAINS = ("erasure.trial.models", "erasure.models.precision")
"""Modules that train a model of a recipe; of the rooms above training, these alone."""

RESIDENT, STREAMED = "erasure.data.pools.tensor", "erasure.data.pools.lazy"
"""Modules of the pools that hold the same samples, all at once or batch by batch."""

UNLEARNS = ("erasure.trial.unlearning", "erasure.trial.requests")
"""Modules that let a method work on a model."""

ABOVE_TRAINING = ("erasure.trial", "erasure.evaluation", *MOVES_NOTHING)
"""What moves no weights, but for :data:`TRAINS` and :data:`UNLEARNS`."""

FILE_KEYS = ("path", "pretrained", "tokenizer", "model.name")
"""Settings that may name a file or a folder."""

BELOW_ROOT = ("", "hf", "hf-models")
"""Folders of ``data.root`` in which such a file or folder may be, besides where it is named."""

WITH_FILES = ("dataset", "split", "model")
"""Groups whose options may read files that a person edits."""


def trial_causes(plain: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return all that can move a result of the trial with a resolved configuration.

    Returns:
        ``config``: settings by dotted name, without places and read-outs. ``modules``: hash of
        the syntax of each module. ``libraries``: versions. ``files``: hash of names, sizes and
        times of all files that a setting may stand for, by ``setting=value``.
    """
    config = {key: value for key, value in flattened(plain) if not _is_left_out(key)}
    settings = plain.get("references", {})
    with_references = bool(settings.get("size") or settings.get("shadows"))
    code = code_of_targets(
        _targets(config.items()),
        also=(*CARRIES_OUT, *(REFERENCES if with_references else ())),
        except_below=(
            *MOVES_NOTHING,
            *(() if with_references else ("erasure.trial.references",)),
        ),
    )
    read = files(plain, WITH_FILES)
    return {
        "config": config,
        "modules": dict(code.modules),
        "libraries": dict(code.libraries),
        "files": {setting: fingerprint(properties) for setting, properties in read.items()},
    }


def trial_fingerprint(plain: Mapping[str, Any]) -> str:
    """Return the hash of all that can move a result of a trial."""
    return fingerprint_of(trial_causes(plain))


def fingerprint_of(causes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the name of a trial with these ``causes``."""
    return fingerprint({**causes, "version": RESULTS_VERSION})


def model_code(recipe: Mapping[str, Any], pool: Pool) -> str:
    """Return a hash of the code that weights depend on.

    Args:
        recipe: Settings of model and trainer.
        pool: What training reads; its classes crop, mirror and gather.
    """
    also = (*TRAINS, *_pool_modules(pool))
    return code_of_targets(
        _targets(flattened(recipe)), also=also, except_below=ABOVE_TRAINING
    ).fingerprint


def method_code(unlearner: Mapping[str, Any]) -> str:
    """Return a hash of the code of a method and of the stage in which it works."""
    return code_of_targets(
        _targets(flattened(unlearner)), also=UNLEARNS, except_below=ABOVE_TRAINING
    ).fingerprint


def pool_code(pool: Pool) -> str:
    """Return a hash of the code by which ``pool`` gives its samples."""
    return code_of_targets((), also=_pool_modules(pool)).fingerprint


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
    properties = {
        f"{key}={text}": _file_properties(text, root)
        for key, texts in flattened({group: plain.get(group) for group in groups})
        # in full or by its last part: `path` in any group, `model.name` in one
        if key in FILE_KEYS or key.rpartition(".")[2] in FILE_KEYS
        for text in (texts if isinstance(texts, list) else [texts])
        if isinstance(text, str) and text
    }
    return {setting: listed for setting, listed in properties.items() if listed}


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Visit the settings of a nested configuration by their dotted names."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flattened(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _is_left_out(key: str) -> bool:
    return any(key == setting or key.startswith(f"{setting}.") for setting in NOT_A_CAUSE)


def _targets(settings: Iterable[tuple[str, Any]]) -> list[str]:
    return [str(value) for key, value in settings if key.rpartition(".")[2] == "_target_"]


def _pool_modules(pool: Pool) -> list[str]:
    """Return the modules of a pool's class, and of the pools that it wraps."""
    modules = []
    inner: Any = pool
    while inner is not None:
        module = type(inner).__module__
        # How much fits into memory is a matter of the machine: data that are held and data that
        # are streamed train one model, and the streaming pool imports the other.
        modules.append(STREAMED if module == RESIDENT else module)
        inner = getattr(inner, "pool", None)
    return list(dict.fromkeys(modules))


def _file_properties(text: str, root: Path) -> list[list[Any]]:
    """Return what is known of all files that ``text`` may stand for, by their names below it."""
    path = os.path.expanduser(text)  # noqa: PTH111  # that of Path refuses unknown users
    bases = [to_absolute(path), *(root / folder / path for folder in BELOW_ROOT)]
    properties = []
    for base in dict.fromkeys(bases):  # a path that is not relative is the same everywhere
        for file in _every_file(base):
            with suppress(FileNotFoundError):  # somebody deleted it just now
                stat = file.stat()
                properties.append([str(file.relative_to(base)), stat.st_size, stat.st_mtime_ns])
    return properties


def _every_file(path: Path) -> list[Path]:
    if path.is_dir():
        # rglob has no order of its own, and a fingerprint needs one
        return sorted(inner for inner in path.rglob("*") if inner.is_file())
    return [path] if path.is_file() else []
