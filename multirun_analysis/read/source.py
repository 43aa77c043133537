"""What a run is as MLflow has it, and what a source of runs can do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

CHUNK = 500
"""Runs per query; databases and servers limit the length of a query."""


@dataclass(frozen=True, kw_only=True)
class RawRun:
    """A run as MLflow has it; times are Unix seconds, 0 if unknown."""

    run_id: str
    name: str
    experiment: str
    status: str
    started: float
    ended: float
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class RunReader(Protocol):
    """Reads runs in bulk; deleted runs and experiments do not exist.

    Every method raises :class:`AnalysisError` if the database or server cannot be used.
    """

    def experiments(self) -> dict[str, str]:
        """Return the names of the experiments by id."""

    def search(self, experiments: Iterable[str], tag: str = "", value: str = "") -> list[RawRun]:
        """Return the runs of experiments.

        Args:
            experiments: Ids.
            tag: Return only runs that have this tag, and
            value: only those where it has this value, if it is not empty.
        """

    def fetch(self, experiments: Iterable[str], run_ids: Sequence[str]) -> list[RawRun]:
        """Return the runs of experiments that are among ``run_ids``."""


def chunks(items: Sequence[str]) -> Iterator[list[str]]:
    """Yield ``items`` in portions that fit into a query."""
    for start in range(0, len(items), CHUNK):
        yield list(items[start : start + CHUNK])
