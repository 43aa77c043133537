"""Whoever watches a method while it runs, and may end it: a study that prunes, or a time limit."""

from contextlib import AbstractContextManager
from typing import Protocol

from torch import nn

from erasure.core.task import Report
from erasure.trial.trial import Trial


class Monitor(Protocol):
    """Hears of the progress of a method.

    Attributes:
        seconds: Time it has taken itself, which is not the method's.
    """

    seconds: float

    def prepare(self, trial: Trial, original: nn.Module, gold: nn.Module) -> None:
        """Take note of what the model comes from and where it should go."""

    def limiting(self) -> AbstractContextManager[None]:
        """End what runs in a block once its time is over."""

    def watching(self, model: nn.Module, report: Report) -> Report:
        """Return a report that passes on what it hears and may raise ``PrunedError``."""
