"""The plain deep networks of Simonyan and Zisserman, with the head that fits the image size."""

from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.models.image_size import Stem, chosen_stem, image_channels, require_size

STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Number of convolutions before each pooling, by depth."""

WIDTHS = (64, 128, 256, 512, 512)

SMALLEST = 32
"""Side in pixels that is one pixel after five times pooling."""


class VGG(nn.Module):
    """Stages of 3 x 3 convolution with batch normalization, each ending in 2 x 2 max pooling.

    Args:
        input_shape: Shape of one sample, (channels, height, width), at least 32 pixels.
        num_classes: Number of logits.
        depth: Number of layers of the original: 11, 13, 16 or 19.
        head: ``cifar`` is a mean over positions and one linear layer, for images of about 32
            pixels: 9.23 million weights at depth 11 and 14.73 million at 16, with ten classes;
            ``imagenet`` the original three linear layers with dropout, 129 and 134 million;
            ``auto`` is ``cifar`` below 64 pixels.
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If samples are not images, or too small.
        ConfigError: If depth or head cannot be, or images have other channels.

    References:
        K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
        Recognition", ICLR 2015, arXiv:1409.1556.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        depth: int = 16,
        head: Stem = "auto",
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ConfigError(f"depth must be 11, 13, 16 or 19, got {depth}")
        model = f"vgg{depth}_bn"
        before = image_channels(input_shape, in_channels, model)
        require_size(input_shape, SMALLEST, model)
        layers: list[nn.Module] = []
        for count, after in zip(STAGES[depth], WIDTHS, strict=True):
            for _ in range(count):
                layers += [
                    nn.Conv2d(before, after, kernel_size=3, padding=1),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                ]
                before = after
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        if chosen_stem(head, input_shape, "head") == "cifar":
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes)
            )
        else:
            self.head = _three_layers(before, num_classes)
        self._initialize()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, classes)``."""
        logits: Tensor = self.head(self.features(inputs))
        return logits

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


def _three_layers(channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(),
        # 7 x 7 positions of the pooling above
        nn.Linear(channels * 49, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, num_classes),
    )
