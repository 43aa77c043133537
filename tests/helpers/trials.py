"""Trials of composed configurations, checked as a run checks them."""

from types import SimpleNamespace

from erasure.trial.checks import check
from erasure.trial.task import trial_of


def assemble(cfg, device=None):
    """Return the trial of ``cfg`` with its data loaded, after all checks."""
    trial = trial_of(cfg, device=None if device is None else str(device))
    check(trial)
    return trial


def stand_in(record, **settings):
    """Return what a sweep looks at of a trial that nobody composed."""
    tracked = {"tracking": {}, "pictures": False, "threads": 1, "device": "cpu"}
    return SimpleNamespace(record=record, settings={**tracked, **settings})
