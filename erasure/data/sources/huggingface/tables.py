"""Tables of the Hugging Face hub, or of files in the formats that its library reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.frames.attributes import Members
from erasure.data.frames.table import TableSettings, require_columns
from erasure.data.pools.tabular import TabularPool
from erasure.data.sources.huggingface.rows import HubFrame, HubRows
from erasure.data.sources.huggingface.texts import file_name

if TYPE_CHECKING:
    import pandas as pd

PART = "official part"
NAMES = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class HuggingFaceTable(HubRows, TableSettings):
    """A table of numbers and categories with classes.

    Args:
        target: Column of the classes; their names are sorted.
        features: Columns that models read; null takes all that are nothing else.
        categories: Columns that are categories although they hold numbers.
        attributes: Columns that models do not read, but by which a split can choose.
        ignore: Columns that are not used at all.
        missing: What is done about a missing feature: ``error``, ``mean`` or ``drop``.
        unknown: Texts that mean a missing value, besides the empty one.
        path: A hub id ``owner/name``, a file or a folder.
        config: Named configuration of the source.
        revision: Commit or tag of the hub.
        files: Files of each split, as names or patterns.
        splits: Splits that are used, each with the part it is; null takes the usual names.
        unique: Column of keys: of rows with the same key only the first is kept.
        streaming: Must be false.
        sets: Further attributes that are lists, each with what reads it.
        top_classes: Keep only rows of this many classes, the most frequent ones; of equally
            frequent classes the first in order counts as more frequent.

    Raises:
        ConfigError: If a setting makes no sense.
    """

    sets: Mapping[str, Members] = field(default_factory=dict)
    top_classes: int | None = None

    def __post_init__(self) -> None:
        HubRows.__post_init__(self)
        if self.target is None:
            raise ConfigError("target must be a column, got null")
        if self.top_classes is not None and self.top_classes < 2:
            raise ConfigError(f"top_classes must be >= 2 or null, got {self.top_classes}")
        both = [name for name in self.sets if name in (*self.attributes, *(self.features or ()))]
        if both:
            raise ConfigError(f"sets must have names of their own, got {', '.join(both)}")

    def __call__(self, data_config: DataConfig) -> TabularPool:
        """Return the table; it is encoded by its training samples once these are known."""
        source = self.causes(data_config, HuggingFaceTable, Members)
        return self.load(
            data_config, file_name(self.path), source, lambda: self._read(data_config)
        )

    def _read(self, data_config: DataConfig) -> TabularPool:
        with self.opened(data_config, {}) as rows:
            frame = _with_names(rows)
        lists = [reader.column for reader in self.sets.values()]
        require_columns(frame, lists, "sets")
        part = PART if PART in frame else None
        table = replace(self, ignore=sorted({*self.ignore, *lists} - {*self.attributes}))
        frame = table._kept(frame, part)  # table is self but for what it ignores
        pool = table.pool(frame, part)
        sets = {name: reader(frame) for name, reader in self.sets.items()}
        return replace(pool, attributes={**pool.attributes, **sets})

    def _kept(self, frame: "pd.DataFrame", part: str | None) -> "pd.DataFrame":
        """Leave out rows of rare classes, and those that miss a value if these are dropped."""
        target = self._target(frame)
        if self.missing == "drop":
            frame = frame.dropna(subset=[target, *self._features(frame, target, part)])
        if self.top_classes is not None:
            # by name first, then stably by count: ties do not depend on the order of rows
            counts = frame[target].value_counts().sort_index()
            frequent = counts.sort_values(ascending=False, kind="stable").index
            frame = frame[frame[target].isin(frequent[: self.top_classes])]
        return frame.reset_index(drop=True)


def _with_names(rows: HubFrame) -> "pd.DataFrame":
    """Return the frame with names instead of codes, and a column of parts if there are any."""
    changed = {}
    for name, names in rows.codes.items():
        changed[name] = rows.frame[name].map(dict(enumerate(names)), na_action="ignore")
    if rows.official is not None:
        changed[PART] = [NAMES[code] for code in rows.official.tolist()]
    return rows.frame.assign(**changed)
