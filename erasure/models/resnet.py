"""Residual networks of torchvision, with the stem that fits the image size."""

from collections.abc import Callable
from typing import Any

from torch import nn

from erasure.models.image_size import Stem, chosen_stem, image_channels


def resnet18(
    input_shape: tuple[int, ...],
    num_classes: int,
    stem: Stem = "auto",
    in_channels: int | None = None,
) -> nn.Module:
    """Build a ResNet-18 with random weights: 11.2 million with ten classes.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        stem: ``cifar`` is one 3 x 3 convolution of stride 1 without pooling, for images of about
            32 pixels; ``imagenet`` the original 7 x 7 convolution of stride 2 with pooling;
            ``auto`` is ``cifar`` below 64 pixels.
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If samples are not images.
        ConfigError: If images are too small for the stem, or have other channels.

    References:
        K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        arXiv:1512.03385.
    """
    from torchvision.models import resnet18 as build

    return _built(build, input_shape, num_classes, stem, in_channels)


def resnet34(
    input_shape: tuple[int, ...],
    num_classes: int,
    stem: Stem = "auto",
    in_channels: int | None = None,
) -> nn.Module:
    """Build a ResNet-34, 21.3 million weights with ten classes; see :func:`resnet18`."""
    from torchvision.models import resnet34 as build

    return _built(build, input_shape, num_classes, stem, in_channels)


def resnet50(
    input_shape: tuple[int, ...],
    num_classes: int,
    stem: Stem = "auto",
    in_channels: int | None = None,
) -> nn.Module:
    """Build a ResNet-50, 23.5 million weights with ten classes; see :func:`resnet18`."""
    from torchvision.models import resnet50 as build

    return _built(build, input_shape, num_classes, stem, in_channels)


def _built(
    build: Callable[..., Any],
    input_shape: tuple[int, ...],
    num_classes: int,
    stem: Stem,
    in_channels: int | None,
) -> nn.Module:
    channels = image_channels(input_shape, in_channels, build.__name__)
    small = chosen_stem(stem, input_shape) == "cifar"
    model: nn.Module = build(weights=None, num_classes=num_classes)
    if small:
        model.conv1 = nn.Conv2d(channels, 64, kernel_size=3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    elif channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model
