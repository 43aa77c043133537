"""Tables of the UCI Machine Learning Repository, through ``ucimlrepo``, kept on disk."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.data.frames.table import TableSettings
from erasure.data.pools.tabular import TabularPool
from erasure.data.sources.fetching import fetching
from erasure.data.sources.files import content, reading

if TYPE_CHECKING:
    import pandas as pd

PATIENCE = 60.0
"""Seconds without an answer after which a server counts as gone."""


@dataclass(frozen=True, kw_only=True)
class Uci(TableSettings):
    """A table of the UCI Machine Learning Repository.

    What the repository sends is kept as ``<data.root>/uci/<id>.csv`` and ``<id>.json``, because
    the library would fetch it anew each time; later runs read these files alone. ``target`` and
    ``features`` are those the repository names unless they are set.

    Args:
        target: Column of the classes.
        features: Columns that models read.
        categories: Columns that are categories although they hold numbers.
        attributes: Columns that only splits read.
        ignore: Columns that are not used.
        unknown: Texts that mean a missing value.
        missing: What is done about a missing feature.
        id: Number of the data set; give this or ``name``.
        name: Its name, in full; the repository would also take a part of it.
        dotted: Labels of the official test set end in a dot, as in Adult. The dot is removed and
            the parts are kept.

    References:
        M. Kelly, R. Longjohn and K. Nottingham, "The UCI Machine Learning Repository", 2023.
    """

    id: int | None = None
    name: str | None = None
    dotted: bool = False

    def __post_init__(self) -> None:
        if (self.id is None) == (self.name is None):
            raise ConfigError(
                f"id and name exclude each other: set one and make the other null, "
                f"got id={self.id} and name={self.name}"
            )

    def __call__(self, data_config: DataConfig) -> TabularPool:
        """Return the table."""
        csv, metadata = self._files(data_config)
        checksum = content(csv)
        # an answer that was put there by hand notes no content
        if metadata.get("content", checksum) != checksum:
            raise DataError(
                f"{csv} is not what was fetched; delete it and run again, and it is fetched anew"
            )
        source = {"content": checksum, "variables": metadata["variables"], "dotted": self.dotted}
        name = f"uci-{metadata['uci_id']}"
        return self.load(data_config, name, source, lambda: self._read(csv, metadata))

    def _read(self, csv: Path, metadata: Mapping[str, Any]) -> TabularPool:
        import pandas as pd

        with reading(csv):
            frame = pd.read_csv(csv, low_memory=False)
        roles = {variable["name"]: variable["role"] for variable in metadata["variables"]}
        targets = [name for name, role in roles.items() if role == "Target"]
        target = self.target or (targets[0] if len(targets) == 1 else None)
        if target is None:
            raise ConfigError(
                f"target must be named, the repository knows {len(targets)}: {', '.join(targets)}"
            )
        chosen = self.features
        if chosen is None:
            taken = {target, *self.attributes, *self.ignore}
            all_features = [name for name, role in roles.items() if role == "Feature"]
            chosen = [name for name in all_features if name not in taken]
        table = replace(self, target=target, features=chosen)
        if not self.dotted or target not in frame:
            return table.pool(frame)
        return table.pool(*_undotted(frame, target))

    def _files(self, data_config: DataConfig) -> tuple[Path, Mapping[str, Any]]:
        """Return the table's file and what is known about it, fetched if it is not there."""
        folder = data_config.root / "uci"
        files = self._kept(folder)
        if files is None:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / "fetching.lock"):
                # looked for again: whoever held the lock before may have fetched it
                files = self._kept(folder) or self._fetch(folder, data_config)
        return files

    def _kept(self, folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
        answers = (
            [folder / f"{self.id}.json"] if self.name is None else sorted(folder.glob("*.json"))
        )
        for answer in answers:
            csv = answer.with_suffix(".csv")
            if answer.is_file() and csv.is_file():
                metadata = _read_answer(answer)
                # by name any file may be the one: each answer says what its data set is called
                if self.name is None or metadata["name"].casefold() == self.name.casefold():
                    return csv, metadata
        return None

    def _fetch(self, folder: Path, data_config: DataConfig) -> tuple[Path, Mapping[str, Any]]:
        from ucimlrepo import fetch, fetch_ucirepo

        data_set = str(self.id) if self.name is None else self.name
        number = "<id>" if self.id is None else self.id
        by_hand = (
            f"what {fetch.API_BASE_URL}?id={number} answers as {number}.json and the file that "
            f"its data_url names as {number}.csv"
        )
        with fetching(f"uci {data_set}", "ucimlrepo", folder, by_hand), _patience():
            if not data_config.download:
                raise OSError("it is not there and data.download=false")
            try:
                fetched = fetch_ucirepo(name=self.name, id=self.id)
            except fetch.DatasetNotFoundError as error:
                raise ValueError(str(error)) from error
        metadata = {
            "uci_id": int(fetched.metadata.uci_id),
            "name": str(fetched.metadata.name),
            "variables": fetched.variables[["name", "role"]].to_dict("records"),
        }
        if self.name is not None and metadata["name"].casefold() != self.name.casefold():
            raise ConfigError(
                f"name must be a name in full, got {self.name!r}, for which the repository has "
                f"{metadata['name']!r} (id {metadata['uci_id']})"
            )
        return _keep(folder, metadata, fetched.data.original), metadata


def _undotted(frame: "pd.DataFrame", target: str) -> tuple["pd.DataFrame", str | None]:
    """Return the frame with plain labels, and the name of a column of parts if there are two."""
    labels = frame[target].astype("string").str.strip()
    test = labels.str.endswith(".").fillna(False)
    frame = frame.assign(**{target: labels.str.removesuffix(".")})
    if test.all() or not test.any():
        return frame, None
    return frame.assign(**{"official part": test.map({True: "test", False: "train"})}), (
        "official part"
    )


def _read_answer(answer: Path) -> Mapping[str, Any]:
    """Return what the repository says about a data set.

    Raises:
        DataError: If the file is not an answer of the repository.
    """
    try:
        saved = json.loads(answer.read_text(encoding="utf-8"))
        metadata = saved["data"]
        return {
            **({"content": saved["content"]} if "content" in saved else {}),
            "uci_id": int(metadata["uci_id"]),
            "name": str(metadata["name"]),
            "variables": [{"name": v["name"], "role": v["role"]} for v in metadata["variables"]],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{answer} is no answer of the UCI repository ({type(error).__name__}: {error}); "
            f"delete it and run again, and it is fetched anew"
        ) from error


def _keep(folder: Path, metadata: Mapping[str, Any], frame: "pd.DataFrame") -> Path:
    """Write both files, each under another name first; the table is there before its facts."""
    csv = folder / f"{metadata['uci_id']}.csv"
    partial = folder / f".{metadata['uci_id']}-{os.getpid()}-{uuid4().hex[:8]}"
    try:
        frame.to_csv(partial, index=False)
        partial.rename(csv)
        partial.write_text(
            json.dumps({"data": dict(metadata), "content": content(csv)}), encoding="utf-8"
        )
        partial.rename(csv.with_suffix(".json"))
    finally:
        partial.unlink(missing_ok=True)
    return csv


@contextmanager
def _patience() -> Iterator[None]:
    """Give up on a server that does not answer; the library would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
