"""Machine-unlearning experiments, swept, measured alike and tracked."""

from importlib import import_module
from types import ModuleType

from erasure.core import torchvision_import

__version__ = "0.1.0"

PUBLIC = ("datasets", "metrics", "models", "splits", "testing", "unlearners")
"""Modules that are there after ``import erasure``, loaded when they are first looked at."""

torchvision_import.install()


def __getattr__(name: str) -> ModuleType:
    if name in PUBLIC:
        return import_module(f"erasure.{name}")
    raise AttributeError(f"module 'erasure' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
