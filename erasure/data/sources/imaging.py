"""Pictures as data sets show them: their size, their channels, how they are normalized."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.pool import Pool
from erasure.data.pools.augment import Augmentation, augmentation
from erasure.data.pools.lazy import LazyPool
from erasure.data.pools.rows import DecodedRows, Rows, TensorRows
from erasure.data.sources.forming import Decode, Form, FormedRows
from erasure.data.sources.prepared import Prepared, prepared


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """What all data sets of pictures can be asked for.

    Args:
        resize: Height and width ``[h, w]`` to which pictures are stretched; one number ``n``
            scales the centre square to ``n`` by ``n``; null keeps the size, which must then be
            the same for all.
        channels: 1 for grey, 3 for colour, null as the data set gives them.
        mean: Subtracted from each channel, pixels being in [0, 1]; empty for no normalization.
        std: What each channel is divided by after that.
        crop: Training pictures are shifted by up to this many pixels.
        flip: Training pictures are mirrored half of the time.
        brightness: Training pictures are made up to this share brighter or darker.
        contrast: The same for the distance of pixels from the mean grey of the picture.
        saturation: The same for the distance of pixels from their own grey.

    Raises:
        ConfigError: If a setting is out of range.
    """

    resize: int | Sequence[int] | None = None
    channels: int | None = None
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    crop: int = 0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        self._check_size()
        if self.channels not in (None, 1, 3):
            raise ConfigError(f"channels must be 1, 3 or null, got {self.channels}")
        if len(self.mean) != len(self.std):
            raise ConfigError(
                f"mean must have as many numbers as std, got {len(self.mean)} and {len(self.std)}"
            )
        if any(value <= 0 for value in self.std):
            raise ConfigError(f"std must be > 0, got {list(self.std)}")
        _ = self.augmentation  # checks its settings

    def _check_size(self) -> None:
        if self.resize is None:
            return
        sizes = (self.resize,) if isinstance(self.resize, int) else tuple(self.resize)
        if len(sizes) > 2 or not sizes or any(size < 1 for size in sizes):
            raise ConfigError(
                f"resize must be a number of pixels, [height, width] or null, got {self.resize}"
            )

    @property
    def augmentation(self) -> Augmentation | None:
        """What is done to training pictures."""
        return augmentation(
            crop=self.crop,
            flip=self.flip,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
        )

    @property
    def form(self) -> Form:
        """The size and channels that were asked for."""
        if self.resize is None or isinstance(self.resize, int):
            return Form(self.resize, self.channels)
        # one number in a list is height and width
        return Form((self.resize[0], self.resize[-1]), self.channels)


def image_pool(
    data_config: DataConfig,
    name: str,
    rows: Rows,
    settings: ImageSettings,
    labels: Mapping[str, Any],
) -> Pool:
    """Return a pool of pictures: resident if they fit, otherwise read while training goes on.

    Pictures that fit are decoded and scaled once and kept below ``data_config.prepared``.

    Args:
        data_config: Where the pool and what is prepared lie.
        name: Name of the data set in the folder of prepared data.
        rows: The pictures, of the form that ``settings`` ask for.
        settings: Normalization and augmentation.
        labels: The other fields of the pool: targets, class_names and so on.

    Raises:
        ConfigError: If the normalization does not fit the number of channels.
        DataError: If a picture cannot be decoded, or has another size than the others.
    """
    channels = rows.shape[1]
    if settings.mean and len(settings.mean) != channels:
        raise ConfigError(
            f"mean must have a number for each of the {channels} channels of the pictures, "
            f"got {list(settings.mean)}"
        )
    # bytes, so that the number of values is the size; what is in memory already needs no copy
    if not isinstance(rows, TensorRows) and data_config.fits(prod(rows.shape)):
        cause = {"rows": rows.version}
        kept = prepared(
            data_config, f"{name}-pixels", cause, lambda: Prepared({"pixels": rows.whole()})
        )
        rows = TensorRows(kept.tensors["pixels"], kept.key)
    return LazyPool(
        rows=rows,
        data_config=data_config,
        divisor=255.0,
        mean=tuple(settings.mean),
        std=tuple(settings.std),
        augmentation=settings.augmentation,
        **labels,
    ).placed()


def file_rows(files: Sequence[Path], form: Form, stamp: str) -> DecodedRows:
    """Return pictures that lie in files.

    Args:
        files: At least one; if ``form`` gives no size, all must have that of the first.
        form: What they are brought to.
        stamp: Hash of all that the contents of the files depend on.

    Raises:
        DataError: If the first file is no picture.
    """
    sample = form.shape((3, *_size(files[0])))
    return DecodedRows(items=files, decode=Decode(form), sample=sample, stamp=stamp)


def array_rows(raw: Tensor, form: Form, stamp: str) -> Rows:
    """Return pictures ``(N, C, H, W)`` uint8 that are in memory, or mapped into it.

    Args:
        raw: As the data set gives them.
        form: What they are brought to.
        stamp: Hash of all that the contents depend on.
    """
    if form.shape(tuple(raw.shape[1:])) == tuple(raw.shape[1:]):
        return TensorRows(raw, stamp)
    return FormedRows(raw, form, stamp)


def _size(file: Path) -> tuple[int, int]:
    """Return height and width of the picture in a file; reads its header only."""
    from PIL import Image

    try:
        with Image.open(file) as picture:
            return picture.height, picture.width
    except OSError as error:
        raise DataError(f"{file} cannot be decoded: {error}") from error
