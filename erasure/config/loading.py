"""Configurations composed from Python, where no program of Hydra runs, or another one does."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig

from erasure.config.folders import conf_folder, outside_configs
from erasure.config.schema import register_schema

HYDRA_VERSION = "1.3"
"""The rules by which ``defaults`` are read."""


def load_config(name: str | None, overrides: Sequence[str]) -> DictConfig:
    """Compose a configuration as Hydra does, its own part included.

    Args:
        name: A file of ``conf``, such as ``config``; None for nothing but the overrides.
        overrides: As on the command line.

    Raises:
        HydraException: If it cannot be composed.
    """
    before = version.getbase()
    version.setbase(HYDRA_VERSION)
    try:
        return loader().load_configuration(name, list(overrides), RunMode.RUN, from_shell=False)
    finally:
        # of the whole process, which may be an application of Hydra itself
        version.VersionBase.instance().version_base = before


@lru_cache(maxsize=1)
def loader() -> ConfigLoaderImpl:
    """Return what composes configurations, without the singleton that ``hydra.compose`` needs."""
    register_schema()
    Plugins.instance()  # which makes the kinds of places known
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    path.append("main", f"file://{conf_folder()}")
    for package in outside_configs():
        if find_spec(package) is not None:
            path.append("erasure", f"pkg://{package}")
    path.append("schema", "structured://")
    return ConfigLoaderImpl(path)
