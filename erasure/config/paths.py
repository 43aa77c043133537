"""Where a relative path counts from."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import to_absolute_path


def to_absolute(path: str) -> Path:
    """Return ``path``, relative to where the command was typed if Hydra changed the folder."""
    return Path(to_absolute_path(path)) if HydraConfig.initialized() else Path(path).absolute()
