"""Augmentation of a whole batch at once, each sample with draws of its own."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from erasure.core.errors import ConfigError


class Augmentation(Protocol):
    """Changes a batch of training samples; a dataclass, whose fields are part of the data."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Augment images ``(B, C, H, W)`` with draws from ``generator``."""


@dataclass(frozen=True, kw_only=True)
class CropFlip:
    """Shift every image by its own random offset and mirror about half of them.

    The batch transforms of torchvision draw once for the whole batch; this one gathers each
    sample through its own window. Works on any dtype and stays on the device of the batch.

    Args:
        padding: Largest shift in pixels, filled with zeros; 0 shifts nothing.
        flip: Mirror left and right with probability one half.
    """

    padding: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ConfigError(f"padding must be >= 0, got {self.padding}")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Augment images ``(B, C, H, W)``."""
        batch, channels, height, width = images.shape
        limit = 2 * self.padding + 1
        top, left = torch.randint(limit, (2, batch, 1), generator=generator)
        rows = top + torch.arange(height)
        columns = left + torch.arange(width)
        if self.flip:
            mirrored = torch.rand((batch, 1), generator=generator) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        padded = F.pad(images, (self.padding,) * 4).reshape(batch, channels, -1)
        stride = width + 2 * self.padding
        places = (rows[:, :, None] * stride + columns[:, None, :]).reshape(batch, 1, -1)
        places = places.to(images.device).expand(batch, channels, -1)
        return padded.gather(2, places).reshape(images.shape)
