"""What the design of a trial buys, as ratios measured in one run.

    python benchmarks/spine.py

Each alternative does the same work; they take turns, and the medians are compared. One thread.
Last result: see benchmarks/README.md.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from erasure.core.data_config import DataConfig
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.data.pools.tensor import TensorPool
from erasure.data.sources.digits import Digits
from erasure.models.mlp import MLP
from erasure.training.fit import Fit
from erasure.training.model_store import ModelRequest, ModelStore, Training
from erasure.training.trainers import Standard

ROOT = Path(__file__).parents[1]


class PerSample(Dataset[tuple[Tensor, int]]):
    """The usual way to feed a model: images through torchvision transforms, one at a time."""

    def __init__(self, pool: TensorPool, *, augmented: bool = False) -> None:
        from torchvision import transforms

        images = pool.inputs.movedim(1, -1).squeeze(-1).numpy()
        self.images = [Image.fromarray(image) for image in images]
        self.targets = pool.targets.tolist()
        mean, deviation = ([value] * pool.input_shape[0] for value in (0.5, 0.25))
        normalize = transforms.Normalize(mean, deviation)
        padded = transforms.RandomCrop(pool.input_shape[-1], padding=4)
        random = [padded, transforms.RandomHorizontalFlip()] if augmented else []
        self.transform = transforms.Compose([*random, transforms.ToTensor(), normalize])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.targets[index]


def compare(slow: Callable[[], object], fast: Callable[[], object], rounds: int = 5) -> float:
    """Return how many times faster ``fast`` is, by medians of CPU time in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    # Once unmeasured: the first call of a process pays for memory and kernels.
    slow(), fast()
    for _ in range(rounds):
        for action, spent in zip((slow, fast), times, strict=True):
            begun = time.process_time()
            action()
            spent.append(time.process_time() - begun)
    return median(times[0]) / median(times[1])


def training() -> float:
    """Train an MLP on the digits for an epoch: our loop against a loop as it is usually typed."""
    pool = Digits()(DataConfig())
    view = View(pool, torch.arange(1437))
    loss = nn.functional.cross_entropy

    def model() -> MLP:
        with isolated(0, "model"):
            return MLP((1, 8, 8), 10)

    typed = model()
    # As it is usually typed: not fused, unlike below.
    optimizer = torch.optim.Adam(typed.parameters(), lr=1e-3)
    loader = DataLoader(
        torch.utils.data.Subset(PerSample(pool), range(1437)), batch_size=64, shuffle=True
    )

    def usual() -> float:
        total = 0.0
        for images, targets in loader:
            optimizer.zero_grad()
            value = loss(typed(images), targets)
            value.backward()
            optimizer.step()
            total += value.item()
        return total

    trained = model()
    fit = Fit(
        optimizer=lambda p: torch.optim.Adam(p, lr=1e-3, fused=True), epochs=1, batch_size=64
    )
    trainer = Standard(fit=fit)
    generator = stream(0, "order")
    return compare(usual, lambda: trainer(trained, view, generator))


def storing() -> float:
    """Get the demo's original out of the store: trained against found."""
    pool = Digits(noise=0.4)(DataConfig())
    view = View(pool, torch.arange(1294))
    fit = Fit(
        optimizer=lambda p: torch.optim.Adam(p, lr=2e-3, fused=True), epochs=30, batch_size=64
    )

    def train() -> Training:
        with isolated(0, "model"):
            model = MLP((1, 8, 8), 10)
        Standard(fit=fit)(model, view, stream(0, "train"))
        return Training(model=model, curve=[], steps=0)

    with tempfile.TemporaryDirectory() as folder:
        store = ModelStore(Path(folder))
        request = ModelRequest.of({"model": "mlp"}, view, 0)
        store.get(request, train)
        return compare(train, lambda: store.get(request, train))


def help_seconds() -> float:
    """Show the help screen, wall time of the whole process."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        command = [sys.executable, str(ROOT / "run.py"), "--help"]
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    return median(times)


def overhead_seconds(evaluator: str, few: int = 3, many: int = 18) -> float:
    """Run trials one after the other whose models are in the store; CPU time beyond compute.

    Two sweeps of different length tell what one more trial takes: composing and checking it, the
    store, the ledger, MLflow. What the method and the evaluation take is not part of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        _sweep(Path(folder), evaluator, range(1))  # trains the models
        # Other numbers than before: the same trials again would be read from their records.
        short = _sweep(Path(folder), evaluator, range(1, 1 + few))
        long = _sweep(Path(folder), evaluator, range(100, 100 + many))
        results = [json.loads(path.read_text()) for path in Path(folder).rglob("result.json")]
    compute = median(r["seconds"]["unlearn"] + r["seconds"]["evaluate"] for r in results)
    return (long - short) / (many - few) - compute


def _sweep(folder: Path, evaluator: str, numbers: Iterable[int]) -> float:
    """Sweep a learning rate with the basic launcher and return the CPU time of the process."""
    rates = ",".join(f"{1e-3 + 1e-6 * number:.6f}" for number in numbers)
    command = ["unlearner=finetune", "unlearner.fit.epochs=1", f"evaluator={evaluator}"]
    command += [f"unlearner.fit.optimizer.lr={rates}", "pictures=false", "hydra/launcher=basic"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = [sys.executable, str(ROOT / "run.py"), "--multirun", *command]
    subprocess.run(run, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    rows = (
        ("epoch.tiny_model", training(), ">= 2", "x"),
        ("store.hit_vs_train", storing(), ">= 50", "x"),
        ("import.help", help_seconds(), "<= 1", " s"),
        ("trial.overhead, evaluator=fast", overhead_seconds("fast"), "<= 0.15", " s"),
        ("trial.overhead, evaluator=standard", overhead_seconds("standard"), "", " s"),
    )
    table = Table(title=f"torch {torch.__version__}, 1 thread")
    for heading in ("measurement", "result", "target"):
        table.add_column(heading, justify="left" if heading == "measurement" else "right")
    for name, value, target, unit in rows:
        table.add_row(name, f"{value:.3g}{unit}", target)
    Console().print(table)


if __name__ == "__main__":
    main()
