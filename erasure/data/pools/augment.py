"""Augmentation of a whole batch at once, each sample with draws of its own."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, UnsupportedError

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in the grey of a pixel (ITU-R BT.601, as torchvision has it)."""

BRIGHTEST = 255.0
"""Largest value of a pixel kept as a byte."""


class Augmentation(Protocol):
    """Changes a batch of training samples; a dataclass, whose fields are part of the data."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Augment images ``(B, C, H, W)`` with draws from ``generator``."""


def augmentation(
    *,
    crop: int = 0,
    flip: bool = False,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    limit: float | None = BRIGHTEST,
) -> Augmentation | None:
    """Return what the settings of a data set of images ask for, or None if they ask for nothing.

    Args:
        crop: Images are shifted by up to this many pixels.
        flip: Images are mirrored half of the time.
        brightness: Images are made up to this share brighter or darker, 0.4 being usual.
        contrast: The same for the distance of pixels from the mean grey of the image.
        saturation: The same for the distance of pixels from their own grey.
        limit: Largest value of a pixel; None where values have no limits.

    Raises:
        ConfigError: If a setting is out of range.
    """
    if crop < 0:
        raise ConfigError(f"crop must be >= 0, got {crop}")
    steps: list[Augmentation] = []
    if crop > 0 or flip:
        steps.append(CropFlip(padding=crop, flip=flip))
    colours = ColorJitter(
        brightness=brightness, contrast=contrast, saturation=saturation, limit=limit
    )
    # compared with that of no strength, which would change nothing but the dtype
    if colours != ColorJitter(limit=limit):
        steps.append(colours)
    return InTurn(tuple(steps)) if len(steps) > 1 else next(iter(steps), None)


@dataclass(frozen=True)
class InTurn:
    """One augmentation after the other.

    Args:
        steps: At least one; each draws when it is its turn.
    """

    steps: tuple[Augmentation, ...]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Augment images ``(B, C, H, W)``."""
        for step in self.steps:
            images = step(images, generator)
        return images


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
        # a window that starts at 0 .. 2 p of the padded image shifts it by -p .. p; (B, 1) each
        limit = 2 * self.padding + 1
        top, left = torch.randint(limit, (2, batch, 1), generator=generator)
        rows = top + torch.arange(height)
        columns = left + torch.arange(width)
        if self.flip:
            mirrored = torch.rand((batch, 1), generator=generator) < 0.5
            # reading the columns of a window backwards mirrors it
            columns = torch.where(mirrored, columns.flip(1), columns)
        padded = F.pad(images, (self.padding,) * 4).reshape(batch, channels, -1)
        stride = width + 2 * self.padding
        # number of each pixel in the flat padded image, (B, H, W): one gather shifts and mirrors
        pixels = (rows[:, :, None] * stride + columns[:, None, :]).reshape(batch, 1, -1)
        pixels = pixels.to(images.device).expand(batch, channels, -1)
        return padded.gather(2, pixels).reshape(images.shape)


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Change brightness, contrast and saturation of every image by factors of its own.

    A strength ``s`` stands for factors that are uniform in ``[max(0, 1 - s), 1 + s]``. The three
    changes are those of torchvision, always in this order, and clamp to the range of a pixel.
    Integers come out as float32 and are not rounded.

    Args:
        brightness: Strength of a factor on all pixels.
        contrast: Strength of a factor on the distance to the mean grey of the image.
        saturation: Strength of a factor on the distance of a pixel to its grey; nothing is
            changed where there is one channel.
        limit: Largest value of a pixel, the smallest being 0; None does not clamp.

    Raises:
        ConfigError: If a strength is negative or the limit not positive.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    limit: float | None = BRIGHTEST

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.limit is not None and not self.limit > 0:
            raise ConfigError(f"limit must be > 0 or null, got {self.limit}")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Augment images ``(B, C, H, W)``.

        Raises:
            UnsupportedError: If saturation is to change where channels are not colours.
        """
        strengths = torch.tensor([self.brightness, self.contrast, self.saturation])
        low = (1 - strengths).clamp(min=0)
        drawn = torch.rand((len(images), 3), generator=generator)
        factors = (low + (1 + strengths - low) * drawn).to(images.device)
        # (3, B, 1, 1, 1): a factor per image
        brighter, sharper, fuller = factors.T.reshape(3, -1, 1, 1, 1)
        jittered = images.float()
        if self.brightness > 0:
            jittered = self._clamped(jittered * brighter)
        if self.contrast > 0:
            mean = _grey(jittered).mean(dim=(2, 3), keepdim=True)
            # mean + factor * (image - mean); lerp goes beyond its ends for factors above one
            jittered = self._clamped(torch.lerp(mean, jittered, sharper))
        if self.saturation > 0 and jittered.shape[1] != 1:
            if jittered.shape[1] != len(LUMA):
                raise UnsupportedError(
                    f"saturation needs images with red, green and blue, got {jittered.shape[1]} "
                    f"channels; set it to 0"
                )
            jittered = self._clamped(torch.lerp(_grey(jittered), jittered, fuller))
        return jittered

    def _clamped(self, images: Tensor) -> Tensor:
        # in place: it only ever gets what was just computed, never the images of the caller
        return images if self.limit is None else images.clamp_(0, self.limit)


def _grey(images: Tensor) -> Tensor:
    """Return ``(B, 1, H, W)``: the luma of colours, the mean of channels that are none."""
    if images.shape[1] != len(LUMA):
        return images.mean(dim=1, keepdim=True)
    weights = torch.tensor(LUMA, device=images.device).reshape(1, -1, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
