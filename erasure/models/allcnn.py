"""The all-convolutional network of the first papers on forgetting in deep networks."""

from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.models.image_size import image_channels


class AllCNN(nn.Module):
    """Eight convolutions with batch normalization, two of stride 2, a mean and a linear head.

    The layout is the one that Golatkar et al. forget with: All-CNN-C with batch normalization
    and a linear layer in place of the last 1 x 1 convolution. With 3 x 32 x 32 images and ten
    classes it has 1.62 million weights.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        width: Multiplier of the 96 and 192 channels, > 0.
        dropout: Share of activations dropped after each convolution of stride 2, in [0, 1).
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If samples are not images.
        ConfigError: If a setting is out of range, or images have other channels.

    References:
        J. T. Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR
        workshop 2015, arXiv:1412.6806; A. Golatkar et al., "Eternal Sunshine of the Spotless
        Net", CVPR 2020, arXiv:1911.04933.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        width: float = 1.0,
        dropout: float = 0.0,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        channels = image_channels(input_shape, in_channels, "allcnn")
        if not width > 0:
            raise ConfigError(f"width must be > 0, got {width}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout must be in [0, 1), got {dropout}")
        narrow, wide = (max(1, round(size * width)) for size in (96, 192))
        self.features = nn.Sequential(
            *_block(channels, narrow),
            *_block(narrow, narrow),
            *_block(narrow, wide, stride=2),
            nn.Dropout(dropout),
            *_block(wide, wide),
            *_block(wide, wide),
            *_block(wide, wide, stride=2),
            nn.Dropout(dropout),
            *_block(wide, wide),
            *_block(wide, wide, kernel=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(wide, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, classes)``."""
        logits: Tensor = self.head(self.features(inputs))
        return logits


def _block(before: int, after: int, stride: int = 1, kernel: int = 3) -> list[nn.Module]:
    return [
        # padded so that only the stride changes the size, also for 1 x 1
        nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]
