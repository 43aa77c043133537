"""The page of metrics: a table for every room, a section for every YAML file of a metric."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from erasure.cli.pages.markdown import module_summary, parse_docstring, table
from erasure.config.build import build
from erasure.core.metric import Metric
from erasure.core.values import Meaning
from erasure.evaluation.measure import meanings

PAGE = Path("docs") / "metrics.md"
ROOMS = ("utility", "to_gold", "privacy", "cost")
BETTER = {
    "max": "higher",
    "min": "lower",
    "closer_to_gold": "closer to gold",
    "info": "says nothing by itself",
}


def blocks(conf: Path) -> dict[str, str]:
    """Return what is made on the page, by the name of its place."""
    every = sections(conf)
    made = {}
    for room in ROOMS:
        names = sorted(every[room])
        made[room] = "\n\n".join([_purpose(room), *(every[room][name] for name in names)])
    return made


def sections(conf: Path) -> dict[str, dict[str, str]]:
    """Return the section of every metric, by room and name."""
    every: dict[str, dict[str, str]] = {room: {} for room in ROOMS}
    bundles = _bundles(conf)
    for path in sorted((conf / "metric").glob("[!_]*.yaml")):
        metric = _built(conf, path.stem)
        # the folder that its module is in
        room = type(metric).__module__.split(".")[-2]
        measured_by = [name for name, metrics in bundles.items() if path.stem in metrics]
        every[room][path.stem] = "\n\n".join(_section(path.stem, metric, measured_by))
    return every


def _section(name: str, metric: Metric, measured_by: list[str]) -> Iterator[str]:
    docstring = parse_docstring(type(metric).__doc__ or "")
    yield f"### `{name}`"
    yield docstring.summary
    rows = [(f"`{key}`", m.description, *_scale(m)) for key, m in meanings(metric, "test").items()]
    yield "\n".join(table(("name", "what it is", "better", "range"), rows))
    if docstring.body:
        yield docstring.body
    if docstring.arguments:
        defaults = {key: getattr(metric, key, "") for key in docstring.arguments}
        settings = [(f"`{k}`", f"`{defaults[k]}`", v) for k, v in docstring.arguments.items()]
        yield "\n".join(table(("setting", "default", "what it is"), settings))
    if "Notes" in docstring.sections:
        yield f"*Notes.* {docstring.sections['Notes']}"
    if "References" in docstring.sections:
        yield f"*Source.* {docstring.sections['References']}"
    evaluators = ", ".join(f"`evaluator={name}`" for name in measured_by)
    yield f"*Measured by* {evaluators or f'`+metric@evaluator.metrics.{name}={name}`'}."


def _scale(meaning: Meaning) -> tuple[str, str]:
    """Return which way is better, and the range with its unit."""
    better = BETTER.get(meaning.direction, "")
    if meaning.ideal is not None:
        better = f"{meaning.ideal:g}" if not better else f"{better}; ideal {meaning.ideal:g}"
    low, high = (_bound(value) for value in (meaning.low, meaning.high))
    return better, " ".join(part for part in (f"{low} to {high}", meaning.unit) if part)


def _bound(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def _purpose(room: str) -> str:
    return module_summary(Path(__file__).parents[2] / "metrics" / room / "__init__.py")


def _bundles(conf: Path) -> Mapping[str, set[str]]:
    """Return the metrics of every evaluator, by its name."""
    bundles = {}
    for path in sorted((conf / "evaluator").glob("[!_]*.yaml")):
        bundles[path.stem] = set(_composed(conf, f"+evaluator={path.stem}").evaluator.metrics)
    return bundles


def _built(conf: Path, name: str) -> Metric:
    return cast("Metric", build(_composed(conf, f"+metric={name}").metric, "metric"))


def _composed(conf: Path, override: str) -> Any:
    with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        config = compose(overrides=[override])
    OmegaConf.resolve(config)
    return config
