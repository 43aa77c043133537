"""Devices, clocks and memory."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from erasure.core.errors import ConfigError
from erasure.training.energy import energy_counter


def resolve_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` stands for.

    Raises:
        ConfigError: If the name is unknown or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, number = device_kind(name), name.partition(":")[2]
    # Without a number any device will do: there is one if there is a number 0.
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        device_count = torch.cuda.device_count()
        raise ConfigError(
            f"device {name!r} is not there: this machine shows {device_count} CUDA devices"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps' is not there: this is not a Mac with a GPU")
    return torch.device(name)


def device_kind(name: str) -> str:
    """Return ``cpu``, ``cuda`` or ``mps``; it need not be there, unless the name is ``auto``.

    Raises:
        ConfigError: If the name is unknown.
    """
    if name == "auto":
        return resolve_device(name).type
    if not re.fullmatch("cpu|mps|cuda(:[0-9]+)?", name):
        raise ConfigError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    return name.partition(":")[0]


@dataclass
class ComputeCost:
    """What a measured block took; filled in when the block ends.

    Args:
        seconds: Wall time.
        cpu_seconds: Time on all cores of the CPU, of this process alone.
        peak_bytes: Highest memory during the block above what was in use at its start: memory
            of the GPU if one is used, of the process otherwise.
        reserved_bytes: The same for what the allocator of torch took from the GPU, in use or
            not; None without one.
        joules: Energy of the GPU; None where it has no counter that can be read.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    reserved_bytes: int | None = None
    joules: float | None = None


@contextmanager
def measured_cost(device: torch.device) -> Iterator[ComputeCost]:
    """Measure a block: the device is synchronized around the clock, memory is only sampled."""
    cost = ComputeCost()
    # The clock is innermost: what the others do at both ends is not in the time.
    with _peak_memory(device, cost), _energy(device, cost):
        synchronize(device)
        begun, busy = time.perf_counter(), time.process_time()
        yield cost
        synchronize(device)
        cost.seconds = time.perf_counter() - begun
        cost.cpu_seconds = time.process_time() - busy


def synchronize(device: torch.device) -> None:
    """Wait until all work handed to ``device`` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def warm_up(device: torch.device) -> None:
    """Pay for the first backward pass and optimizer step of a process before a clock runs.

    The first step imports a large part of torch, which takes seconds and is no method's fault.
    """
    weight = torch.nn.Parameter(torch.ones(2, 2, device=device))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    (weight @ weight).sum().backward()
    optimizer.step()
    synchronize(device)


@contextmanager
def _energy(device: torch.device, cost: ComputeCost) -> Iterator[None]:
    counter = energy_counter(device)
    if counter is None:
        yield
        return
    synchronize(device)
    before = counter()
    yield
    cost.joules = counter() - before


@contextmanager
def _peak_memory(device: torch.device, cost: ComputeCost) -> Iterator[None]:
    if device.type == "cuda":
        torch.cuda.empty_cache()  # or what is reserved would depend on what ran before
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield
        cost.peak_bytes = torch.cuda.max_memory_allocated(device) - before
        cost.reserved_bytes = torch.cuda.max_memory_reserved(device) - before
        return
    with _sampled_rss(cost):
        yield


@contextmanager
def _sampled_rss(cost: ComputeCost, interval: float = 0.02) -> Iterator[None]:
    import psutil

    process = psutil.Process()
    before = process.memory_info().rss
    done = threading.Event()

    def sample() -> None:
        # Sampled every 20 ms: a shorter peak can be missed, and the end of the block is a sample.
        while not done.wait(interval):
            cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss - before)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()
        cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss - before)
