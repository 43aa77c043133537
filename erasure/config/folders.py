"""Where the YAML groups are: ours, and those of installed packages."""

from importlib.metadata import entry_points
from pathlib import Path

ENTRY_POINTS = "erasure.conf"
"""An outside package names a package of YAML groups under this entry-point group."""


def conf_folder() -> Path:
    """Return the folder of the YAML groups: beside the package in a checkout, else inside it."""
    package = Path(__file__).parents[1]
    beside = package.parent / "conf"
    return beside if (beside / "config.yaml").is_file() else package / "conf"


def outside_configs() -> list[str]:
    """Return the packages of YAML groups that installed packages offer."""
    return sorted({point.value for point in entry_points(group=ENTRY_POINTS)})
