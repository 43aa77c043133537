"""Samples in files of tensors: safetensors and npz."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.task_types import Multiclass, Multilabel
from erasure.data.frames.table import require_resident
from erasure.data.pools.labelled import NOWHERE, TEST
from erasure.data.pools.tensor import TensorPool
from erasure.data.sources.files import existing, reading

ROLES = ("inputs", "targets", "official", "class_names")
"""Names of arrays that are no attributes."""


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """Samples in a ``.safetensors`` or ``.npz`` file; nothing in it is unpickled.

    It holds ``inputs``: images ``(N, C, H, W)`` or ``(N, H, W)``, uint8 or floating point, or
    vectors ``(N, F)``; and ``targets``: classes ``(N,)`` of whole numbers, or ``(N, C)`` of 0 and
    1 where a sample has any number of labels. It may hold ``official`` ``(N,)``: 0 train, 1 val,
    2 test, -1 none. Whatever else it holds is an attribute by which a split can choose: floating
    point is a number; whole numbers, truth values and text are categories; truth values
    ``(N, K)`` are sets. ``class_names`` is an array of text, or in safetensors, which has none,
    a JSON list in the metadata; without it classes are the sorted numbers that occur.

    Args:
        path: The file.
        mean: Subtracted from each channel, after bytes are divided by 255.
        std: What each channel is divided by after that.
    """

    path: str
    mean: Sequence[float] = ()
    std: Sequence[float] = ()

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ConfigError(
                f"std must have as many values as mean, {len(self.mean)}, got {len(self.std)}"
            )
        if any(value <= 0 for value in self.std):
            raise ConfigError(f"std must be > 0, got {list(self.std)}")

    def __call__(self, data_config: DataConfig) -> TensorPool:
        """Return the samples on the device of ``data_config``."""
        path = existing(self.path)
        arrays, names = _arrays(path)
        for role in ("inputs", "targets"):
            if role not in arrays:
                raise DataError(f"{path} must hold {role}, it has {', '.join(sorted(arrays))}")
        inputs = _inputs(_numbers("inputs", arrays["inputs"]))
        require_resident(data_config, {"inputs": inputs}, str(path))
        channels = inputs.shape[1]
        if self.mean and len(self.mean) != channels:
            raise ConfigError(f"mean must have {channels} values, got {len(self.mean)}")
        targets, classes = _targets(_numbers("targets", arrays["targets"]), names)
        several = targets.ndim == 2
        return TensorPool(
            inputs=inputs.to(data_config.device),
            targets=targets.to(data_config.device),
            class_names=classes,
            attributes={n: _column(n, arrays[n]) for n in sorted(arrays) if n not in ROLES},
            official=_official(arrays),
            task_type=Multilabel() if several else Multiclass(),
            divisor=1.0 if inputs.is_floating_point() else 255.0,
            mean=tuple(self.mean),
            std=tuple(self.std),
        )


def _arrays(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what the file holds, as tensors or arrays, and the names of the classes if any."""
    with reading(path):
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                arrays: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                names = json.loads((file.metadata() or {}).get("class_names", "[]"))
                return arrays, [str(name) for name in names]
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return arrays, [str(name) for name in arrays.get("class_names", ())]
    raise ConfigError(f"path must end in .safetensors or .npz, got {path.name}")


def _numbers(name: str, values: Any) -> Tensor:
    """Return an array as a tensor.

    Raises:
        DataError: If it holds text, or numbers that are not real.
    """
    try:
        tensor = torch.as_tensor(values)
    except TypeError as error:
        raise DataError(f"{name} must hold numbers, got {values.dtype}") from error
    if tensor.is_complex():
        raise DataError(f"{name} must hold real numbers, got {tensor.dtype}")
    return tensor


def _inputs(inputs: Tensor) -> Tensor:
    """Return inputs as bytes or float32, images with a channel.

    Raises:
        DataError: If there are none, or a number is missing or infinite.
    """
    if inputs.ndim < 2 or inputs.numel() == 0:
        raise DataError(f"inputs must be (N, F) or (N, C, H, W), got {tuple(inputs.shape)}")
    if inputs.ndim == 3:
        inputs = inputs.unsqueeze(1)
    if inputs.dtype == torch.uint8:
        return inputs
    inputs = inputs.float()
    bad = int((~inputs.isfinite()).flatten(1).any(dim=1).sum())
    if bad:
        raise DataError(f"inputs have NaN or infinite numbers in {bad} of {len(inputs)} samples")
    return inputs


def _targets(targets: Tensor, names: list[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Return labels as whole numbers and the names of the classes.

    Raises:
        DataError: If labels are no whole numbers, or not one or a row of them per sample.
    """
    if targets.ndim not in (1, 2):
        raise DataError(f"targets must be (N,) or (N, C), got {tuple(targets.shape)}")
    # whole numbers cannot be broken, and not all of their types can be rounded
    broken = targets[targets != targets.round()] if targets.is_floating_point() else targets[:0]
    if len(broken):
        raise DataError(
            f"targets must be whole numbers, got {broken[0].item():g}; a measurement has to "
            f"be cut into classes first"
        )
    targets = targets.long()
    if targets.ndim == 2:
        return targets, tuple(names or map(str, range(targets.shape[1])))
    if names:
        return targets, tuple(names)
    values, codes = targets.unique(return_inverse=True)
    return codes, tuple(str(value) for value in values.tolist())


def _column(name: str, values: Any) -> Column:
    """Return an attribute.

    Raises:
        DataError: If it is neither one value per sample nor a set.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "US" and values.ndim == 1:
        names, codes = np.unique(values.astype(str), return_inverse=True)
        empty = int("" in names)  # sorts first, and is missing
        # without the empty text all codes move down by one, and its own becomes -1
        return Column(torch.from_numpy(codes) - empty, tuple(names[empty:].tolist()))
    tensor = _numbers(name, values)
    if tensor.ndim == 2 and tensor.dtype == torch.bool:
        return Column(tensor, tuple(map(str, range(tensor.shape[1]))))
    if tensor.ndim != 1:
        raise DataError(
            f"{name} must be (N,), or (N, K) of truth values, got {tensor.dtype} "
            f"{tuple(tensor.shape)}"
        )
    if tensor.is_floating_point():
        return Column(tensor)
    numbers, codes = tensor.unique(return_inverse=True)
    return Column(codes, tuple(str(value) for value in numbers.tolist()))


def _official(arrays: dict[str, Any]) -> Tensor | None:
    if "official" not in arrays:
        return None
    parts = _numbers("official", arrays["official"]).long()
    if int(parts.min()) < NOWHERE or int(parts.max()) > TEST:
        raise DataError("official must be 0 (train), 1 (val), 2 (test) or -1 (none)")
    return parts.to(torch.int8)
