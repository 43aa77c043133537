"""Opening a data set of the Hugging Face hub: a copy on disk first, the hub itself last."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.data.pools.rows import files_stamp
from erasure.data.sources.fetching import fetching

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".txt": "text",
}
"""Loader of single files by suffix."""


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """Where the rows of a data set are.

    Args:
        path: A hub id ``owner/name``; or a file (CSV, TSV, JSON, JSON lines, Parquet) or folder,
            relative to ``data.root`` or to where the command was typed.
        config: Named configuration of the source, if it has several.
        revision: Commit or tag of the hub.
        files: Patterns of the files of each split; empty for what the source says.
    """

    path: str
    config: str | None
    revision: str | None
    files: Mapping[str, str | Sequence[str]]

    def local(self, root: Path) -> Path | None:
        """Return the file or folder to read: the mirror, below ``root``, or as it is named."""
        places = (root / "hf" / self.path, root / self.path, Path(self.path))
        return next((place for place in places if place.exists()), None)

    def stamp(self, root: Path) -> str:
        """Return a hash of names, sizes and times of local files; empty for the hub."""
        place = self.local(root)
        if place is None:
            return ""
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        return files_stamp([file for file in found if file.is_file()], {})

    @contextmanager
    def opened(self, data_config: DataConfig) -> Iterator[Mapping[str, Any]]:
        """Give the splits of the source by name; they are readable inside the block only.

        What the library writes while it reads local files is removed afterwards. Of the hub, the
        files are kept where the hub client keeps them (``HF_HOME``), and what is made of them
        below ``data_config.root / "huggingface"``, by revision.

        Raises:
            DataError: If the source cannot be read or downloaded.
        """
        place = self.local(data_config.root)
        mirror = data_config.root / "hf" / self.path
        by_hand = "a copy of its files"
        with ExitStack() as scratch:
            with (
                fetching(self.path, "Hugging Face", mirror, by_hand),
                _library(data_config.download),
            ):
                if place is not None:
                    folder = TemporaryDirectory(prefix=".reading-", dir=data_config.root)
                    splits = self._read(place, scratch.enter_context(folder))
                else:
                    self._refuse_missing_file(data_config.root)
                    splits = self._fetch(
                        data_config.root / "huggingface" / (self.revision or "main")
                    )
            yield splits

    def _read(self, place: Path, scratch: str) -> Mapping[str, Any]:
        from datasets import load_dataset, load_from_disk

        if place.is_file():
            kind = FORMATS.get(place.suffix.lower())
            if kind is None:
                raise ConfigError(
                    f"path must end in one of {', '.join(FORMATS)}, or be a folder or a hub id, "
                    f"got {self.path!r}"
                )
            more = {"sep": "\t"} if place.suffix.lower() == ".tsv" else {}
            return dict(load_dataset(kind, data_files=str(place), cache_dir=scratch, **more))
        if any((place / name).exists() for name in ("dataset_dict.json", "state.json")):
            found = load_from_disk(str(place))
            return dict(found) if isinstance(found, dict) else {"train": found}
        return dict(
            load_dataset(
                str(place), self.config, data_files=dict(self.files) or None, cache_dir=scratch
            )
        )

    def _fetch(self, cache: Path) -> Mapping[str, Any]:
        from datasets import load_dataset

        return dict(
            load_dataset(
                self.path,
                self.config,
                data_files=dict(self.files) or None,
                revision=self.revision,
                cache_dir=str(cache),
            )
        )

    def _refuse_missing_file(self, root: Path) -> None:
        """Tell a file that is not there from a hub id, which nothing on disk has to match."""
        if Path(self.path).suffix.lower() not in FORMATS and self.path.count("/") == 1:
            return
        folder = root / Path(self.path).parent
        here = [found.name for found in folder.iterdir()] if folder.is_dir() else []
        close = get_close_matches(Path(self.path).name, here, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise DataError(f"there is no file or folder {self.path!r}, also not below {root}{hint}")


@contextmanager
def _library(download: bool) -> Iterator[None]:  # noqa: FBT001  # DataConfig.download
    """Keep the library off the network inside the block, unless downloads are allowed.

    It reads its environment variables when it is imported, so that these need not be set. What
    it raises by classes of its own becomes an ``OSError``.
    """
    import datasets.config
    import huggingface_hub.constants
    from datasets.exceptions import DatasetsError

    modules: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [module.HF_HUB_OFFLINE for module in modules]
    try:
        for module in modules:
            module.HF_HUB_OFFLINE = module.HF_HUB_OFFLINE or not download
        yield
    except DatasetsError as error:
        raise OSError(str(error.__cause__ or error)) from error
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value
