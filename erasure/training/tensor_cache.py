"""Tensors that many trials need: importances, teacher logits, masks; computed once, ever."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor


@dataclass(frozen=True)
class TensorCache:
    """Files ``<root>/tensors/<key>.safetensors``; the seconds it took are in the file's header.

    Any number of processes may use it at once. A file is written whole or not at all.
    """

    root: Path

    def get(
        self, key: str, device: torch.device, compute: Callable[[], Mapping[str, Tensor]]
    ) -> tuple[Mapping[str, Tensor], float, bool]:
        """Return tensors, the seconds their computation took, and whether it was this call's."""
        path = self.root / "tensors" / f"{key}.safetensors"
        entry = _read(path, device)
        if entry is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            locks = self.root / ".locks"
            locks.mkdir(exist_ok=True)
            with FileLock(locks / f"tensors-{key}.lock"):
                entry = _read(path, device)  # another process may have been first
                if entry is None:
                    return _computed(path, compute)
        return *entry, False


def _computed(
    path: Path, compute: Callable[[], Mapping[str, Tensor]]
) -> tuple[Mapping[str, Tensor], float, bool]:
    from safetensors.torch import save_file

    begun = time.perf_counter()
    tensors = compute()
    seconds = time.perf_counter() - begun
    partial = path.with_suffix(f".{os.getpid()}")  # beside it, so that replace is one step
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, partial, metadata={"seconds": json.dumps(seconds)})
    partial.replace(path)
    return tensors, seconds, True


def _read(path: Path, device: torch.device) -> tuple[Mapping[str, Tensor], float] | None:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, float(json.loads(file.metadata()["seconds"]))
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None  # cut short or altered: computed again
