"""Slots to run trials in at the same time: threads and GPUs dealt out evenly."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from erasure.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Slot:
    """What one trial at a time runs in.

    Args:
        env: Environment variables its trials run with.
    """

    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What this machine gives to trials; the fields are keys of ``hydra/launcher=local``.

    Args:
        n_jobs: Trials at a time; ``auto`` is ``trials_per_gpu`` on every GPU, or without GPUs
            the number of cores divided by the threads of a trial.
        gpus: GPUs to use by number or UUID; ``auto`` is every visible one, unless the trials
            ask for ``device=cpu``; ``none`` hides them from the trials.
        trials_per_gpu: Trials that share a GPU when ``n_jobs`` is ``auto``.

    Raises:
        ConfigError: If a number is below 1 or a word unknown.
    """

    n_jobs: int | Literal["auto"] = "auto"
    gpus: Literal["auto", "none"] | Sequence[int | str] = "auto"
    trials_per_gpu: int = 1

    def __post_init__(self) -> None:
        if self.n_jobs != "auto" and not _is_count(self.n_jobs):
            raise ConfigError(
                f"hydra.launcher.n_jobs must be auto or at least 1, got {self.n_jobs}"
            )
        if isinstance(self.gpus, str) and self.gpus not in ("auto", "none"):
            raise ConfigError(f"hydra.launcher.gpus must be auto, none or a list, got {self.gpus}")
        if not _is_count(self.trials_per_gpu):
            raise ConfigError(
                f"hydra.launcher.trials_per_gpu must be at least 1, got {self.trials_per_gpu}"
            )

    def slots(self, *, threads: int, cpu_only: bool) -> list[Slot]:
        """Deal out slots for trials of ``threads`` threads each."""
        gpus = self._chosen_gpus(cpu_only=cpu_only)
        count = self._count(len(gpus), threads)
        if gpus:
            # in turn: slots beyond the number of GPUs share them evenly
            return [Slot(env=_only_gpu(gpus[index % len(gpus)])) for index in range(count)]
        # empty hides every GPU, absent shows all
        hidden = _only_gpu("") if self.gpus == "none" else {}
        return [Slot(env=hidden) for _ in range(count)]

    def _count(self, num_gpus: int, threads: int) -> int:
        if self.n_jobs != "auto":
            return self.n_jobs
        # 0 without a GPU: then the cores decide
        return num_gpus * self.trials_per_gpu or max(1, _cores() // max(1, threads))

    def _chosen_gpus(self, *, cpu_only: bool) -> list[str]:
        if self.gpus == "none" or (self.gpus == "auto" and cpu_only):
            return []
        if self.gpus == "auto":
            return visible_gpus()
        return [str(gpu) for gpu in self.gpus]


def visible_gpus() -> list[str]:
    """Return the GPUs a process started here would see, without importing torch for it."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu.strip() for gpu in chosen.split(",") if gpu.strip() not in ("", "-1")]
    torch = sys.modules.get("torch")
    if torch is not None:
        return [str(number) for number in range(torch.cuda.device_count())]
    drivers = Path("/proc/driver/nvidia/gpus")  # one folder per GPU; not there without a driver
    return [str(number) for number, _ in enumerate(drivers.glob("*"))]


def _cores() -> int:
    """Return the cores this process may use; a container's share counts, not its host's."""
    from joblib import cpu_count

    return int(cpu_count())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _only_gpu(gpu: str) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": gpu}
