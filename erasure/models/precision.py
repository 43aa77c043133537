"""Reduced precision that no method has to know about."""

from typing import Any

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError

PRECISIONS = ("32", "bf16")


def with_precision(model: nn.Module, precision: str) -> nn.Module:
    """Make the forward pass of ``model`` run in ``precision`` and return float32 logits.

    The parameters stay float32. Autocast is entered inside each forward pass, not around a
    training loop, where its cache of cast weights would outlive an optimizer step. The class of
    the object is extended rather than its ``forward`` replaced, so that copies are independent
    and the names in the state dict do not change.

    Raises:
        ConfigError: If ``precision`` is unknown.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be 32 or bf16, got {precision!r}")
    if precision == "bf16":
        kind = type(model)
        # first in the order of classes, so that its forward is called and super() is the model's
        model.__class__ = type(kind.__name__, (_Bfloat16, kind), {})
    return model


class _Bfloat16(nn.Module):
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        device = next(self.parameters()).device.type
        with torch.autocast(device, torch.bfloat16):
            logits: Tensor = super().forward(*args, **kwargs)
        return logits.float()
