"""A multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from erasure.core.errors import ConfigError


class MLP(nn.Module):
    """Fully connected layers with ReLU between them; inputs of any shape are flattened.

    Args:
        input_shape: Shape of one sample.
        num_classes: Number of logits.
        hidden: Width of each hidden layer; empty makes a linear classifier.
    """

    def __init__(
        self, input_shape: tuple[int, ...], num_classes: int, hidden: Sequence[int] = (256, 128)
    ) -> None:
        super().__init__()
        if any(width < 1 for width in hidden):
            raise ConfigError(f"hidden must hold positive widths, got {list(hidden)}")
        widths = [prod(input_shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for wide, narrow in pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(B, ...)`` to logits ``(B, C)``."""
        logits: Tensor = self.layers(inputs)
        return logits
