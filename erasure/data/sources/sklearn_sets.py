"""The small tables that ship with scikit-learn: real data without a download."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.data.pools.tabular import TabularPool


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """One of the tables that ship with scikit-learn.

    ``diabetes`` has a measurement instead of classes: how far the disease has gone after a year.
    It is cut at its median over all 442 rows, before any split, into two classes of 221. Its
    features are those before scikit-learn scales them, because that scaling has seen all rows.

    Args:
        name: ``breast_cancer`` (569 x 30, two classes), ``wine`` (178 x 13, three), ``iris``
            (150 x 4, three) or ``diabetes`` (442 x 10, two).

    References:
        W. Wolberg et al., "Breast Cancer Wisconsin (Diagnostic)", UCI, 1995.
        S. Aeberhard and M. Forina, "Wine", UCI, 1991.
        R. Fisher, "The use of multiple measurements in taxonomic problems", 1936.
        B. Efron et al., "Least Angle Regression", 2004, arXiv:math/0406456 (diabetes).
    """

    name: Literal["breast_cancer", "wine", "iris", "diabetes"]

    def __call__(self, data_config: DataConfig) -> TabularPool:
        """Return the table, its numbers as float64."""
        bunch = _load(self.name)
        labels, names = bunch.target, [str(name) for name in bunch.get("target_names", [])]
        if self.name == "diabetes":
            # 442 rows, none at the median itself, so that both halves are equal
            labels, names = labels > np.median(labels), ["below median", "above median"]
        return TabularPool(
            features={
                str(name): _column(str(name), values)
                for name, values in zip(bunch.feature_names, bunch.data.T, strict=True)
            },
            targets=torch.from_numpy(labels).long().to(data_config.device),
            class_names=tuple(names),
        )


def _load(name: str) -> Any:
    from sklearn import datasets

    if name == "diabetes":
        return datasets.load_diabetes(scaled=False)
    return getattr(datasets, f"load_{name}")()


def _column(name: str, values: np.ndarray) -> Column:
    """Return numbers; the sex of a patient is 1 or 2, which are no amounts."""
    numbers = torch.from_numpy(values.astype(np.float64))
    return Column(numbers.long() - 1, ("1", "2")) if name == "sex" else Column(numbers)
