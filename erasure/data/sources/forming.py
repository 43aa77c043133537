"""Pictures brought to the size and the channels that were asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.fingerprint import combine, fingerprint
from erasure.core.source import source_hash

GREY = (19595, 38470, 7471)
"""Weights of red, green and blue in 65536ths (ITU-R BT.601), those of Pillow."""


@dataclass(frozen=True)
class Form:
    """The size and channels pictures are brought to.

    Args:
        resize: Height and width, the side of a square cut from the centre, or nothing.
        channels: 1, 3 or nothing.
    """

    resize: int | tuple[int, int] | None
    channels: int | None

    @property
    def plain(self) -> Mapping[str, Any]:
        """The same as JSON data."""
        return {"resize": self.resize, "channels": self.channels}

    def shape(self, raw: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the shape ``(C, H, W)`` into which pictures of shape ``raw`` are brought."""
        channels, height, width = raw
        if isinstance(self.resize, int):
            height = width = self.resize
        elif self.resize is not None:
            height, width = self.resize
        return self.channels or channels, height, width


@dataclass(frozen=True)
class Decode:
    """Reads an image file as a tensor ``(C, H, W)`` uint8.

    Args:
        form: The size and channels it is brought to; colour unless it says otherwise, as the
            loader of torchvision does.
    """

    form: Form

    def __call__(self, file: Path) -> Tensor:
        """Decode, convert and scale, with antialiasing."""
        import numpy as np
        from PIL import Image

        with Image.open(file) as opened:
            # also when channels is not set: a folder may mix grey, palette and colour
            picture = opened.convert("L" if self.form.channels == 1 else "RGB")
        width, height = picture.size
        _, rows, columns = self.form.shape((3, height, width))
        if isinstance(self.form.resize, int):
            side = min(height, width)
            left, top = (width - side) // 2, (height - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
        if picture.size != (columns, rows):
            picture = picture.resize((columns, rows), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(picture))
        return (pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)).contiguous()


@dataclass(frozen=True)
class FormedRows:
    """Pictures in memory that are brought to another size when they are read.

    Args:
        raw: ``(N, C, H, W)`` uint8 on the CPU.
        form: What they are brought to.
        stamp: Hash of all that ``raw`` depends on.
    """

    raw: Tensor
    form: Form
    stamp: str

    @property
    def version(self) -> str:
        """Hash of the stamp, the form, and the code behind :func:`formed`."""
        return combine([self.stamp, fingerprint([self.form.plain, source_hash(formed)])])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all pictures."""
        return (len(self.raw), *self.form.shape(tuple(self.raw.shape[1:])))

    @property
    def dtype(self) -> torch.dtype:
        """Bytes."""
        return torch.uint8

    @property
    def grain(self) -> int:
        """Some; one picture takes about a tenth of a millisecond."""
        return 32

    def read(self, index: Tensor, out: Tensor) -> None:
        """Form the pictures ``index`` (B,)."""
        out.copy_(formed(self.raw.index_select(0, index), self.form))

    def whole(self) -> Tensor:
        """Form all of them."""
        every = torch.empty(self.shape, dtype=self.dtype)
        for images, out in zip(self.raw.split(1024), every.split(1024), strict=True):
            out.copy_(formed(images, self.form))
        return every


def formed(pictures: Tensor, form: Form) -> Tensor:
    """Bring pictures ``(B, C, H, W)`` uint8 to another size and number of channels."""
    channels, height, width = form.shape(tuple(pictures.shape[1:]))
    if channels == 1 and pictures.shape[1] == 3:
        weights = torch.tensor(GREY, dtype=torch.int32).view(1, 3, 1, 1)
        grey = (pictures.int() * weights).sum(dim=1, keepdim=True)
        # half of the divisor 2**16 is added, so that the shift rounds as Pillow does
        pictures = ((grey + 2**15) >> 16).to(torch.uint8)
    if isinstance(form.resize, int):
        side = min(pictures.shape[2:])
        top, left = ((size - side) // 2 for size in pictures.shape[2:])
        pictures = pictures[:, :, top : top + side, left : left + side]
    if tuple(pictures.shape[2:]) != (height, width):
        pictures = F.interpolate(pictures, (height, width), mode="bilinear", antialias=True)
    # grey to colour is three views of one channel; equal numbers of channels change nothing
    return pictures.expand(-1, channels, -1, -1)
