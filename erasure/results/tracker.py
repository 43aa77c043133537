"""What a tracker does for a trial and for a sweep."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from erasure.core.errors import TrackingError
from erasure.results.record import TrialRecord, TrialResult

UNOPENED = "unopened:"
"""Begins what stands for the run of a sweep that could not be opened; a fingerprint follows."""


class RunLostError(TrackingError):
    """A run is gone: deleted, or its database is another one now."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What identifies a sweep before it runs.

    Args:
        fingerprint: Hash of what is swept; the same sweep again continues the same run.
        name: For a reader: ``6 unlearners x 3 seeds on digits_noisy``.
        command: The command line that repeats it.
        overrides: What varies, setting to values as text.
        total: Number of trials.
        description: Markdown for the page of the run, until the summary replaces it.
        tags: What is fair to know about it and may differ when it goes on, such as a budget.
    """

    fingerprint: str
    name: str
    command: str
    overrides: Mapping[str, str]
    total: int
    description: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Tracker(Protocol):
    """Shows trials and sweeps to people; a run is known by its id.

    Every method but :meth:`check` raises :class:`TrackingError` when the server or database
    cannot be used.
    """

    @property
    def uri(self) -> str:
        """Where runs go; empty if nowhere."""

    @property
    def experiment(self) -> str:
        """Name of the collection that runs belong to; empty if they go nowhere."""

    @property
    def save_model(self) -> bool:
        """Whether the unlearned weights belong to the artifacts of a trial."""

    @property
    def parent(self) -> str:
        """The run of the sweep that this process works for, or empty."""

    def check(self) -> None:
        """Find out within seconds, changing nothing, whether results can be shown later.

        Raises:
            ConfigError: If not; the message starts with ``uri``.
        """

    def prepare(self) -> None:
        """Create what all processes share; safe to call twice and from several at once.

        Raises:
            ConfigError: If the settings name something that cannot be used.
        """

    def start(self, trial: TrialRecord, parent: str = "", started: float = 0.0) -> str:
        """Open a run for ``trial`` below ``parent`` and return its id.

        Args:
            trial: The question.
            parent: Run of the sweep, or empty.
            started: Unix time of the start, 0 for now.
        """

    def find(self, result: TrialResult) -> str:
        """Return the run that waits for ``result`` or holds it already, or an empty string."""

    def finish(self, run: str, result: TrialResult, artifacts: Path) -> None:
        """Write ``result`` and the files below ``artifacts`` to ``run`` and close it.

        Doing it again, after half of it failed or all of it worked, changes nothing.

        Raises:
            RunLostError: If the run does not exist any more.
        """

    def has(self, run: str) -> bool:
        """Tell whether ``run`` exists, is not deleted and finished."""

    def reap(self, is_running: Callable[[str], bool]) -> int:
        """Close the runs that dead processes of this machine left open.

        Args:
            is_running: Tells for the fingerprint of a trial whether a process works on it.

        Returns:
            How many there were.
        """

    def start_sweep(self, sweep: Sweep) -> str:
        """Open the run of a sweep, the earlier one if there is one, and return its id."""

    def finish_sweep(self, run: str, summary_markdown: str, artifacts: Path, failed: int) -> None:
        """Close the run of a sweep.

        Args:
            run: What :meth:`start_sweep` returned.
            summary_markdown: Becomes the description of the run.
            artifacts: Folder of tables and plots; it may be missing.
            failed: Number of trials without a result.
        """

    def address(self) -> str:
        """Return the line a person pastes into a terminal or browser, or an empty string."""

    def page(self) -> str:
        """Return the link to the leaderboard once :meth:`address` is open, or an empty string."""
