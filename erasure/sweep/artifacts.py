"""The files of a trial."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from erasure.core.context import EvalContext
from erasure.evaluation.evaluator import Evaluation
from erasure.evaluation.per_sample import per_sample
from erasure.evaluation.pictures import write_pictures
from erasure.sweep.describe import plain_config


def write_artifacts(
    folder: Path,
    cfg: DictConfig,
    ctx: EvalContext,
    evaluation: Evaluation,
    curves: Mapping[str, Sequence[tuple[int, float]]],
) -> None:
    """Write configuration, measurements, per-sample table, split and pictures to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(plain_config(cfg))))
    (folder / "metrics.json").write_text(json.dumps(evaluation.to_json(), indent=1))
    per_sample(ctx).to_parquet(folder / "per_sample.parquet", index=False)
    _write_split(folder, ctx)
    write_pictures(ctx, curves, folder)
    if cfg.tracking.get("save_model"):
        _write_model(folder, ctx)


def _write_split(folder: Path, ctx: EvalContext) -> None:
    from safetensors.torch import save_file

    names = ("forget", "retain", "val", "test")
    parts = {name: ctx.splits.part(name).index.cpu().contiguous() for name in names}
    save_file(parts, folder / "split.safetensors")


def _write_model(folder: Path, ctx: EvalContext) -> None:
    from safetensors.torch import save_file

    state = ctx.models["unlearned"].state_dict()
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    save_file(weights, folder / "model.safetensors")
