"""Gradients of single samples against a loop of batches of one, as ratios measured in one run.

    python benchmarks/gradients.py

Both do the same work, take turns, and agree to the error in the last column: the largest
difference of a parameter's values by their norm. The loop is the one of the methods' own code,
with one forward pass per sample for all labels; data come from memory for both. One thread.

In single precision an input of a ReLU may round to the other side of zero when it is computed in
a batch; that shows as an error of 1e-3, in torch's own gradient of the batch alike. In double
precision the error is 1e-15. A sketch is an estimate; its error is that of the estimate.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from erasure.core.data_config import DataConfig
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.core.task_types import Multiclass
from erasure.data.pools.tensor import TensorPool
from erasure.data.sources.digits import Digits
from erasure.models.cnn import CNN
from erasure.models.mlp import MLP
from erasure.models.resnet import resnet18
from erasure.training.per_sample.gradients import expected_fisher, mean_squared_sample_gradients

KIND = Multiclass()
NUM_IMAGES = 12
Squares = dict[str, Tensor]
Compute = Callable[[], Squares]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, the data, and how often the slow and the fast way are measured."""

    name: str
    model: nn.Module
    view: View
    rounds: int


def loop(
    model: nn.Module, view: View, objectives: Callable[[Tensor, Tensor], Iterable[Tensor]]
) -> Squares:
    """Return the mean of squared gradients, one backward pass per sample and objective."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    model.eval()
    for batch in view.batches(1):
        for value in objectives(model(batch.inputs), batch.targets):
            model.zero_grad()
            # All objectives of a sample share one forward pass.
            value.sum().backward(retain_graph=True)
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    total[name] += parameter.grad.pow(2)
    return {name: value / len(view) for name, value in total.items()}


def empirical(case: Case) -> tuple[Compute, Compute]:
    """Return the slow and the fast way to the empirical Fisher diagonal."""
    return (
        lambda: loop(case.model, case.view, lambda z, y: [KIND.loss(z, y)]),
        lambda: mean_squared_sample_gradients(case.model, case.view, KIND.loss),
    )


def expected(case: Case) -> tuple[Compute, Compute]:
    """Return the slow and the fast way to the Fisher diagonal under the model's own labels."""

    def objectives(logits: Tensor, _: Tensor) -> Iterable[Tensor]:
        return [weight.sqrt() * loss for weight, loss in KIND.label_expectation(logits)]

    return (
        lambda: loop(case.model, case.view, objectives),
        lambda: expected_fisher(case.model, case.view, KIND),
    )


def sketched(case: Case) -> tuple[Compute, Compute]:
    """Return the slow way to that diagonal and an unbiased estimate of it."""
    return expected(case)[0], lambda: expected_fisher(
        case.model, case.view, KIND, estimator="sketch", generator=stream(0, "sketch")
    )


def measure(slow: Compute, fast: Compute, rounds: int) -> tuple[float, float, float]:
    """Return milliseconds of CPU time of both, and the relative error of the fast one."""
    times: tuple[list[float], list[float]] = ([], [])
    results: list[Squares] = [{}, {}]
    fast()  # the first call of a process pays for memory and kernels
    for _ in range(rounds):
        for way, action in enumerate((slow, fast)):
            begun = time.process_time()
            results[way] = action()
            times[way].append(1e3 * (time.process_time() - begun))
    exact, fast_squares = results
    error = max(float((fast_squares[n] - v).norm() / v.norm()) for n, v in exact.items())
    return median(times[0]), median(times[1]), error


def cases() -> list[Case]:
    """Return the three models on their data."""
    digits = Digits()(DataConfig())
    images = TensorPool(
        inputs=torch.randn(NUM_IMAGES, 3, 32, 32, generator=stream(0, "images")),
        targets=torch.arange(NUM_IMAGES) % 10,
        class_names=tuple(map(str, range(10))),
    )
    with isolated(0, "models"):
        mlp, cnn = MLP((1, 8, 8), 10, hidden=(128, 128)), CNN((1, 8, 8), 10)
        resnet = resnet18((3, 32, 32), 10)
    # Four fifths of the 1797 digits.
    view = View(digits, torch.arange(1437))
    return [
        Case(name="mlp", model=mlp, view=view, rounds=5),
        Case(name="cnn8", model=cnn, view=view, rounds=3),
        Case(name="resnet18", model=resnet, view=View(images, torch.arange(NUM_IMAGES)), rounds=1),
    ]


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    targets = {"fisher.empirical_mlp": 60, "fisher.expected_mlp": 40, "fisher.expected_cnn8": 10}
    table = Table(title=f"CPU time per sample, torch {torch.__version__}, 1 thread")
    for heading in ("measurement", "loop", "ours", "ratio", "target", "error"):
        table.add_column(heading, justify="left" if heading == "measurement" else "right")
    for case in cases():
        for way in (empirical, expected, sketched):
            name = f"fisher.{way.__name__}_{case.name}"
            slow, fast, error = measure(*way(case), case.rounds)
            target = f">= {targets[name]}" if name in targets else ""
            each = (f"{value / len(case.view):.3g} ms" for value in (slow, fast))
            table.add_row(name, *each, f"{slow / fast:.3g}x", target, f"{error:.0e}")
    Console().print(table)


if __name__ == "__main__":
    main()
