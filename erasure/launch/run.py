"""A run of a sweep, composed and named, as it is handed to a launcher."""

from dataclasses import dataclass
from typing import Any

from erasure.results.record import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial of a sweep, ready to run.

    Args:
        number: Its position in the sweep; no other run of the sweep has it.
        overrides: What tells another process to compose it.
        config: What it is made of, opaque to launchers.
        record: Its name and fingerprint.
        label: Its name, with swept settings that the name leaves out.
        variant: What it shares with the trials that differ from it by seeds alone.
        threads: CPU threads it uses.
        cpu_only: Whether it leaves GPUs alone.
    """

    number: int
    overrides: tuple[str, ...]
    config: Any
    record: TrialRecord
    label: str
    variant: str
    threads: int = 1
    cpu_only: bool = False
