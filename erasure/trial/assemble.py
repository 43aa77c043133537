"""A trial built from its configuration, its parts checked against each other."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from erasure.config.build import build, owner
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.pool import FittingPool, Pool
from erasure.core.protocols import (
    AlteringSplit,
    ComposingTrainer,
    DeletingSplit,
    EvaluatingSplit,
    SplitStrategy,
    Trainer,
)
from erasure.core.seeding import isolated, stream
from erasure.core.splits import SplitIndices, View
from erasure.core.task import Fresh
from erasure.models.precision import with_precision
from erasure.results.tracker import Tracker
from erasure.training.compute import resolve_device
from erasure.trial.causes import files, method_code, model_code, to_absolute
from erasure.trial.checks import check_keys, check_model, check_objective, check_references
from erasure.trial.describe import plain_config
from erasure.trial.references.settings import ReferenceSettings
from erasure.trial.trial import Seeds, Trial


def assemble(cfg: DictConfig, device: torch.device | None = None) -> Trial:
    """Build all parts of the trial ``cfg`` and check that they fit together.

    Args:
        cfg: The composed configuration.
        device: Overrides the configured device.

    Raises:
        ErasureError: With one message that names the setting and what is allowed.
    """
    plain = plain_config(cfg)
    check_keys(plain)
    chosen_device = device or resolve_device(cfg.device)
    evaluator = build(cfg.evaluator, "evaluator")
    objective = build(cfg.objective, "objective")
    check_objective(objective, evaluator)
    unlearner = build(cfg.unlearner, "unlearner")
    trainer = build(cfg.trainer, "trainer")
    seeds = Seeds(**plain["seeds"])
    data_fingerprint, pool, indices, remaining, evaluated, probes = _data(
        cfg, plain, chosen_device, seeds.split
    )
    trial = Trial(
        data_fingerprint=data_fingerprint,
        pool=pool,
        indices=indices,
        remaining=remaining,
        evaluated=evaluated,
        probes=probes,
        fresh_of=lambda seed: _composed(
            trainer, _model_builder(cfg, pool, seed, chosen_device), pool
        ),
        recipe=_recipe(plain, chosen_device, pool),
        method={"unlearner": plain["unlearner"], "code": method_code(plain["unlearner"])},
        trainer=trainer,
        unlearner=unlearner,
        evaluator=evaluator,
        objective=objective,
        device=chosen_device,
        seeds=seeds,
        reference_settings=_reference_settings(plain["references"]),
    )
    check_model(trial)
    check_references(trial)
    return trial


def build_tracker(cfg: DictConfig) -> Tracker:
    """Build the tracker of ``cfg``."""
    return cast("Tracker", build(cfg.tracking, "tracking"))


def store_root(cfg: DictConfig) -> Path:
    """Return the absolute folder of the store, relative to where the command was typed."""
    return _absolute(str(cfg.store.root), "store.root")


def current_data_fingerprint(cfg: DictConfig) -> str:
    """Return the fingerprint of the data of ``cfg`` as they are now."""
    dataset = json.dumps(plain_config(cfg)["dataset"], sort_keys=True)
    return _pool(dataset, data_config(cfg, torch.device("cpu"))).fingerprint


def data_config(cfg: DictConfig, device: torch.device) -> DataConfig:
    """Return where data lie, relative to where the command was typed."""
    with owner("data", cfg.data):
        return DataConfig(
            device=device,
            root=_absolute(str(cfg.data.root), "data.root"),
            resident_limit=cfg.data.resident_limit,
            download=cfg.data.download,
            verify=cfg.data.verify,
        )


def _absolute(path: str, key: str) -> Path:
    if not path:
        raise ConfigError(f"{key} must be a folder, got nothing")
    return to_absolute(path)


@lru_cache(maxsize=1)
def _pool(dataset: str, config: DataConfig) -> Pool:
    """Load a data set; a sweep that checks its trials loads it once.

    Raises:
        DataError: If a file or folder cannot be read or written.
    """
    # as text, because a cache needs arguments that can be hashed
    node = OmegaConf.create({"dataset": json.loads(dataset)})
    source = build(node.dataset, "dataset")
    with owner("dataset", node.dataset):
        try:
            pool: Pool = source(config)
        except OSError as error:  # such as a full disk, or a folder that belongs to another
            raise DataError(
                "the data set cannot be read, or not be kept below "
                f"data.root={config.root}: {error}"
            ) from error
    return pool


def _data(
    cfg: DictConfig, plain: Mapping[str, Any], device: torch.device, seed: int
) -> tuple[str, Pool, SplitIndices, View, Pool, Mapping[str, View]]:
    """Load, split, fit what preprocessing there is on the training set, alter, and delete."""
    pool = _pool(json.dumps(plain["dataset"], sort_keys=True), data_config(cfg, device))
    loaded_fingerprint = pool.fingerprint  # before anything is fitted or altered
    strategy: SplitStrategy = build(cfg.split, "split")
    with owner("split", cfg.split):
        indices = strategy(pool, stream(seed, "split"))
        if isinstance(pool, FittingPool):
            pool = pool.fitted(indices.train)
        probes: Mapping[str, View] = {}
        if isinstance(strategy, AlteringSplit):
            probes = strategy.probes(pool, indices)
            pool = strategy.altered(pool, indices)
        remaining = View(pool, indices.retain)
        if isinstance(strategy, DeletingSplit):
            remaining = strategy.remaining(pool, indices)
        evaluated = pool
        if isinstance(strategy, EvaluatingSplit):
            evaluated = strategy.evaluated(pool, indices)
    return loaded_fingerprint, pool, indices, remaining, evaluated, probes


def _model_builder(cfg: DictConfig, pool: Pool, seed: int, device: torch.device) -> Fresh:
    offered = {"input_shape": pool.input_shape, "num_classes": pool.num_classes, **pool.properties}

    def fresh(salt: str = "") -> nn.Module:
        # without a salt the path is shorter, which gives the trial's own initial weights
        with isolated(seed, "model", *([salt] if salt else [])):
            model: nn.Module = build(cfg.model, "model", **offered)
        return with_precision(model, cfg.precision).to(device)

    return fresh


def _composed(trainer: Trainer, fresh: Fresh, pool: Pool) -> Fresh:
    return (
        trainer.compose(fresh, pool.task_type) if isinstance(trainer, ComposingTrainer) else fresh
    )


def _recipe(plain: Mapping[str, Any], device: torch.device, pool: Pool) -> Mapping[str, Any]:
    """Return the causes of weights; threads and the kind of device move their last bits."""
    recipe = {key: plain[key] for key in ("model", "trainer", "precision", "threads")}
    recipe |= {"device": device.type, "code": model_code(recipe, pool)}
    weights = files(plain, ("model",))
    return {**recipe, "files": weights} if weights else recipe


def _reference_settings(settings: Mapping[str, Any]) -> ReferenceSettings:
    with owner("references", settings):
        return ReferenceSettings(**settings)
