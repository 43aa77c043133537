"""A run of a sweep: a trial with a name, as it is handed to a launcher."""

from dataclasses import dataclass
from typing import Any

from erasure.results.record import TrialRecord
from erasure.trial.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial of a sweep, ready to run.

    Args:
        number: Its position in the sweep; no other run of the sweep has it.
        trial: What is to run.
        label: Its name, with swept settings that the name leaves out.
        variant: What it shares with the trials that differ from it by seeds alone.
        overrides: What tells another process to compose it.
        config: What Hydra composed it to, which its launchers need; None of a trial from Python.
    """

    number: int
    trial: Trial
    label: str
    variant: str
    overrides: tuple[str, ...] = ()
    config: Any = None

    @property
    def record(self) -> TrialRecord:
        """Its name and fingerprint."""
        return self.trial.record

    @property
    def threads(self) -> int:
        """CPU threads it uses."""
        return int(self.trial.settings.get("threads", 1))

    @property
    def cpu_only(self) -> bool:
        """Whether it leaves GPUs alone."""
        return bool(self.trial.settings.get("device") == "cpu")
