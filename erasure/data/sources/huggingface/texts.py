"""Texts of the Hugging Face hub, or of files in the formats that its library reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.frames.attributes import Attribute, joined, readers
from erasure.data.frames.labelling import Holds, labels_of, split_lists
from erasure.data.frames.series import as_column
from erasure.data.pools.tokens import TokenPool
from erasure.data.sources.huggingface.rows import HubFrame, HubRows, Missing
from erasure.data.sources.packing import pack
from erasure.data.sources.prepared import Prepared, prepared
from erasure.data.sources.texts import TextSettings, token_parts
from erasure.data.sources.vocabulary import word_tokens


@dataclass(frozen=True, kw_only=True)
class HuggingFaceText(HubRows, TextSettings):
    """Texts with classes.

    Args:
        path: A hub id ``owner/name``, a file or a folder.
        config: Named configuration of the source.
        revision: Commit or tag of the hub.
        files: Files of each split, as names or patterns.
        splits: Splits that are used, each with the part it is; null takes the usual names.
        unique: Column of keys: of rows with the same key only the first is kept.
        unknown: Texts that mean a missing value, besides the empty one.
        streaming: Must be false.
        tokenizer: ``words``, or the hub id or folder of a pretrained tokenizer.
        tokenizer_revision: Commit or tag of a tokenizer of the hub.
        vocabulary: Largest number of ids of our own vocabulary.
        max_length: Longer texts are cut to this number of tokens.
        text: Columns of the text; several are put one after the other. One of several may be
            missing; the text is missing if all are.
        target: Column of the classes. Codes of the source keep their order and names; other
            values are sorted.
        holds: What the target holds: ``one`` class; or a list, of which the ``first`` counts or
            ``many``, which makes a task with several labels per sample.
        separator: What is between the members of such a list if it is written as text.
        class_names: Names of the sorted classes instead of their values.
        attributes: Further columns by which a split can choose: by name the column, whose values
            are categories, or another reader of :mod:`erasure.data.frames.attributes`.
        missing: What is done about rows without text or target: ``error`` refuses the data,
            ``drop`` leaves them out, so that they have no ids.

    Raises:
        ConfigError: If a setting makes no sense.

    References:
        Q. Lhoest et al., "Datasets: A Community Library for Natural Language Processing", 2021,
        arXiv:2109.02846.
    """

    text: Sequence[str]
    target: str
    holds: Holds = "one"
    separator: str = ","
    class_names: Sequence[str] = ()
    attributes: Mapping[str, str | Attribute] = field(default_factory=dict)
    missing: Missing = "error"

    def __post_init__(self) -> None:
        HubRows.__post_init__(self)
        TextSettings.__post_init__(self)
        if not self.text:
            raise ConfigError("text must name a column, got nothing")
        if not self.separator:
            raise ConfigError("separator must be a text, got nothing")

    def __call__(self, data_config: DataConfig) -> TokenPool:
        """Return the pool; texts are tokenized once and kept below ``data_config.prepared``.

        Raises:
            ConfigError: If a column or a split does not exist.
            DataError: If the source cannot be read, or its contents are not what they should be.
        """

        def make() -> Prepared:
            return self._made(data_config)

        code = (word_tokens, joined, labels_of, as_column, pack, TextSettings)
        causes = {
            **self.causes(data_config, *code),
            "tokenizer": self.tokenizer_files(data_config),
        }
        return self.token_pool(
            data_config, prepared(data_config, file_name(self.path), causes, make)
        )

    def _made(self, data_config: DataConfig) -> Prepared:
        wanted = readers(self.attributes)
        columns = dict.fromkeys(self.text, "text") | {self.target: "target"}
        columns |= {name: "attributes" for reader in wanted.values() for name in reader.reads}
        with self.opened(data_config, columns) as hub_frame:
            rows = hub_frame.without(self._absent(hub_frame), self.missing)
            labels = rows.labels(self.target, self.holds, self.separator, self.class_names)
            tokens = self.tokenized(data_config, self._texts(rows), rows.official)
            tensors, properties = token_parts(tokens)
            return pack(labels, rows.attributes(wanted), rows.official, tensors, **properties)

    def _texts(self, rows: HubFrame) -> list[str]:
        return joined([rows.frame[name].fillna("").astype(str) for name in self.text])

    def _absent(self, rows: HubFrame) -> dict[str, Any]:
        target = rows.frame[self.target]
        absent = target.isna()
        if self.holds == "first":
            # an empty list has no first member; a missing one has no length, which counts as none
            absent |= split_lists(target, self.separator).str.len().fillna(0) == 0
        texts = rows.frame[list(self.text)].isna().all(axis=1)
        return {", ".join(self.text): texts.to_numpy(), self.target: absent.to_numpy()}


def file_name(path: str) -> str:
    """Return a name for prepared data that is a plain file name."""
    return "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in path).strip("-.")
