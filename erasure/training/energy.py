"""The energy counter of an NVIDIA GPU."""

import logging
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module

import torch

logger = logging.getLogger(__name__)

Counter = Callable[[], float]
"""Returns the joules a device has used since its driver was loaded."""


@lru_cache(maxsize=8)
def energy_counter(device: torch.device) -> Counter | None:
    """Return the energy counter of ``device``, or None if there is none that can be read.

    It is that of NVML, which GPUs have from Volta on, and needs
    ``pip install "erasure-unlearning[energy]"``. It counts everything that the GPU does, for
    other processes too.
    """
    if device.type != "cuda":
        return None
    try:
        nvml = import_module("pynvml")
    except ImportError:
        logger.info("no energy is measured: nvidia-ml-py is not installed")
        return None
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(_uuid(device))
        # Read once for nothing: devices without the counter raise here.
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError as error:
        logger.info("no energy is measured: %s", error)
        return None
    # NVML counts millijoules.
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000


def _uuid(device: torch.device) -> str:
    """Return the name by which NVML knows a device, whatever CUDA_VISIBLE_DEVICES hides."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
