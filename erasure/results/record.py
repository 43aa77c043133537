"""The record of a trial: what identifies it, and what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

Outcome = Literal["finished", "failed", "diverged", "pruned"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """What identifies a trial before it runs.

    Args:
        name: For a reader: ``scrub · digits_noisy · mlp · seed 0``.
        fingerprint: Hash of everything that can move a result.
        params: Flattened resolved configuration, dotted keys to text.
        tags: Choices by group (``unlearner``, ``dataset``, ``model``, ``split``), seeds, commit.
        causes: What the fingerprint is the hash of, by section and name: ``config`` (settings that
            can move a result), ``modules`` (hash of their syntax), ``libraries`` (versions),
            ``files`` (hash of their properties). Kept beside the result, and empty in one that
            was read back; see ``ResultStore.causes``.
    """

    name: str
    fingerprint: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    causes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What came of a trial; kept as ``result.json`` beside its artifacts.

    Args:
        trial: What identifies it.
        outcome: ``finished``, or why there are no numbers.
        reason: The error in one line, empty when finished.
        traceback: The error in full, empty when finished.
        metrics: Every finite measured value by name.
        curves: Values by name, one per step, from the methods and trainers.
        seconds: Wall time of each stage of this process.
        trained: Number of models this trial had to train; 0 when all came from the store.
        started: Unix time of the start.
        ended: Unix time of the end.
        run: Identifier of the tracking run that holds this result, empty until it was written.
    """

    trial: TrialRecord
    outcome: Outcome
    reason: str = ""
    traceback: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    trained: int = 0
    started: float = 0.0
    ended: float = 0.0
    run: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, without the causes of the trial."""
        data = asdict(replace(self, trial=replace(self.trial, causes={})))
        del data["trial"]["causes"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TrialResult":
        """Rebuild a result from :meth:`to_json`; unknown keys of later versions are ignored."""
        arguments = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        arguments["trial"] = TrialRecord(**data["trial"])
        arguments["curves"] = {
            name: [(int(step), float(value)) for step, value in points]
            for name, points in data.get("curves", {}).items()
        }
        return cls(**arguments)
