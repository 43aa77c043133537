"""The store of trained models: every model is trained once, ever.

One folder per model, ``<root>/<key>/`` with ``weights.safetensors`` and ``meta.json``. The key is
the hash of everything the weights depend on, so original, gold and any other trained model are
requests of one kind, and processes that ask for the same one at once wait for one of them.
"""

import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock
from torch import Tensor, nn

from erasure.core.errors import ConfigError, StoreError
from erasure.core.fingerprint import RESULTS_VERSION, fingerprint, ids_fingerprint
from erasure.core.fingerprint import tensor_fingerprint as hash_of
from erasure.core.splits import View
from erasure.training.checksum import file_checksum

log = logging.getLogger(__name__)

DAY = 86400.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Everything the weights of a trained model depend on.

    Args:
        recipe: Resolved model and trainer configuration, plain JSON data.
        data: Fingerprint of the pool.
        samples: Hash of the sample ids, in any order, and of labels that differ from the pool's.
        seed: Training seed.
        version: Results version of the code.
    """

    recipe: Mapping[str, Any]
    data: str
    samples: str
    seed: int
    version: int = RESULTS_VERSION

    @classmethod
    def of(cls, recipe: Mapping[str, Any], view: View, seed: int) -> "ModelRequest":
        """Ask for the model of ``recipe`` trained on ``view``."""
        # A set of ids is hashed in any order; labels follow in the order of rising ids.
        samples = ids_fingerprint(view.index)
        if view.labels is not None:
            order = view.index.argsort()
            samples = fingerprint([samples, hash_of(view.labels[order])])
        return cls(recipe=recipe, data=view.pool.fingerprint, samples=samples, seed=seed)

    @property
    def key(self) -> str:
        """The name of the model in the store."""
        return fingerprint(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model as it comes out of the store.

    Args:
        key: Its name.
        state: Its weights by name, on the CPU.
        seconds: How long the training took, whenever that was.
        curve: Training loss of each epoch.
        steps: Number of optimizer steps the training took.
        fresh: Whether this call trained it.
    """

    key: str
    state: Mapping[str, Tensor]
    seconds: float
    curve: tuple[float, ...]
    steps: int
    fresh: bool


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a training run hands over to the store.

    Args:
        model: The trained model.
        curve: Training loss of each epoch.
        steps: Number of optimizer steps.
        seconds: How long it took; None takes the time until it was handed over.
    """

    model: nn.Module
    curve: Sequence[float]
    steps: int
    seconds: float | None = None


@dataclass(frozen=True)
class ModelStore:
    """Trained models below ``root``; any number of processes may use it at once."""

    root: Path

    def check(self) -> None:
        """Refuse a root that cannot be written, before anything is trained.

        Raises:
            ConfigError: If the folder cannot be made or written to.
        """
        try:
            self._partial.mkdir(parents=True, exist_ok=True)
            probe = self._partial / f"probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"root must be a folder that can be written to, got {self.root} ({error.strerror})"
            ) from error

    def get(self, request: ModelRequest, train: Callable[[], Training]) -> Trained:
        """Return the model of ``request``, training it with ``train`` only if nobody has."""
        key = request.key
        trained = self._read(key)
        if trained is None:
            # another process may have trained it while this one waited for the lock
            with self.lock(key):
                trained = self._read(key) or self._train(request, train)
        self._touch(key)
        return trained

    def has(self, request: ModelRequest) -> bool:
        """Tell whether the model of ``request`` is there and whole."""
        return not self.damage(request.key)

    def state(self, key: str) -> Mapping[str, Tensor]:
        """Return the weights of an entry by name, on the CPU.

        Raises:
            StoreError: If it is missing or damaged.
        """
        trained = self._read(key)
        if trained is None:
            raise StoreError(f"the model {key} is no longer in {self.root}, or damaged; run again")
        return trained.state

    def entries(self) -> list[str]:
        """Return the keys of all entries, whole or damaged."""
        # A key is 32 hex digits, so .partial and .locks are no entries.
        return sorted(path.name for path in self.root.glob("[0-9a-f]" * 32))

    def meta(self, key: str) -> dict[str, Any]:
        """Return what is known about an entry besides its weights.

        Raises:
            StoreError: If it cannot be read.
        """
        try:
            meta: Any = json.loads((self.root / key / "meta.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"meta.json cannot be read ({error})") from error
        # The seal is the hash of everything else, and is taken out before hashing it again.
        seal = meta.pop("seal", None) if isinstance(meta, dict) else None
        if seal != fingerprint(meta):
            raise StoreError("meta.json is not what was written (its seal differs)")
        return cast("dict[str, Any]", meta)

    def lock(self, name: str) -> FileLock:
        """Return a lock that all processes on this store share, to be held for a block."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def holds(self, key: str) -> bool:
        """Tell whether an entry is there, by its size and without reading all of it."""
        try:
            size = (self.root / key / "weights.safetensors").stat().st_size
            return bool(self.meta(key)["bytes"] == size)
        except (StoreError, OSError):
            return False

    def damage(self, key: str) -> str:
        """Return what is wrong with an entry, or nothing."""
        weights = self.root / key / "weights.safetensors"
        try:
            expected = self.meta(key)["checksum"]  # the seal was right, so it is there
        except StoreError as error:
            return str(error)
        if not weights.is_file():
            return "weights.safetensors is missing"
        if file_checksum(weights) != expected:
            return "weights.safetensors is not what was written (its checksum differs)"
        return ""

    def remove(self, key: str) -> None:
        """Delete an entry, whatever state it is in."""
        with self.lock(key):
            self._discard(key)

    def sweep_partials(self) -> int:
        """Delete what killed processes left half written a day ago or more; return its bytes."""
        freed = 0
        for path in self._partial.glob("*-*"):
            if time.time() - path.stat().st_mtime > DAY:  # younger ones may still be written
                freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                shutil.rmtree(path, ignore_errors=True)
        return freed

    @property
    def _partial(self) -> Path:
        return self.root / ".partial"

    def _read(self, key: str) -> Trained | None:
        from safetensors.torch import load_file

        if self.damage(key):
            return None
        try:
            meta = self.meta(key)
            state = load_file(self.root / key / "weights.safetensors")
        except (StoreError, OSError):
            return None  # somebody collected it just now
        return Trained(
            key=key,
            state=state,
            seconds=float(meta["seconds"]),
            curve=tuple(meta["curve"]),
            steps=int(meta["steps"]),
            fresh=False,
        )

    def _train(self, request: ModelRequest, train: Callable[[], Training]) -> Trained:
        key = request.key
        if (self.root / key).exists():
            wrong = self.damage(key)
            log.warning("store entry %s is damaged: %s; it is trained again", key, wrong)
        started = time.perf_counter()
        done = train()
        trained = Trained(
            key=key,
            # Cloned: .cpu() may return the memory of the model, and safetensors refuses weights
            # that share memory, as tied ones do.
            state={k: v.detach().cpu().clone() for k, v in done.model.state_dict().items()},
            seconds=time.perf_counter() - started if done.seconds is None else done.seconds,
            curve=tuple(done.curve),
            steps=done.steps,
            fresh=True,
        )
        self._write(request, trained)
        return trained

    def _write(self, request: ModelRequest, trained: Trained) -> None:
        from safetensors.torch import save_file

        # below the root, so that it is on the same disk and a rename moves it in one step
        folder = self._partial / f"{trained.key}-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "weights.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in trained.state.items()}, weights)
        meta = {
            "request": asdict(request),
            "seconds": trained.seconds,
            "curve": trained.curve,
            "steps": trained.steps,
            "parameters": sum(tensor.numel() for tensor in trained.state.values()),
            "bytes": weights.stat().st_size,
            "checksum": file_checksum(weights),
            "created": time.time(),
            "hardware": _hardware(),
        }
        meta["seal"] = fingerprint(json.loads(json.dumps(meta)))  # of what a reader will see
        (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        # a folder is not renamed onto one with files; the lock is held, nobody puts one there
        self._discard(trained.key)
        folder.rename(self.root / trained.key)

    def _discard(self, key: str) -> None:
        path = self.root / key
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _touch(self, key: str) -> None:
        # the time of meta.json says when the model was last used, which garbage collection asks
        with suppress(FileNotFoundError):  # somebody collected it; the weights are in memory
            os.utime(self.root / key / "meta.json")


def _hardware() -> str:
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
