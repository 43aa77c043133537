"""How much of the spread each kind of seed makes: nested random effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from multirun_analysis.statistics.values import Floats, as_floats, require

if TYPE_CHECKING:
    import pandas as pd

RESIDUAL = "residual"
JOINT = " + "


@dataclass(frozen=True, kw_only=True)
class Component:
    """The variance that one kind of seed adds.

    Args:
        name: The seed; ``a + b`` where the data cannot tell two kinds apart.
        variance: Estimate, not below 0.
        raw: The estimate before it was cut at 0; below 0 it says that there is no such effect
            that could be seen.
        share: Part of the total variance, NaN if the total is 0.
        df: Degrees of freedom of the estimate.
    """

    name: str
    variance: float
    raw: float
    share: float
    df: int


@dataclass(frozen=True, kw_only=True)
class VarianceComponents:
    """Variance by kind of seed, outermost first.

    Args:
        components: One per level that could be told apart; empty if refused.
        total: Sum of the components: the variance of a single run with these seeds new.
        fixed: Seeds of which there is one value only; what they add cannot be known from here.
        n_ok: Values there are.
        n: Values there should be.
        reason: Why there are no components; empty if there are.
    """

    components: tuple[Component, ...]
    total: float
    fixed: tuple[str, ...]
    n_ok: int
    n: int
    reason: str = ""


def variance_components(
    frame: "pd.DataFrame", *, value: str, nested: Sequence[str]
) -> VarianceComponents:
    """Estimate variance components of nested seeds by the analysis of variance.

    The model is ``value = mean + a_i + b_ij + ... + residual``: each seed acts within the ones
    before it. The sums of squares are set equal to their expectations, which for unbalanced
    data involves ``sum n_h**2 / n_g`` (Henderson's first method); for balanced data this is the
    textbook estimator. Levels with no degrees of freedom are not told apart: they are joined
    with the level outside them.

    Args:
        frame: One row per run of one condition.
        value: Column of the values.
        nested: Columns of the seeds, outermost first, such as ``seed_train, seed_unlearn``.

    Raises:
        ValueError: If a column is missing or ``nested`` is empty.

    ReferenceModels:
        C. R. Henderson, "Estimation of variance and covariance components", Biometrics 1953.
    """
    if not nested:
        raise ValueError("nested must name at least one column of seeds")
    require(frame, [value, *nested])
    floats = as_floats(frame[value])
    usable = np.isfinite(floats) & frame[list(nested)].notna().all(axis=1).to_numpy()
    n_ok = int(usable.sum())
    names, codes = _levels(frame.loc[usable], nested)
    components = _estimate(floats[usable], names, codes) if names else ()
    told = {seed for name in names for seed in name.split(JOINT)}
    return VarianceComponents(
        components=components,
        total=sum(c.variance for c in components) if names else np.nan,
        fixed=tuple(seed for seed in nested if seed not in told),
        n_ok=n_ok,
        n=len(frame),
        reason="" if names else f"a variance needs 2 values with known seeds, got {n_ok}",
    )


def _levels(frame: "pd.DataFrame", nested: Sequence[str]) -> tuple[list[str], list[np.ndarray]]:
    """Return names and group numbers of the levels that are finer than the one before."""
    names: list[str] = []
    codes: list[np.ndarray] = [np.zeros(len(frame), dtype=np.intp)]
    groups = 1
    for depth, column in enumerate([*nested, RESIDUAL]):
        if depth == len(nested):
            code = np.arange(len(frame))
        else:
            code = frame.groupby(list(nested[: depth + 1]), observed=True).ngroup().to_numpy()
        if len(np.unique(code)) > groups:
            groups = len(np.unique(code))
            names.append(column)
            codes.append(code)
        elif names:
            names[-1] = f"{names[-1]}{JOINT}{column}"
    return names, codes


def _estimate(
    values: Floats, names: Sequence[str], codes: Sequence[np.ndarray]
) -> tuple[Component, ...]:
    centered = values - values.mean()
    sizes = [np.bincount(code) for code in codes]
    uncorrected = [
        float(np.sum(np.bincount(code, weights=centered) ** 2 / size))
        for code, size in zip(codes, sizes, strict=True)
    ]
    df = np.diff([len(size) for size in sizes])
    expected = _expectations(codes, sizes)
    raw = np.linalg.solve(expected, np.diff(uncorrected))
    cut = np.maximum(raw, 0.0)
    total = float(cut.sum())
    return tuple(
        Component(
            name=name,
            variance=float(cut[i]),
            raw=float(raw[i]),
            share=float(cut[i]) / total if total > 0 else np.nan,
            df=int(df[i]),
        )
        for i, name in enumerate(names)
    )


def _expectations(codes: Sequence[np.ndarray], sizes: Sequence[np.ndarray]) -> Floats:
    """Return the coefficient of each variance in the expectation of each sum of squares."""
    depth = len(codes)
    sums = np.full((depth, depth), float(len(codes[0])))
    for inner in range(1, depth):
        representative = np.unique(codes[inner], return_index=True)[1]
        for outer in range(inner):
            parent = codes[outer][representative]
            squares = np.bincount(parent, weights=sizes[inner].astype(np.float64) ** 2)
            sums[outer, inner] = np.sum(squares / sizes[outer])
    return np.diff(sums, axis=0)[:, 1:]
