"""The classes of torchvision, and how each is asked for the parts its authors have fixed."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.pools.labelled import NOWHERE, TEST, TRAIN, VAL
from erasure.data.sources.fetching import BROKEN
from erasure.data.sources.torchvision.checksums import without_checksums
from erasure.data.sources.torchvision.files import MALFORMED, aside, explained

CODES = {"train": TRAIN, "val": VAL, "test": TEST}
"""Names of the parts in a configuration, in the order in which samples are numbered."""

_TRAIN_TEST = {"train": "train", "test": "test"}
_TRAIN_VAL = {"train": "train", "val": "val"}
_THREE = {"train": "train", "val": "val", "test": "test"}
_SPLITS = {
    "CLEVRClassification": _TRAIN_VAL,
    "CelebA": _THREE | {"val": "valid"},
    "Country211": _THREE | {"val": "valid"},
    "DTD": _THREE,
    "FER2013": _TRAIN_TEST,
    "FGVCAircraft": _THREE,
    "Flowers102": _THREE,
    "Food101": _TRAIN_TEST,
    "GTSRB": _TRAIN_TEST,
    "ImageNet": _TRAIN_VAL,
    "Imagenette": _TRAIN_VAL,
    "OxfordIIITPet": {"train": "trainval", "test": "test"},
    "PCAM": _THREE,
    "Places365": {"train": "train-standard", "val": "val"},
    "RenderedSST2": _THREE,
    "STL10": _TRAIN_TEST,
    "SVHN": _TRAIN_TEST,
    "StanfordCars": _TRAIN_TEST,
}
"""What the argument ``split`` is called for each part."""

_SET_HERE = ("root", "download", "transform", "target_transform", "transforms", "loader")
"""Arguments that are not a matter of configuration."""

_ALWAYS = {"QMNIST": {"compat": False}}
"""Arguments without which labels are not read in full."""


@dataclass(frozen=True)
class OfficialPart:
    """One part of a data set.

    Args:
        dataset: An instance of a class of ``torchvision.datasets``.
        code: Official part of its samples.
    """

    dataset: Any
    code: int


def open_parts(
    name: str,
    options: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Any]] | None,
    data_config: DataConfig,
) -> list[OfficialPart]:
    """Open a data set of torchvision, part by part; fetches it if that is allowed and needed.

    Args:
        name: Name of a class in ``torchvision.datasets``.
        options: Arguments of the class for all parts, such as ``split`` of EMNIST.
        parts: Arguments of the class by part; nothing for the usual ones.
        data_config: Where files are, and whether they are fetched and verified.

    Raises:
        ConfigError: If there is no such class, argument or part.
        DataError: If files are missing or damaged.
    """
    cls = _class(name)
    arguments = _arguments(cls)
    settings_by_part = {part: dict(settings) for part, settings in (parts or {}).items()}
    _refuse(set(settings_by_part) - set(CODES), "parts", CODES)
    allowed = [argument for argument in arguments if argument not in _SET_HERE]
    _refuse(set(options) - set(allowed), "options", allowed)
    for part, settings in settings_by_part.items():
        _refuse(set(settings) - set(allowed), f"parts.{part}", allowed)
    always = {key: value for key, value in _ALWAYS.get(name, {}).items() if key in arguments}
    settings_by_part = {
        part: {**always, **options, **settings}
        for part, settings in (settings_by_part or _usual(name, arguments, options)).items()
    }
    for settings in settings_by_part.values():
        _require(name, arguments, settings)
    return _opened(cls, settings_by_part, arguments, data_config)


def _require(name: str, arguments: Mapping[str, bool], settings: Mapping[str, Any]) -> None:
    missing = [
        key for key, needed in arguments.items() if needed and key not in {"root", *settings}
    ]
    if missing:
        raise ConfigError(f"options must have {', '.join(missing)}, {name} needs it")


def _opened(
    cls: type,
    settings_by_part: Mapping[str, Mapping[str, Any]],
    arguments: Mapping[str, bool],
    data_config: DataConfig,
) -> list[OfficialPart]:
    """Open the parts where they are; fetch them aside first if they are not there."""
    root = torchvision_root(data_config)
    root.mkdir(parents=True, exist_ok=True)
    unchecked = cls if data_config.verify else without_checksums(cls)

    def opened(folder: Path, **download: bool) -> list[OfficialPart]:
        where = {"root": str(folder)} if "root" in arguments else {}
        return [
            _part(part, unchecked(**where, **download, **settings_by_part[part]))
            # "" is the one part of a data set without parts
            for part in [*CODES, ""]
            if part in settings_by_part
        ]

    download = {"download": True} if data_config.download and "download" in arguments else {}
    with explained(cls.__name__, root, cls if data_config.verify else None):
        if not _unpacks_where_it_reads(cls, settings_by_part, root):
            try:
                return opened(root)
            except (*BROKEN, *MALFORMED):
                if not download:
                    raise
        with aside(unchecked, root) as folder:
            opened(folder, **download)
        return opened(root)


def _unpacks_where_it_reads(
    cls: type, settings_by_part: Mapping[str, Mapping[str, Any]], root: Path
) -> bool:
    """Tell whether opening the parts would unpack archives, which ImageNet does unasked."""
    needed = [
        "meta.bin",
        *(settings.get("split", "train") for settings in settings_by_part.values()),
    ]
    return cls.__name__ == "ImageNet" and not all((root / name).exists() for name in needed)


def _part(part: str, dataset: Any) -> OfficialPart:
    _settle(type(dataset).__name__, dataset)
    return OfficialPart(dataset, CODES.get(part, NOWHERE))


def torchvision_root(data_config: DataConfig) -> Path:
    """Return the folder in which torchvision looks for files."""
    return data_config.root / "torchvision"


def _class(name: str) -> Any:
    from torchvision import datasets

    names = sorted(set(datasets.__all__) - {"wrap_dataset_for_transforms_v2", "VisionDataset"})
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"name must be a class of torchvision.datasets, got {name!r}{hint}")
    return getattr(datasets, name)


def _arguments(cls: Any) -> Mapping[str, bool]:
    """Return the arguments of a class and its bases, and whether each has to be given."""
    arguments: dict[str, bool] = {}
    for base in cls.__mro__:
        # a base that only inherits its constructor takes no arguments of its own
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                arguments.setdefault(parameter.name, parameter.default is parameter.empty)
        # without **kwargs nothing is passed on to the bases behind it
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return arguments


def _settle(name: str, dataset: Any) -> None:
    """Put into a fixed order what a class lists in the order of the file system."""
    if name == "INaturalist":
        dataset.index.sort()
    if name == "SUN397":
        pairs = sorted(zip(dataset._image_files, dataset._labels, strict=True))
        dataset._image_files = [file for file, _ in pairs]
        dataset._labels = [label for _, label in pairs]
    if name == "Omniglot":
        _settle_omniglot(dataset)


def _settle_omniglot(dataset: Any) -> None:
    """Number the characters by name: their numbers are the classes."""
    characters = dataset._characters
    by_name = sorted(range(len(characters)), key=characters.__getitem__)
    dataset._alphabets = sorted(dataset._alphabets)
    dataset._characters = [characters[index] for index in by_name]
    dataset._character_images = [
        [(image, number) for image, _ in sorted(dataset._character_images[index])]
        # the number in the sorted order becomes the class of all images of a character
        for number, index in enumerate(by_name)
    ]
    dataset._flat_character_images = [
        image for images in dataset._character_images for image in images
    ]


def _usual(
    name: str, arguments: Mapping[str, bool], options: Mapping[str, Any]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the arguments for each part; one part without a name if there are no parts."""
    if name in _SPLITS and "split" not in options:
        return {part: {"split": split} for part, split in _SPLITS[name].items()}
    if "train" in arguments and "train" not in options and "what" not in options:
        return {"train": {"train": True}, "test": {"train": False}}
    return {"": {}}


def _refuse(unknown: set[str], setting: str, allowed: Iterable[str]) -> None:
    if unknown:
        raise ConfigError(
            f"{setting} must have keys among {', '.join(allowed) or 'none'}, "
            f"got {', '.join(sorted(unknown))}"
        )
