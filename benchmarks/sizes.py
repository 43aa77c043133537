"""What large inputs cost: an algorithm that became quadratic shows here, and in no test.

    python benchmarks/sizes.py

CPU time of one thread. Last result: see benchmarks/README.md.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from evaluation import CONF, context, images
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table
from torch import nn

from erasure.core.seeding import isolated, stream
from erasure.data.pools.tensor import TensorPool
from erasure.data.splits.duplicates import copies
from erasure.evaluation.statistics.roc import auc, delong_error, roc
from erasure.metrics.to_gold.weight_distance import WeightDistance


def seconds(action: Callable[[], object]) -> float:
    """Return the CPU seconds of the second of two calls; the first imports and fills caches."""
    action()
    begun = time.process_time()
    action()
    return time.process_time() - begun


def curves() -> float:
    """Area under the curve and its error, of 100,000 scores a side."""
    scores = torch.randn(2, 100_000, dtype=torch.float64, generator=stream(0, "scores"))
    return seconds(lambda: (auc(roc(*scores)), delong_error(*scores)))


def standard() -> float:
    """``evaluator=standard`` on 10,000 samples of 10 classes whose logits are there."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        evaluator = instantiate(
            compose(overrides=["+evaluator=standard"]).evaluator, _convert_="all"
        )
    ctx = context(images(10_000), (2000, 4000, 2000, 2000))
    return seconds(lambda: evaluator(replace(ctx, results={})))


def weights() -> float:
    """Distances between two layers of 2,048 rows of 1,024 weights."""
    with isolated(0, "wide"):
        wide, other = (nn.Sequential(nn.Linear(1024, 2048)) for _ in range(2))
    ctx = context(images(40), (10, 10, 10, 10))
    ctx = replace(ctx, models={"unlearned": wide, "original": other, "gold": other})
    return seconds(lambda: WeightDistance()(ctx))


def duplicates() -> float:
    """Copies of 5,000 images among 45,000, in passes that convert the pixels and add them up."""
    pixels = torch.randint(
        256, (50_000, 3, 32, 32), dtype=torch.uint8, generator=stream(0, "images")
    )
    names = tuple(str(k) for k in range(10))
    pool = TensorPool(
        inputs=pixels, targets=torch.arange(50_000) % 10, class_names=names, divisor=255.0
    )
    parts = torch.arange(50_000).split([5000, 45_000])
    search = seconds(lambda: copies(replace(pool), *parts, None))  # a copy knows no hashes yet
    return search / seconds(lambda: pixels.float().sum())


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    rows = [
        ("roc.100000_scores", curves(), "<= 2", " s"),
        ("evaluate.standard_10000_samples", standard(), "", " s"),
        ("weights.two_million", weights(), "<= 4", " s"),
        ("duplicates.50000_images_vs_passes", duplicates(), "<= 12", "x"),
    ]
    table = Table(title=f"torch {torch.__version__}")
    for heading in ("measurement", "result", "target"):
        table.add_column(heading, justify="left" if heading == "measurement" else "right")
    for name, value, target, unit in rows:
        table.add_row(name, f"{value:.3g}{unit}", target)
    Console().print(table)


if __name__ == "__main__":
    main()
