"""A run of a sweep, composed and named, as it is handed to a launcher."""

from dataclasses import dataclass

from omegaconf import DictConfig

from erasure.results.record import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial of a sweep, ready to run.

    Args:
        number: Its position in the grid, and Hydra's ``hydra.job.num``.
        overrides: What tells Hydra to compose it.
        config: The composed configuration, ``hydra`` node included.
        record: Its name and fingerprint.
        label: Its name, with swept settings that the name leaves out.
        variant: What it shares with the trials that differ from it by seeds alone.
    """

    number: int
    overrides: tuple[str, ...]
    config: DictConfig
    record: TrialRecord
    label: str
    variant: str
