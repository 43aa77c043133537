"""The files of a trial."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from erasure.config.settings import as_yaml
from erasure.core.context import EvalContext
from erasure.core.references import ReferenceModels
from erasure.core.splits import View
from erasure.data.splits.artifact import save_split
from erasure.evaluation.evaluation import Evaluation
from erasure.evaluation.per_sample import per_sample
from erasure.metrics.privacy.memorization import memorization_tensors
from erasure.trial.trial import Trial


def missing_artifacts(folder: Path, settings: Mapping[str, Any]) -> list[str]:
    """Return which of the files that are asked for an earlier run of the trial did not make."""
    requested = ["loss_histograms.png"] if settings.get("pictures") else []
    if settings["tracking"].get("save_model"):
        requested.append("model.safetensors")
    return [name for name in requested if not (folder / name).is_file()]


def write_config(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a trial as ``config.yaml``; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(as_yaml(settings), encoding="utf-8")


def write_measurements(folder: Path, ctx: EvalContext, evaluation: Evaluation) -> None:
    """Write every value with its meaning, and the per-sample table."""
    (folder / "metrics.json").write_text(
        json.dumps(evaluation.to_json(), indent=1), encoding="utf-8"
    )
    per_sample(ctx).to_parquet(folder / "per_sample.parquet", index=False)


def write_split(folder: Path, trial: Trial) -> None:
    """Write which samples were forgotten, retained and held out, for people and to use again.

    That is ``split.safetensors``, which ``split=artifact split.path=<folder>`` reads, and
    ``split.json``.
    """
    data = trial.data
    save_split(folder, data.indices, data.fingerprint, deleting=data.deletes)


def write_memorization(folder: Path, references: ReferenceModels | None, train: View) -> None:
    """Write how memorized each training sample is, if there are shadow models to tell.

    That is ``memorization.safetensors``, which ``split=difficulty split.path=<file>`` reads. A
    sample that too few shadows saw, or too few did not, is not in it.
    """
    from safetensors.torch import save_file

    tensors = {} if references is None else memorization_tensors(references, train)
    if tensors:
        save_file(tensors, folder / "memorization.safetensors")


def write_model(folder: Path, model: nn.Module) -> None:
    """Write the weights of the unlearned model as ``model.safetensors``."""
    from safetensors.torch import save_file

    # safetensors refuses tensors that share memory, as tied weights do: each gets its own
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    weights = {name: value.contiguous() for name, value in state.items()}
    save_file(weights, folder / "model.safetensors")
