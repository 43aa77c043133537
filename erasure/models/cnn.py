"""A small convolutional network for small images."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.models.image_size import image_channels


class CNN(nn.Module):
    """Blocks of 3 x 3 convolution, batch normalization, ReLU and 2 x 2 max pooling, then an MLP.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        channels: Channels of each block; every block halves height and width.
        hidden: Width of the hidden layer of the head.
        in_channels: Number of input channels, checked against the data; None takes theirs.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        channels: Sequence[int] = (16, 32),
        hidden: int = 64,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        widths = [image_channels(input_shape, in_channels, "cnn"), *channels]
        # each pooling halves and rounds down
        side = min(input_shape[1:]) >> len(channels)
        if not channels or side < 1:
            raise ConfigError(
                # bit_length - 1 is how often a side can be halved before nothing is left
                f"channels must have between 1 and {min(input_shape[1:]).bit_length() - 1} "
                f"entries for images of {input_shape[1]} x {input_shape[2]}, got {list(channels)}"
            )
        blocks: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            blocks += [
                nn.Conv2d(wide, narrow, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        area = (input_shape[1] >> len(channels)) * (input_shape[2] >> len(channels))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * area, hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, classes)``."""
        logits: Tensor = self.head(self.blocks(inputs))
        return logits
