"""YAML groups of outside packages on Hydra's search path."""

from collections.abc import Sequence

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin


def register_search_path(packages: Sequence[str]) -> None:
    """Let Hydra look for options in ``packages`` after our own folder."""

    class OutsidePackages(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for package in packages:
                search_path.append(provider="erasure", path=f"pkg://{package}")

    Plugins.instance().register(OutsidePackages)
