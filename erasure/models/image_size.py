"""Checks that image models share."""

from typing import Literal

from erasure.core.errors import ConfigError, UnsupportedError

Stem = Literal["auto", "cifar", "imagenet"]
"""How a network takes in an image: at full resolution, or at a quarter of it and less."""

LARGE = 64
"""Side in pixels from which on ``auto`` means the layers made for photographs of 224 pixels."""

SMALLEST_FOR_IMAGENET = 32
"""Side in pixels that a network which halves five times needs."""


def image_channels(input_shape: tuple[int, ...], in_channels: int | None, model: str) -> int:
    """Return the number of channels of images of ``input_shape`` (C, H, W).

    Args:
        input_shape: Shape of one sample.
        in_channels: What the configuration says, or None to take it from the data.
        model: Name for messages.

    Raises:
        UnsupportedError: If the samples are not images.
        ConfigError: If the configuration contradicts the data.
    """
    input_shape = tuple(input_shape)
    if len(input_shape) != 3:
        raise UnsupportedError(
            f"model {model} needs images (channels, height, width), the data set has samples of "
            f"shape {input_shape}; use model=mlp"
        )
    channels = input_shape[0]
    if in_channels is not None and in_channels != channels:
        raise ConfigError(
            f"in_channels must be {channels}, the number of channels of the data set "
            f"(samples of shape {input_shape}), got {in_channels}; null takes it from the data"
        )
    return channels


def chosen_stem(stem: Stem, input_shape: tuple[int, ...], setting: str = "stem") -> Stem:
    """Return ``cifar`` or ``imagenet``: what was asked for, or what fits the size of images.

    Args:
        stem: ``auto`` takes ``cifar`` below 64 pixels.
        input_shape: Shape of one sample, (channels, height, width).
        setting: What the configuration calls it, for messages.

    Raises:
        ConfigError: If it is unknown, or images are too small for it.
    """
    if stem not in ("auto", "cifar", "imagenet"):
        raise ConfigError(f"{setting} must be auto, cifar or imagenet, got {stem!r}")
    side = min(input_shape[1:])
    if stem == "auto":
        return "cifar" if side < LARGE else "imagenet"
    if stem == "imagenet" and side < SMALLEST_FOR_IMAGENET:
        raise ConfigError(
            f"{setting} must be cifar for images below {SMALLEST_FOR_IMAGENET} pixels, got "
            f"imagenet for {input_shape[1]} x {input_shape[2]}"
        )
    return stem


def require_size(input_shape: tuple[int, ...], smallest: int, model: str) -> None:
    """Refuse images of ``input_shape`` (C, H, W) that would shrink to nothing.

    Raises:
        UnsupportedError: Naming the smallest side in pixels and a model that takes smaller images.
    """
    if min(input_shape[1:]) < smallest:
        raise UnsupportedError(
            f"model {model} needs images of at least {smallest} x {smallest} pixels, the data set "
            f"has {input_shape[1]} x {input_shape[2]}; use model=cnn or model=resnet20"
        )
