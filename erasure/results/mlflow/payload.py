"""What a run contains: a trial's result in the shapes and sizes that MLflow accepts."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from erasure.results.record import TrialResult

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, RunTag

KEY_LENGTH = 250
PARAM_LENGTH = 6000
TAG_LENGTH = 8000
ILLEGAL = re.compile(r"[^\w.\- :/]")


def params_of(values: Mapping[str, str]) -> list["Param"]:
    """Return parameters; a value MLflow would cut silently is cut with a mark."""
    from mlflow.entities import Param

    keys = legal_keys(values)
    return [Param(keys[key], cut(value, PARAM_LENGTH)) for key, value in values.items()]


def tags_of(values: Mapping[str, str]) -> list["RunTag"]:
    """Return tags, cut like parameters."""
    from mlflow.entities import RunTag

    return [RunTag(key, value) for key, value in legal_tags(values).items()]


def legal_tags(values: Mapping[str, str]) -> dict[str, str]:
    """Return tags with legal keys and lengths."""
    keys = legal_keys(values)
    return {keys[key]: cut(value, TAG_LENGTH) for key, value in values.items()}


def metrics_of(result: TrialResult) -> list["Metric"]:
    """Return measured values, times and curves.

    All carry the time the trial ended, so that sending a result twice adds nothing.
    """
    from mlflow.entities import Metric

    points = [(name, 0, value) for name, value in _values(result).items()]
    points += [
        # under one name MLflow would take the value for a point of the curve
        (name if name not in result.metrics else f"{name}/curve", step, value)
        for name, curve in result.curves.items()
        for step, value in curve
    ]
    keys = legal_keys(name for name, _, _ in points)
    ended = milliseconds(result.ended)
    return [Metric(keys[name], _shown(value), ended, step) for name, step, value in points]


def milliseconds(seconds: float) -> int:
    """Return a Unix time as MLflow counts it."""
    return round(1000 * seconds)


def cut(text: str, limit: int) -> str:
    """Return ``text``, or as much as fits with a mark that says how long it was."""
    if len(text) <= limit:
        return text
    mark = f" ... [cut, {len(text)} characters in all]"
    return text[: limit - len(mark)] + mark


def legal_keys(keys: Iterable[str]) -> dict[str, str]:
    """Return a legal key for each of ``keys``; different keys stay different."""
    legal: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        clean = _clean(key)
        legal[key] = clean if clean not in legal.values() else _with_hash(clean, key)
    return legal


def _values(result: TrialResult) -> dict[str, float]:
    seconds = {f"seconds/{stage}": value for stage, value in result.seconds.items()}
    costs = {"cost/models_trained": float(result.trained), **seconds}
    return {**result.metrics, **{k: v for k, v in costs.items() if k not in result.metrics}}


def _shown(value: float) -> float:
    return value if math.isfinite(value) else math.nan  # MLflow would store inf as 1.8e308


def _clean(key: str) -> str:
    """Return ``key`` as a path of plain names, which is how MLflow reads it."""
    names = [name for name in ILLEGAL.sub("_", key).split("/") if name]
    clean = "/".join("_" if name in (".", "..") else name for name in names) or "_"
    return clean if len(clean) <= KEY_LENGTH else _with_hash(clean, key)


def _with_hash(clean: str, key: str) -> str:
    digest = hashlib.blake2b(key.encode(), digest_size=4).hexdigest()
    # room for the underscore and eight digits
    return f"{clean[: KEY_LENGTH - 9]}_{digest}"
