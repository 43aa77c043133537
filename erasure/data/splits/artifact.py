"""Splits on disk: written by every trial, and used again by others."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, DataError, UnsupportedError
from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.core.pool import Pool
from erasure.core.splits import PARTS, SplitIndices, View
from erasure.core.trial_data import TrialData, altered_data, plain_data
from erasure.data.splits.canary import canaries_out, with_canaries
from erasure.data.splits.confusion import swapped
from erasure.data.splits.poison import poisoned, triggered

FILE = "split.safetensors"
REPEATABLE = ("", "class", "attribute", "query", "difficulty")
"""Kinds of scenario whose ids say everything; ``""`` is that of none."""

ALTERATIONS: Mapping[str, Callable[[Pool, SplitIndices], Pool]] = {
    "confusion": swapped,
    "poison": poisoned,
    "canary": with_canaries,
}
"""How the data of a scenario are altered, which ids and scenario say as well."""

PROBES: Mapping[str, Callable[[Pool, SplitIndices], Mapping[str, View]]] = {
    "poison": triggered,
    "canary": canaries_out,
}
"""What else metrics look at in a scenario."""


@dataclass(frozen=True, kw_only=True)
class ArtifactSplit:
    """Use the split of an earlier trial again, down to the last id and the order of requests.

    Labels that were swapped or made wrong, and triggers, are put in place again. The seed moves
    nothing.

    Args:
        path: The folder of artifacts of a trial, or its ``split.safetensors``.
    """

    path: str

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Return the split that was written.

        Raises:
            ConfigError: If there is none, or it is one of other data.
            DataError: If it is damaged.
            UnsupportedError: If ids alone do not say what the split did.
        """
        del generator
        return read_split(Path(self.path), pool.fingerprint)

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Divide ``pool`` as it was, and alter the data as they were."""
        data = plain_data(pool, self(pool, generator))
        kind = data.indices.scenario.get("kind", "")
        if kind not in ALTERATIONS:
            return data
        probes = PROBES[kind](data.pool, data.indices) if kind in PROBES else {}
        return altered_data(data, ALTERATIONS[kind](data.pool, data.indices), probes)


def save_split(folder: Path, indices: SplitIndices, data: str, *, deleting: bool = False) -> None:
    """Write a split as ``split.safetensors`` for machines and ``split.json`` for people.

    Args:
        folder: Where to; it exists.
        indices: The split.
        data: Fingerprint of the data that were split.
        deleting: Whether it also deleted parts of what stays, which ids do not say.
    """
    from safetensors.torch import save_file

    tensors = _tensors(indices)
    facts: dict[str, Any] = {
        "data": data,
        "scenario": dict(indices.scenario),
        "deleting": deleting,
    }
    digest = _digest(tensors, facts)
    # safetensors keeps nothing but text beside its tensors
    metadata = {"facts": json.dumps(facts), "hash": digest}
    save_file(tensors, folder / FILE, metadata=metadata)
    readable = {
        "hash": digest,
        **facts,
        "counts": {name: len(getattr(indices, name)) for name in PARTS},
        "same_population": None
        if indices.same_population is None
        else len(indices.same_population),
        "requests": [len(ids) for ids in indices.requests] or [len(indices.forget)],
    }
    (folder / "split.json").write_text(json.dumps(readable, indent=1), encoding="utf-8")


def read_split(path: Path, data: str) -> SplitIndices:
    """Read what :func:`save_split` wrote.

    Args:
        path: The file, or the folder it is in.
        data: Fingerprint of the data at hand, which must be that of the data that were split.

    Raises:
        ConfigError: If there is no such file, or it is the split of other data.
        DataError: If it is damaged.
        UnsupportedError: If ids alone do not say what the split did.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(
            f"path must be the folder of artifacts of a trial or its {FILE}, got {path}, where "
            f"there is no such file"
        )
    tensors, facts, digest = _read(file)
    if digest != _digest(tensors, facts):
        raise DataError(f"{file} is damaged: its ids do not have the hash that is noted in it")
    if facts["data"] != data:
        raise ConfigError(
            f"path must be a split of these data, whose fingerprint is {data}; {file} was made "
            f"for {facts['data']}"
        )
    kind = facts["scenario"].get("kind", "")
    if facts["deleting"] or kind not in (*REPEATABLE, *ALTERATIONS):
        raise UnsupportedError(
            f"{file} cannot be used again, because its split did more than choose samples "
            f"({kind or 'it deleted parts of a graph'}); name the split itself, with the same seed"
        )
    sizes = tensors["request_sizes"].tolist()
    return SplitIndices(
        **{name: tensors[name] for name in PARTS},
        same_population=tensors.get("same_population"),
        # requests lie one after the other in one tensor, cut by their sizes
        requests=tensors["requests"].split(sizes) if sizes else (),
        scenario=facts["scenario"],
    )


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            noted = opened.metadata() or {}
            # an open file has keys() but cannot be iterated over
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return tensors, json.loads(noted["facts"]), noted["hash"]
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{file} cannot be read as a split: {error}") from error
    except KeyError as error:
        raise DataError(
            f"{file} is not a split that a trial wrote: it notes no {error}"
        ) from error


def _tensors(indices: SplitIndices) -> dict[str, Tensor]:
    tensors = {name: getattr(indices, name) for name in PARTS}
    tensors["requests"] = torch.cat(indices.requests) if indices.requests else torch.empty(0)
    tensors["request_sizes"] = torch.tensor([len(ids) for ids in indices.requests])
    if indices.same_population is not None:
        tensors["same_population"] = indices.same_population
    return {name: ids.long().cpu().contiguous() for name, ids in tensors.items()}


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    ids = [f"{name} {tensor_fingerprint(tensors[name])}" for name in sorted(tensors)]
    return combine([fingerprint(facts), *ids])
