"""Machine-unlearning experiments, swept, measured alike and tracked."""

from erasure import _torchvision

__version__ = "0.1.0"

_torchvision.install()
