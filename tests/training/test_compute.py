"""Devices, clocks and memory."""

import time

import pytest
import torch

from erasure.core.errors import ConfigError
from erasure.training.compute import measured_cost, resolve_device, synchronize, warm_up

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


def test_the_clock_covers_the_block_and_nothing_else():
    begun = time.perf_counter()
    with measured_cost(CPU) as cost:
        time.sleep(0.05)
    time.sleep(0.05)
    assert 0.05 <= cost.seconds <= time.perf_counter() - begun - 0.05


def test_memory_that_came_and_went_is_seen():
    with measured_cost(CPU) as cost:
        held = torch.ones(16 * 2**20)  # 64 MB
        time.sleep(0.1)
        del held
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
