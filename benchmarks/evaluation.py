"""What evaluating costs, as ratios measured in one run.

    python benchmarks/evaluation.py

Each alternative does the same work; they take turns, and the medians are compared. Last result:
see benchmarks/README.md.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.references import ReferenceRole
from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, SplitIndices, View
from erasure.data.pools.tensor import TensorPool
from erasure.evaluation.attacks.likelihood_ratio import likelihood_ratios
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.ulira import ULiRA
from erasure.metrics.to_gold.forget_quality import ForgetQuality
from erasure.metrics.to_gold.klom import KLoM
from erasure.models.cnn import CNN
from erasure.models.mlp import MLP
from erasure.training.fit import Fit
from erasure.training.many.ensemble import Member, train_together
from erasure.training.trainers import Standard

CONF = Path(__file__).parents[1] / "conf"

REPEATS = 100
"""Calls of what is too fast for one of them to be timed."""


class Margins:
    """A pool of models whose logits are drawn instead of computed."""

    def __init__(self, models: int, samples: int, classes: int) -> None:
        generator = stream(0, "margins")
        easy = 2 * torch.randn(samples, 1, generator=generator)
        self.logits_of = {
            # One-hot rows: only the logit of the true class is raised, by the same in all models.
            role: torch.randn(models, samples, classes, generator=generator)
            + (easy + shift) * torch.eye(classes)[torch.arange(samples) % classes]
            for role, shift in (("unlearned", 0.3), ("gold", 0.0))
        }

    def size(self, role: ReferenceRole) -> int:
        """Return how many models there are."""
        return len(self.logits_of.get(role, ()))

    def logits(self, role: ReferenceRole, view: View) -> Tensor:
        """Return their logits ``(N, n, C)``."""
        return self.logits_of[role][:, view.index]

    def trained_on(self, role: ReferenceRole, view: View) -> Tensor:
        """Return that no sample was trained on."""
        return torch.zeros(self.size(role), len(view), dtype=torch.bool)

    forgotten_by = trained_on


def turns(
    slow: Callable[[], object], fast: Callable[[], object], rounds: int = 3
) -> tuple[float, float]:
    """Return the median CPU seconds of both, which take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    # Once unmeasured: the first call of a process pays for memory and kernels.
    slow(), fast()
    for _ in range(rounds):
        for action, spent in zip((slow, fast), times, strict=True):
            begun = time.process_time()
            action()
            spent.append(time.process_time() - begun)
    return median(times[0]), median(times[1])


def ratio(slow: Callable[[], object], fast: Callable[[], object], rounds: int = 3) -> float:
    """Return how many times faster ``fast`` is."""
    slow_seconds, fast_seconds = turns(slow, fast, rounds)
    return slow_seconds / fast_seconds


def images(samples: int, classes: int = 10) -> TensorPool:
    """Return coloured noise of 32 x 32 pixels."""
    generator = stream(0, "images")
    return TensorPool(
        inputs=torch.rand(samples, 3, 32, 32, generator=generator),
        targets=torch.arange(samples) % classes,
        class_names=tuple(str(k) for k in range(classes)),
    )


def context(pool: TensorPool, sizes: tuple[int, int, int, int]) -> EvalContext:
    """Return a context of three networks on parts of the given sizes."""
    forget, retain, val, test = torch.arange(sum(sizes)).split(list(sizes))
    indices = SplitIndices(forget=forget, retain=retain, val=val, test=test)

    def network(seed: int) -> CNN:
        with isolated(seed, "model"):
            return CNN(pool.input_shape, pool.num_classes, channels=(16, 32), hidden=64)

    return EvalContext(
        models={"original": network(0), "unlearned": network(1), "gold": network(2)},
        splits=DataSplits.of(pool, indices),
        task_type=pool.task_type,
        num_classes=pool.num_classes,
        heldout="test",
        seed=0,
    )


def bundle() -> float:
    """Measure ``evaluator=standard`` on 1,200 images: logits kept, against a pass per metric."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose(overrides=["+evaluator=standard"]).evaluator
    whole: Evaluator = instantiate(node, _convert_="all")
    parts = [replace(whole, metrics={name: metric}) for name, metric in whole.metrics.items()]
    ctx = context(images(1220), (100, 800, 20, 300))

    def without_logits() -> EvalContext:
        # Everything that a metric may have left behind, so that the next pays for its own passes.
        return replace(ctx, results={}, _cache={}, _features={})

    def one_by_one() -> None:
        for part in parts:
            part(without_logits())

    return ratio(one_by_one, lambda: whole(without_logits()), 1)


def pool_attacks() -> float:
    """Return the seconds of ulira, klom and forget_quality on 5,000 samples by 128 models."""
    ctx = replace(
        context(images(5300, 10), (5000, 100, 100, 100)), references=Margins(128, 5300, 10)
    )
    metrics = (ULiRA(), KLoM(), ForgetQuality())
    begun = time.process_time()
    for metric in metrics:
        measure(metric, ctx)
    return time.process_time() - begun


def lira() -> float:
    """Score 200 samples by 32 models a side: in closed form against a loop that refits."""
    from scipy.stats import norm

    generator = stream(0, "lira")
    members, nonmembers = torch.randn(2, 32, 200, generator=generator, dtype=torch.float64)

    def loop() -> list[float]:
        scores = []
        for side in (members.numpy(), nonmembers.numpy()):
            for sample in range(side.shape[1]):
                for k in range(len(side)):
                    # The score of a model is from fits without it, on both sides.
                    rest = [
                        [row[sample] for j, row in enumerate(table) if j != k]
                        for table in (members.numpy(), nonmembers.numpy())
                    ]
                    fits = [norm.fit(values) for values in rest]
                    first, second = (norm.logpdf(side[k, sample], *fit) for fit in fits)
                    scores.append(float(first - second))
        return scores

    def closed_form() -> None:
        for _ in range(REPEATS):
            likelihood_ratios(members, nonmembers)

    return ratio(loop, closed_form, 1) * REPEATS


def shadows(threads: int) -> float:
    """Train 32 networks of 26,000 parameters on 1,000 samples: at once against one by one."""
    torch.set_num_threads(threads)
    generator = stream(0, "digits")
    pool = TensorPool(
        inputs=torch.rand(2000, 1, 8, 8, generator=generator),
        targets=torch.arange(2000) % 10,
        class_names=tuple(str(k) for k in range(10)),
    )
    fit = Fit(optimizer=partial(torch.optim.Adam, lr=2e-3, fused=True), epochs=3, batch_size=64)
    trainer = Standard(fit=fit)

    def member(seed: int) -> Member:
        with isolated(seed, "model"):
            model = MLP((1, 8, 8), 10, hidden=(192, 64))
        half = torch.randperm(2000, generator=stream(seed, "half"))[:1000]
        return Member(model=model, view=View(pool, half), generator=stream(seed, "train"))

    def one_by_one() -> None:
        for each in [member(seed) for seed in range(32)]:
            trainer(each.model, each.view, each.generator)

    # The members are made anew inside: training changes them.
    speedup = ratio(
        one_by_one, lambda: train_together([member(seed) for seed in range(32)], trainer)
    )
    torch.set_num_threads(1)
    return speedup


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    rows = [
        ("evaluate.kept_vs_pass_per_metric", bundle(), ">= 5", "x"),
        ("lira.closed_form_vs_loop", lira(), ">= 1000", "x"),
        ("pool.train_32_at_once, 1 thread", shadows(1), ">= 3", "x"),
        ("pool.train_32_at_once, 2 threads", shadows(2), ">= 3", "x"),
        ("pool.attacks_5000x128, 1 thread", pool_attacks(), "<= 5", " s"),
    ]
    table = Table(title=f"torch {torch.__version__}")
    for heading in ("measurement", "result", "target"):
        table.add_column(heading, justify="left" if heading == "measurement" else "right")
    for name, value, target, unit in rows:
        table.add_row(name, f"{value:.3g}{unit}", target)
    Console().print(table)


if __name__ == "__main__":
    main()
