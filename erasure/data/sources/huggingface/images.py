"""Pictures of the Hugging Face hub, or of files in the formats that its library reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from torch import Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.pool import Pool
from erasure.data.frames.attributes import Attribute, readers
from erasure.data.frames.labelling import labels_of
from erasure.data.frames.series import as_column
from erasure.data.pools.rows import DecodedRows, TensorRows
from erasure.data.sources.forming import Decode
from erasure.data.sources.huggingface.rows import HubRows, Missing
from erasure.data.sources.huggingface.texts import file_name
from erasure.data.sources.imaging import ImageSettings, image_pool
from erasure.data.sources.packing import pack, unpack
from erasure.data.sources.prepared import Prepared, prepared

PER_BATCH = ("mean", "std", "crop", "flip", "brightness", "contrast", "saturation")
"""Settings of what happens to a batch, not to the pictures that are kept."""


@dataclass(frozen=True, kw_only=True)
class HuggingFaceImages(HubRows, ImageSettings):
    """Pictures with classes, decoded and scaled once.

    Args:
        path: A hub id ``owner/name``, a file or a folder, such as one with a folder of pictures
            for each class.
        config: Named configuration of the source.
        revision: Commit or tag of the hub.
        files: Files of each split, as names or patterns.
        splits: Splits that are used, each with the part it is; null takes the usual names.
        unique: Column of keys: of rows with the same key only the first is kept.
        unknown: Texts that mean a missing value, besides the empty one.
        streaming: Must be false; pictures that do not fit into memory are read from what was
            prepared, by id.
        resize: Height and width, or the side of the centre square, pictures are brought to.
        channels: 1 for grey, 3 or null for colour.
        mean: Subtracted from each channel, pixels being in [0, 1]; empty for no normalization.
        std: What each channel is divided by after that.
        crop: Training pictures are shifted by up to this many pixels.
        flip: Training pictures are mirrored half of the time.
        brightness: As in :class:`ImageSettings`, and so are contrast and saturation.
        contrast: As in :class:`ImageSettings`.
        saturation: As in :class:`ImageSettings`.
        image: Column of the pictures.
        target: Column of the classes. Codes of the source keep their order and names.
        class_names: Names of the sorted classes instead of their values.
        attributes: Further columns by which a split can choose: by name the column, whose values
            are categories, or another reader of :mod:`erasure.data.frames.attributes`.
        missing: What is done about rows without a target: ``error`` or ``drop``.

    Raises:
        ConfigError: If a setting makes no sense.
    """

    image: str = "image"
    target: str = "label"
    class_names: Sequence[str] = ()
    attributes: Mapping[str, str | Attribute] = field(default_factory=dict)
    missing: Missing = "error"

    def __post_init__(self) -> None:
        HubRows.__post_init__(self)
        ImageSettings.__post_init__(self)

    def __call__(self, data_config: DataConfig) -> Pool:
        """Return the pool, uint8 until a batch is fetched.

        Raises:
            ConfigError: If a column or a split does not exist.
            DataError: If the source or a picture cannot be read.
        """

        def make() -> Prepared:
            return self._made(data_config)

        causes = self.causes(data_config, Decode, labels_of, as_column, pack)
        for name in PER_BATCH:
            # so that pictures are not prepared again for another normalization
            del causes["settings"][name]
        entry = prepared(data_config, file_name(self.path), causes, make)
        rows = TensorRows(entry.tensors["pixels"], entry.key)
        return image_pool(
            data_config, file_name(self.path), rows, self, unpack(entry, data_config)
        )

    def _made(self, data_config: DataConfig) -> Prepared:
        wanted = readers(self.attributes)
        columns = {self.target: "target"}
        columns |= {name: "attributes" for reader in wanted.values() for name in reader.reads}
        with self.opened(data_config, columns, {self.image: "image"}) as hub_frame:
            rows = hub_frame.without(
                {self.target: hub_frame.frame[self.target].isna()}, self.missing
            )
            labels = rows.labels(self.target, "one", ",", self.class_names)
            pixels = self._decoded(rows.rows)
            return pack(labels, rows.attributes(wanted), rows.official, {"pixels": pixels})

    def _decoded(self, rows: Any) -> Tensor:
        from datasets import Image

        if not isinstance(rows.features[self.image], Image):
            raise ConfigError(
                f"image must be a column of pictures, got {self.image!r}, which holds "
                f"{rows.features[self.image]}"
            )
        encoded = _Encoded(rows.select_columns([self.image]), self.image)
        decode = Decode(self.form)
        try:
            first = decode(encoded[0])
        except OSError as error:
            raise DataError(f"the first picture of {self.path} cannot be decoded") from error
        return DecodedRows(items=encoded, decode=decode, sample=tuple(first.shape)).whole()


class _Encoded(Sequence[Any]):
    """The files of pictures, as they are in a row."""

    def __init__(self, rows: Any, column: str) -> None:
        from datasets import Image

        # files as they are: Decode brings them to their size and channels, the library would not
        self.rows = rows.cast_column(column, Image(decode=False))
        self.column = column

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Any:
        picture = self.rows[row][self.column]
        return picture["path"] if picture["bytes"] is None else BytesIO(picture["bytes"])
