"""Devices, clocks, memory, energy and operations."""

import mmap
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from patience import wait_until
from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.seeding import isolated
from erasure.core.splits import View
from erasure.data.pools.tensor import TensorPool
from erasure.training.compute import measured_cost, resolve_device, synchronize, warm_up
from erasure.training.energy import energy_counter
from erasure.training.flops import StepFlops, step_flops

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Pretend that this machine has the given accelerators."""

    def pretend(*, gpus=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("gpus", "mps", "device"), [(0, False, "cpu"), (2, False, "cuda"), (0, True, "mps")]
)
def test_auto_takes_the_best_there_is(machine, gpus, mps, device):
    machine(gpus=gpus, mps=mps)
    assert resolve_device("auto") == torch.device(device)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_devices_that_are_there_are_taken_by_name(machine, name):
    machine(gpus=2, mps=True)
    assert resolve_device(name) == torch.device(name)


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cpu:0", "mps:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "cuda0"]
)
def test_names_that_no_machine_knows_are_refused(machine, name):
    machine(gpus=2, mps=True)
    with pytest.raises(ConfigError) as error:
        resolve_device(name)
    assert str(error.value) == f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}"


@pytest.mark.parametrize(("name", "gpus"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_missing_gpus_are_refused_with_how_many_there_are(machine, name, gpus):
    machine(gpus=gpus)
    with pytest.raises(ConfigError, match=f"device '{name}' is not there: .* {gpus} CUDA devices"):
        resolve_device(name)


def test_a_missing_mac_is_refused(machine):
    machine()
    with pytest.raises(ConfigError, match="device 'mps' is not there"):
        resolve_device("mps")


@pytest.fixture
def clocks(monkeypatch):
    """The clocks of the wall and of the process, which only the test moves."""
    clocks = SimpleNamespace(wall=100.0, process=7.0)
    read = {"perf_counter": lambda: clocks.wall, "process_time": lambda: clocks.process}
    monkeypatch.setattr("erasure.training.compute.time", SimpleNamespace(**read))
    return clocks


def test_the_clocks_cover_the_block_and_nothing_else(clocks):
    with measured_cost(CPU) as cost:
        clocks.wall += 5.0
        clocks.process += 2.0
    clocks.wall += 9.0
    clocks.process += 9.0
    assert (cost.seconds, cost.cpu_seconds) == (5.0, 2.0)
    assert cost.reserved_bytes is None
    assert cost.joules is None


def test_memory_that_came_and_went_is_seen():
    with measured_cost(CPU) as cost:
        # pages of its own: what the allocator kept from an earlier test would not show
        held = mmap.mmap(-1, 64 * 2**20)
        for start in range(0, len(held), mmap.PAGESIZE):
            held[start] = 1
        wait_until(lambda: cost.peak_bytes > 48 * 2**20, "a sample of the memory")
        held.close()
    assert cost.peak_bytes > 48 * 2**20


def test_memory_from_before_is_not_counted():
    held = torch.ones(16 * 2**20)
    with measured_cost(CPU) as cost:
        time.sleep(0.03)
    assert cost.peak_bytes < 8 * 2**20
    assert held[0] == 1


def test_an_error_passes_and_stops_the_sampler():
    import threading

    def fail():
        with measured_cost(CPU):
            raise KeyError

    before = threading.active_count()
    with pytest.raises(KeyError):
        fail()
    assert threading.active_count() == before


def test_warming_up_leaves_nothing_behind():
    warm_up(CPU)
    synchronize(CPU)
    assert torch.is_grad_enabled()


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that there is a GPU with memory, and one with a counter if NVML is installed."""
    readings = iter([5_000_000, 5_000_500, 5_004_000])

    class NVMLError(Exception):
        pass

    def handle_of(uuid):
        if uuid != "GPU-1234":
            raise NVMLError("not supported")
        return uuid

    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle_of,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(readings),
    )
    memory = {
        "empty_cache": lambda: None,
        "synchronize": lambda device: None,
        "reset_peak_memory_stats": lambda device: None,
        "memory_allocated": lambda device: 100,
        "max_memory_allocated": lambda device: 350,
        "max_memory_reserved": lambda device: 600,
    }
    for name, function in memory.items():
        monkeypatch.setattr(torch.cuda, name, function)

    def pretend(*, installed=True, uuid="1234"):
        monkeypatch.setitem(sys.modules, "pynvml", nvml if installed else None)
        facts = SimpleNamespace(uuid=uuid)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
        return torch.device("cuda:0")

    energy_counter.cache_clear()
    yield pretend
    energy_counter.cache_clear()


def test_energy_and_memory_of_a_gpu_are_differences(gpu):
    with measured_cost(gpu()) as cost:
        pass
    assert cost.joules == pytest.approx(3.5)
    assert cost.peak_bytes == 250
    assert cost.reserved_bytes == 500


@pytest.mark.parametrize("missing", [{"installed": False}, {"uuid": "MIG-1"}])
def test_a_gpu_without_a_counter_has_no_energy(gpu, missing):
    with measured_cost(gpu(**missing)) as cost:
        pass
    assert cost.joules is None
    assert cost.reserved_bytes == 500


def view_of(shape, n=6, classes=5):
    targets = torch.arange(n) % classes
    names = tuple(f"class {i}" for i in range(classes))
    return View(
        TensorPool(inputs=torch.ones(n, *shape), targets=targets, class_names=names),
        torch.arange(n),
    )


def network(*layers):
    with isolated(0, "network"):
        return nn.Sequential(*(layer() for layer in layers))


def two_layers():
    return network(lambda: nn.Linear(10, 20), nn.ReLU, lambda: nn.Linear(20, 5))


@pytest.mark.parametrize("batch_size", [4, 100])
def test_operations_of_a_step_of_two_layers(batch_size):
    """Forward 2 (10 x 20 + 20 x 5), and no gradient of the inputs: 5600 for four samples."""
    flops = step_flops(two_layers(), view_of((10,)), batch_size)
    assert 4 * flops.per_sample == 5600
    assert flops.per_step == 0


def test_frozen_layers_cost_a_forward_pass_only():
    model = two_layers().requires_grad_(requires_grad=False)
    assert step_flops(model, view_of((10,)), 4) == StepFlops(600, 0)


def test_operations_of_a_convolution():
    convolve = network(lambda: nn.Conv2d(3, 8, 3, padding=1), nn.Flatten)
    view = view_of((3, 8, 8), classes=512)
    convolve.requires_grad_(requires_grad=False)
    assert step_flops(convolve, view, 2) == StepFlops(55_296 / 2, 0)


class Whole(nn.Module):
    """Multiplies by a matrix however many rows it is given, as a graph network does."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(100, 100))

    def forward(self, inputs):
        return (self.weight @ self.weight)[: len(inputs), :5]


def test_a_step_that_costs_the_same_for_one_sample_is_counted_whole():
    forward = 2 * 100**3
    flops = step_flops(Whole(), view_of((10,)), 6)
    assert flops == StepFlops(0, 3 * forward)
    assert step_flops(Whole(), view_of((10,), n=1), 6) == StepFlops(3 * forward, 0)


def test_counting_leaves_the_model_as_it_was():
    model = network(lambda: nn.BatchNorm1d(10), lambda: nn.Linear(10, 5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step_flops(model, view_of((10,)), 4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())
