"""Residual networks of torchvision, with the stem that fits the image size."""

from typing import Literal

from torch import nn

from erasure.core.errors import ConfigError
from erasure.models.images import image_channels

Stem = Literal["cifar", "imagenet"]


def resnet18(
    input_shape: tuple[int, ...],
    num_classes: int,
    stem: Stem = "cifar",
    in_channels: int | None = None,
) -> nn.Module:
    """Build a ResNet-18 with random weights.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        stem: ``cifar`` is one 3 x 3 convolution of stride 1 without pooling, for images of about
            32 pixels; ``imagenet`` the original 7 x 7 convolution of stride 2 with pooling.
        in_channels: Number of input channels, checked against the data; None takes theirs.

    References:
        K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        arXiv:1512.03385.
    """
    from torchvision.models import resnet18 as build

    if stem not in ("cifar", "imagenet"):
        raise ConfigError(f"stem must be cifar or imagenet, got {stem!r}")
    channels = image_channels(input_shape, in_channels, "resnet18")
    model: nn.Module = build(weights=None, num_classes=num_classes)
    if stem == "cifar":
        model.conv1 = nn.Conv2d(channels, 64, kernel_size=3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    elif channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model
