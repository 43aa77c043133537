"""The thin residual networks for images of about 32 pixels."""

import torch.nn.functional as F
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.models.image_size import image_channels


class ResNetCifar(nn.Module):
    """Three stages of equally many blocks of two convolutions, the width doubling at each.

    Where the shape changes, the shortcut is a 1 x 1 convolution (option B of the paper). Depth 20
    has 272,474 weights with 3 x 32 x 32 images and ten classes; 32, 56 and 110 are usual too.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        depth: Number of layers, six times the blocks of a stage and two.
        width: Channels of the first stage.
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If samples are not images.
        ConfigError: If depth or width cannot be, or images have other channels.

    References:
        K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2,
        arXiv:1512.03385.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        depth: int = 20,
        width: int = 16,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        channels = image_channels(input_shape, in_channels, "resnet20")
        if depth < 8 or depth % 6 != 2:
            raise ConfigError(f"depth must be 8, 14, 20 or another 6n + 2, got {depth}")
        if width < 1:
            raise ConfigError(f"width must be >= 1, got {width}")
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        before = width
        for after, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
            # three stages of blocks of two layers; the stem and the head are the two others
            for position in range((depth - 2) // 6):
                blocks.append(_ResidualBlock(before, after, stride if position == 0 else 1))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(before, num_classes)
        self._initialize()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, classes)``."""
        logits: Tensor = self.head(self.pool(self.blocks(self.stem(inputs))))
        return logits

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class _ResidualBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(after),
            )

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.body(inputs) + self.shortcut(inputs))
