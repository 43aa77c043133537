"""One ``per_sample.parquet``: the forget set and the samples it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erasure.schema import ROLES

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
NEEDED = ("id", "part", "target", "unlearned_loss")
OPTIONAL = tuple(f"{role}_{what}" for role in ROLES for what in ("loss", "predicted"))


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleFile:
    """The samples of a trial.

    Args:
        forget: Columns of the forget set.
        heldout: Columns of samples never trained on, of the classes in the forget set.
        part: Name of the held-out part.
    """

    forget: Columns
    heldout: Columns
    part: str

    @property
    def roles(self) -> list[str]:
        """The roles whose losses are known."""
        return [role for role in ROLES if f"{role}_loss" in self.forget]

    def losses(self, role: str, side: str) -> Floats:
        """Return the finite losses of ``forget`` or ``heldout`` samples."""
        values = (self.forget if side == "forget" else self.heldout)[f"{role}_loss"]
        losses = values.astype(np.float64)
        return losses[np.isfinite(losses)]


def read_file(path: Path) -> SampleFile | None:
    """Read a file, None if it cannot be read or is none of ours."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            if not names.issuperset(NEEDED):
                return None
            wanted = [name for name in dict.fromkeys((*NEEDED, *OPTIONAL)) if name in names]
            table = file.read(columns=wanted, use_threads=False)
    except (OSError, pa.ArrowException):
        return None
    columns = {name: table[name].to_numpy() for name in wanted}
    return _split(columns)


def rates(members: Floats, non_members: Floats, fpr: Floats) -> Floats:
    """Return the largest true-positive rates at which no more than ``fpr`` is accused wrongly.

    scikit-learn's ``roc_curve`` has the corners of the curve, whose number differs from trial to
    trial; here are its heights on one grid, which can be averaged.

    Args:
        members: Scores ``(n,)``; higher ones are accused.
        non_members: Scores ``(m,)`` of samples never trained on.
        fpr: False-positive rates ``(k,)``.

    Returns:
        True-positive rates ``(k,)``.
    """
    ordered = np.sort(non_members)[::-1]
    # 0.3 * 10 is a little less than 3
    wrong = np.floor(fpr * len(ordered) + 1e-9).astype(np.intp)
    # who scores above the first that must not be accused is found; -inf: all may be accused
    limits = np.append(ordered, -np.inf)[np.minimum(wrong, len(ordered))]
    above = len(members) - np.searchsorted(np.sort(members), limits, side="right")
    return np.asarray(above / len(members), dtype=np.float64)


def _split(columns: Columns) -> SampleFile:
    parts = columns["part"]
    is_test, is_forget = parts == "test", parts == "forget"
    # a file has one held-out part: test, or val where it was written during a search
    heldout = is_test if is_test.any() else parts == "val"
    targets = columns["target"]
    if targets.dtype.kind in "iu":  # samples with several labels are compared with all
        heldout = heldout & np.isin(targets, np.unique(targets[is_forget]))
    return SampleFile(
        forget={name: values[is_forget] for name, values in columns.items()},
        heldout={name: values[heldout] for name, values in columns.items()},
        part="test" if is_test.any() else "val",
    )
