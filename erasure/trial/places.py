"""Where a trial finds its data, keeps its models and results, and shows itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from erasure.config.build import build, owner
from erasure.config.paths import to_absolute
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.results.tracker import Tracker


def build_tracker(settings: Mapping[str, Any]) -> Tracker:
    """Build the tracker of a trial."""
    return cast("Tracker", build(settings["tracking"], "tracking"))


def store_root(settings: Mapping[str, Any]) -> Path:
    """Return the absolute folder of the store, relative to where the command was typed."""
    return _absolute(str(settings["store"]["root"]), "store.root")


def data_config(settings: Mapping[str, Any], device: torch.device) -> DataConfig:
    """Return where data lie, relative to where the command was typed."""
    data = settings["data"]
    with owner("data", data):
        return DataConfig(
            device=device,
            root=_absolute(str(data["root"]), "data.root"),
            resident_limit=data["resident_limit"],
            download=data["download"],
            verify=data["verify"],
        )


def _absolute(path: str, key: str) -> Path:
    if not path:
        raise ConfigError(f"{key} must be a folder, got nothing")
    return to_absolute(path)
