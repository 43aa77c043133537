"""No tracking: results stay on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from erasure.results.record import TrialRecord, TrialResult
from erasure.results.tracker import Sweep

NOWHERE = "none"
"""The id of every run that is not tracked."""


@dataclass(frozen=True)
class NoTracker:
    """Show results to nobody.

    Args:
        save_model: Whether the unlearned weights belong to the artifacts of a trial.
        parent: What :meth:`start_sweep` returned; there so that a sweep treats all trackers alike.
    """

    save_model: bool = False
    parent: str = ""

    @property
    def uri(self) -> str:
        """Nowhere."""
        return ""

    @property
    def experiment(self) -> str:
        """None."""
        return ""

    def check(self) -> None:
        """Nothing can be wrong."""

    def prepare(self) -> None:
        """Nothing is shared."""

    def start(
        self,
        trial: TrialRecord,  # noqa: ARG002  # the protocol of trackers, as below
        parent: str = "",  # noqa: ARG002
        started: float = 0.0,  # noqa: ARG002
    ) -> str:
        """Return the id that stands for no run."""
        return NOWHERE

    def find(self, result: TrialResult) -> str:  # noqa: ARG002
        """Return the id that stands for no run."""
        return NOWHERE

    def finish(self, run: str, result: TrialResult, artifacts: Path) -> None:
        """Leave the result where it is."""

    def has(self, run: str) -> bool:
        """Tell whether ``run`` came from here."""
        return run == NOWHERE

    def reap(self, is_running: Callable[[str], bool]) -> int:  # noqa: ARG002
        """Find nothing left open."""
        return 0

    def start_sweep(self, sweep: Sweep) -> str:  # noqa: ARG002
        """Return the id that stands for no run."""
        return NOWHERE

    def finish_sweep(self, run: str, summary_markdown: str, artifacts: Path, failed: int) -> None:
        """Leave the summary where it is."""

    def address(self) -> str:
        """Return nothing to open."""
        return ""

    def page(self) -> str:
        """Return nothing to open."""
        return ""
