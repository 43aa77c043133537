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
        paths = (root / "hf" / self.path, root / self.path, Path(self.path))
        return next((path for path in paths if path.exists()), None)

    def stamp(self, root: Path) -> str:
        """Return a hash of names, sizes and times of local files; empty for the hub."""
        path = self.local(root)
        if path is None:
            return ""
        paths = sorted(path.rglob("*")) if path.is_dir() else [path]
        return files_stamp([file for file in paths if file.is_file()], {})

    @contextmanager
    def opened(self, data_config: DataConfig) -> Iterator[Mapping[str, Any]]:
        """Give the splits of the source by name; they are readable inside the block only.

        What the library writes while it reads local files is removed afterwards. Of the hub, the
        files are kept where the hub client keeps them (``HF_HOME``), and what is made of them
        below ``data_config.root / "huggingface"``, by revision.

        Raises:
            DataError: If the source cannot be read or downloaded.
        """
        path = self.local(data_config.root)
        mirror = data_config.root / "hf" / self.path
        by_hand = "a copy of its files"
        with ExitStack() as scratch:
            with (
                fetching(self.path, "Hugging Face", mirror, by_hand),
                _library(data_config.download),
            ):
                if path is not None:
                    # on the disk of the data, since what the library writes may be as large
                    folder = TemporaryDirectory(prefix=".reading-", dir=data_config.root)
                    splits = self._read(path, scratch.enter_context(folder))
                else:
                    self._refuse_missing_file(data_config.root)
                    splits = self._fetch(
                        data_config.root / "huggingface" / (self.revision or "main")
                    )
            yield splits

    def _read(self, path: Path, scratch: str) -> Mapping[str, Any]:
        from datasets import load_dataset, load_from_disk

        if path.is_file():
            kind = FORMATS.get(path.suffix.lower())
            if kind is None:
                raise ConfigError(
                    f"path must end in one of {', '.join(FORMATS)}, or be a folder or a hub id, "
                    f"got {self.path!r}"
                )
            more = {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
            return dict(load_dataset(kind, data_files=str(path), cache_dir=scratch, **more))
        # what save_to_disk writes, which load_dataset does not read
        if any((path / name).exists() for name in ("dataset_dict.json", "state.json")):
            loaded = load_from_disk(str(path))
            return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
        return dict(
            load_dataset(
                str(path), self.config, data_files=dict(self.files) or None, cache_dir=scratch
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
        here = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
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
            # never lifted where the user has set it
            module.HF_HUB_OFFLINE = module.HF_HUB_OFFLINE or not download
        yield
    except DatasetsError as error:
        raise OSError(str(error.__cause__ or error)) from error
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value
