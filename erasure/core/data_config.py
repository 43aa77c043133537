"""Where data lie and how much of them may stay in memory."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from erasure.core.errors import ConfigError

GIGABYTE = 2**30


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What a data set needs to know about the machine; none of it moves a result.

    Args:
        device: Where resident samples live.
        root: Folder of downloads and of files placed by hand; ``prepared`` below it holds what
            was made of them.
        resident_limit: Samples that take more than this many gigabytes are streamed.
        download: Whether what is missing may be fetched.
        verify: Whether archives are compared with the checksums their library knows.

    Raises:
        ConfigError: If the limit is negative.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    root: Path = Path("data")
    resident_limit: float = 4.0
    download: bool = True
    verify: bool = True

    def __post_init__(self) -> None:
        if self.resident_limit < 0:
            raise ConfigError(f"resident_limit must be >= 0, got {self.resident_limit}")

    @property
    def prepared(self) -> Path:
        """Where preprocessed data are kept."""
        return self.root / "prepared"

    def fits(self, num_bytes: int) -> bool:
        """Tell whether ``num_bytes`` of samples may be held on the device."""
        return num_bytes <= self.resident_limit * GIGABYTE
