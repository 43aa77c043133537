"""Feeding a model: samples per second, and what share of a training step it takes.

    python benchmarks/feeding.py

Ratios are between pools and the usual way, a DataLoader over samples that torchvision transforms
one at a time. Both read the same images in turns and the medians of CPU time are compared, that
of reading threads included. The streaming pool reads images that were prepared in a file, which
lies in the memory of the operating system here as it does after a first epoch. The share of a
step is the time of a pass over the data by itself over that of training on it. One thread.
Last result: see benchmarks/README.md.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from spine import PerSample, compare
from torch import Tensor
from torch.utils.data import DataLoader

from erasure.core.data_config import DataConfig
from erasure.core.pool import Pool
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.data.pools.augment import augmentation
from erasure.data.pools.lazy import LazyPool
from erasure.data.pools.rows import TensorRows
from erasure.data.sources.digits import Digits
from erasure.data.sources.prepared import Prepared, prepared
from erasure.models.cnn import CNN
from erasure.training.fit import Fit
from erasure.training.trainers import Standard

COUNT = 8_000


def cifar_like(home: DataConfig, *, augmented: bool) -> Pool:
    """Return random images of 3 x 32 x 32 out of a prepared file: resident if they fit."""

    def make() -> Prepared:
        images = torch.randint(0, 256, (COUNT, 3, 32, 32), generator=stream(0, "images"))
        return Prepared({"inputs": images.to(torch.uint8)})

    entry = prepared(home, "images", {}, make)
    return LazyPool(
        rows=TensorRows(entry.tensors["inputs"], entry.key),
        data_config=home,
        targets=torch.arange(COUNT) % 10,
        class_names=tuple(str(k) for k in range(10)),
        divisor=255.0,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        augmentation=augmentation(crop=4, flip=True) if augmented else None,
    ).placed()


def passing(pool: Pool, size: int = 128) -> Callable[[], int]:
    """Return what makes one shuffled pass over ``pool``."""
    view, generator = View(pool, torch.arange(len(pool.targets))), stream(0, "order")
    return lambda: sum(1 for _ in view.batches(size, generator=generator, augment=pool.augments))


def against_dataloader(folder: Path, limit: float, *, augmented: bool) -> tuple[float, float]:
    """Return the ratio to the DataLoader and the pool's own samples per second."""
    home = DataConfig(root=folder, resident_limit=limit)
    plain = cifar_like(DataConfig(root=folder), augmented=False)
    # A tenth is enough of the slow way; its samples take the same time each.
    tenth = torch.utils.data.Subset(PerSample(plain, augmented=augmented), range(COUNT // 10))
    pass_over_pool = passing(cifar_like(home, augmented=augmented))
    with isolated(0, "loader"):
        loader = DataLoader(tenth, batch_size=128, shuffle=True)
        ratio = 10.0 * compare(lambda: sum(1 for _ in loader), pass_over_pool, rounds=3)
    return ratio, COUNT / timed(pass_over_pool)


def timed(action: Callable[[], object]) -> float:
    """Return the median wall time of ``action`` in seconds."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return median(times)


def share_of_training(pool: Pool, size: int) -> float:
    """Return the CPU time of a pass over ``pool`` over that of training the small CNN on it."""
    with isolated(0, "model"):
        model = CNN(pool.input_shape, 10)
    fit = Fit(optimizer=_adam, epochs=1, batch_size=size)
    view = View(pool, torch.arange(len(pool.targets))[:2048])
    trainer, generator = Standard(fit=fit), stream(0, "order")
    feeding = View(pool, view.index)
    # compare gives training over feeding; the share is the inverse of it.
    return 1.0 / compare(
        lambda: trainer(model, view, generator),
        lambda: sum(1 for _ in feeding.batches(size, generator=generator, augment=pool.augments)),
    )


def _adam(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-3, fused=True)


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    table = Table(title=f"torch {torch.__version__}, 1 thread")
    for heading in ("measurement", "result", "target", "samples/s"):
        table.add_column(heading, justify="left" if heading == "measurement" else "right")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, limit in (("resident", 4.0), ("streaming", 0.0)):
            for augmented in (False, True):
                ratio, speed = against_dataloader(folder, limit, augmented=augmented)
                suffix = ", crop + flip" if augmented else ""
                target = ">= 20" if kind == "resident" else ""
                row = f"feed.{kind}_vs_dataloader{suffix}"
                table.add_row(row, f"{ratio:.3g}x", target, f"{speed:,.0f}")
        pools = {
            "digits": (Digits()(DataConfig()), 64),
            "digits, crop": (Digits(crop=1)(DataConfig()), 64),
            "CIFAR-sized": (cifar_like(DataConfig(root=folder), augmented=False), 128),
            "CIFAR-sized, crop + flip": (cifar_like(DataConfig(root=folder), augmented=True), 128),
            "CIFAR-sized, crop + flip, streaming": (
                cifar_like(DataConfig(root=folder, resident_limit=0.0), augmented=True),
                128,
            ),
        }
        for label, (pool, size) in pools.items():
            share = share_of_training(pool, size)
            table.add_row(f"feed.share_of_step, {label}", f"{share:.2%}", "< 5 %", "")
    Console().print(table)


if __name__ == "__main__":
    main()
