"""Packages other than ours: where they lie, and which of them are told by their version."""

import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

ALWAYS = ("torch", "numpy")
"""Libraries that compute in every trial."""

LIBRARIES = {
    *ALWAYS,
    "torchvision",
    "torch_geometric",
    "transformers",
    "datasets",
    "timm",
    "sklearn",
    "scipy",
    "pandas",
    "optuna",
}
"""Packages that are told by their version even when a configuration names a class of theirs."""

MOVE_NOTHING = {
    "filelock",
    "hydra",
    "joblib",
    "matplotlib",
    "mlflow",
    "omegaconf",
    "psutil",
    "pynvml",
    "rich",
    "safetensors",
}
"""Libraries that show, store or configure; another version of them gives the same numbers."""

DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
"""Names of distributions that differ from that of the package."""


@cache
def is_library(top: str) -> bool:
    """Tell whether a package is told by its version: it is installed, or has no text to read."""
    folder = folder_of(top)
    return folder is None or bool({"site-packages", "dist-packages"} & set(folder.parts))


@cache
def folder_of(top: str) -> Path | None:
    """Return the folder in which a package or a module without a package lies, if it has text."""
    if top in sys.stdlib_module_names:
        return None
    try:
        spec = find_spec(top)
    # find_spec raises ValueError for a module without a spec, such as __main__ of a script
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        # the first is the package's folder; the folder above it is that in which the package lies
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(spec.origin).parent if spec.origin and spec.origin.endswith(".py") else None


@cache
def version_of(library: str) -> str:
    """Return the version that is installed, or nothing for what is not or moves no number."""
    if library in sys.stdlib_module_names or library in MOVE_NOTHING:
        return ""
    try:
        return metadata.version(DISTRIBUTIONS.get(library, library))
    except (metadata.PackageNotFoundError, ValueError):
        return ""
