"""LeNet-5."""

from torch import Tensor, nn

from erasure.models.image_size import image_channels, require_size

SMALLEST = 12
"""Side in pixels of the smallest images that leave something to classify."""


class LeNet(nn.Module):
    """Two 5 x 5 convolutions with pooling and three linear layers, for handwritten digits.

    The sizes are those of 1998, the activations and the pooling those of today: ReLU and the
    maximum instead of scaled tanh and trained averages. With 28 x 28 grey images and ten classes
    it has 61,706 weights.

    Args:
        input_shape: Shape of one sample, (channels, height, width), at least 12 pixels.
        num_classes: Number of logits.
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If samples are not images, or too small.
        ConfigError: If images have other channels.

    References:
        Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings
        of the IEEE 86, 1998.
    """

    def __init__(
        self, input_shape: tuple[int, ...], num_classes: int, in_channels: int | None = None
    ) -> None:
        super().__init__()
        channels = image_channels(input_shape, in_channels, "lenet")
        require_size(input_shape, SMALLEST, "lenet")
        # the first convolution keeps the size, the second takes off 4, and each is pooled by 2
        height, width = ((side // 2 - 4) // 2 for side in input_shape[1:])
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * height * width, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, classes)``."""
        logits: Tensor = self.head(self.features(inputs))
        return logits
