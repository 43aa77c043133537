"""Where a model is, and the same model elsewhere."""

import copy

import torch
from torch import nn

from erasure.core.errors import ConfigError
from erasure.training.compute import resolve_device


def on_device(model: nn.Module, device: str | torch.device | None) -> nn.Module:
    """Return ``model`` if it is on ``device`` or none is named, else a copy of it that is.

    Raises:
        ConfigError: If it is no network, or this machine has no such device.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model must be a torch.nn.Module, got a {type(model).__name__}")
    if device is None:
        return model
    wanted = resolve_device(device) if isinstance(device, str) else device
    # "cuda" is one of several devices, which a tensor on it can name
    wanted = torch.empty(0, device=wanted).device
    return model if device_of(model) == wanted else copy.deepcopy(model).to(wanted)


def device_of(model: nn.Module) -> torch.device:
    """Return where the weights of ``model`` are; the CPU if it has none."""
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device
