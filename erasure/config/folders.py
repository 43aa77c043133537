"""Where the YAML groups are: ours, and those of installed packages."""

from importlib.metadata import entry_points
from pathlib import Path

ENTRY_POINTS = "erasure.conf"
"""An outside package names a package of YAML groups under this entry-point group."""


def conf_folder() -> Path:
    """Return the folder of the YAML groups: beside the package in a checkout, else inside it."""
    package = Path(__file__).parents[1]
    return package.parent / "conf" if in_checkout() else package / "conf"


def in_checkout() -> bool:
    """Tell whether this is a source tree, and not the package as it is installed."""
    return (Path(__file__).parents[2] / "conf" / "config.yaml").is_file()


def outside_configs() -> list[str]:
    """Return the packages of YAML groups that installed packages offer."""
    return sorted({point.value for point in entry_points(group=ENTRY_POINTS)})
