"""The handwritten digits that ship with scikit-learn: real images without a download."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.pools.augment import augmentation
from erasure.data.pools.lazy import LazyPool
from erasure.data.pools.rows import TensorRows
from erasure.data.pools.tensor import TensorPool


@dataclass(frozen=True, kw_only=True)
class Digits:
    """1,797 images of 8 x 8 pixels, ten classes.

    With ``noise`` every image gets fixed Gaussian pixel noise, drawn once over all samples and
    before any split, so that held-out data come from the same distribution. A network can only
    fit such training data by memorizing them, which gives membership inference a signal.

    Args:
        noise: Standard deviation of the noise, pixels being in [0, 1].
        noise_seed: Seed of the noise; part of the data set, not of the trial.
        crop: Training images are shifted by up to this many pixels.
        flip: Training images are mirrored half of the time.

    References:
        E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """

    noise: float = 0.0
    noise_seed: int = 7
    crop: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise ConfigError(f"noise must be >= 0, got {self.noise}")
        if self.crop < 0:
            raise ConfigError(f"crop must be >= 0, got {self.crop}")

    def __call__(self, data_config: DataConfig) -> TensorPool | LazyPool:
        """Return the pool: inputs ``(1797, 1, 8, 8)``, uint8 or, with noise, float32."""
        images, targets = _load()
        if self.noise > 0:
            generator = Generator().manual_seed(self.noise_seed)
            # pixels of this data set are whole numbers from 0 to 16
            clean = images.float() / 16
            images = clean + self.noise * torch.randn(clean.shape, generator=generator)
        return LazyPool(
            rows=TensorRows(images),
            data_config=data_config,
            targets=targets,
            class_names=tuple(str(digit) for digit in range(10)),
            divisor=1.0 if self.noise > 0 else 16.0,
            augmentation=augmentation(crop=self.crop, flip=self.flip),
        ).placed()


def _load() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
    return images, torch.from_numpy(digits.target).long()
