"""Machine-unlearning experiments, swept, measured alike and tracked."""

from importlib import import_module
from typing import Any

from erasure.core import torchvision_import

__version__ = "0.1.0"

PUBLIC = ("datasets", "metrics", "models", "splits", "testing", "training", "unlearners")
"""Modules that are there after ``import erasure``, loaded when they are first looked at."""

FUNCTIONS = {
    "Trial": "erasure.trial.trial",
    "compose": "erasure.api.compose",
    "evaluate": "erasure.api.evaluate",
    "leaderboard": "erasure.api.leaderboard",
    "sweep": "erasure.api.sweep",
    "tune": "erasure.api.tune",
    "unlearn": "erasure.api.unlearn",
}
"""Functions and classes that are there as well, by the module that defines each."""

torchvision_import.install()


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return import_module(f"erasure.{name}")
    if name in FUNCTIONS:
        return getattr(import_module(FUNCTIONS[name]), name)
    raise AttributeError(f"module 'erasure' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC, *FUNCTIONS})
