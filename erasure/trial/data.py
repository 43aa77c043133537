"""The data of a trial: loaded, and split."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch

from erasure.config.build import build, owner
from erasure.core.data_config import DataConfig
from erasure.core.errors import DataError
from erasure.core.pool import Pool
from erasure.core.protocols import SplitStrategy
from erasure.core.seeding import stream
from erasure.core.trial_data import TrialData
from erasure.data.splits.prepared import prepare
from erasure.trial.places import data_config


def trial_data(
    settings: Mapping[str, Any], split: SplitStrategy, config: DataConfig, seed: int
) -> TrialData:
    """Load the data set of ``settings`` and split it.

    Raises:
        ErasureError: If the data cannot be loaded, or not be split like this.
    """
    pool = _pool(json.dumps(settings["dataset"], sort_keys=True), config)
    with owner("split", settings["split"]):
        return prepare(split, pool, stream(seed, "split"))


def current_data_fingerprint(settings: Mapping[str, Any]) -> str:
    """Return the fingerprint of the data of a trial as they are now."""
    dataset = json.dumps(settings["dataset"], sort_keys=True)
    return _pool(dataset, data_config(settings, torch.device("cpu"))).fingerprint


@lru_cache(maxsize=1)
def _pool(dataset: str, config: DataConfig) -> Pool:
    """Load a data set; a sweep that checks its trials loads it once.

    Raises:
        DataError: If a file or folder cannot be read or written.
    """
    # as text, because a cache needs arguments that can be hashed
    settings = json.loads(dataset)
    source = build(settings, "dataset")
    with owner("dataset", settings):
        try:
            pool: Pool = source(config)
        except OSError as error:  # such as a full disk, or a folder that belongs to another
            raise DataError(
                "the data set cannot be read, or not be kept below "
                f"data.root={config.root}: {error}"
            ) from error
    return pool
