"""The page of methods: a row and a section for every YAML file of an unlearner."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from erasure.cli.pages.markdown import Docstring, module_summary, public_class, table

PAGE = Path("docs") / "methods.md"
METHODS = Path(__file__).parents[2] / "unlearners"


def blocks(conf: Path) -> dict[str, str]:
    """Return what is made on the page, by the name of its place."""
    return {"table": _overview(conf), "methods": "\n\n".join(sections(conf).values())}


def sections(conf: Path) -> dict[str, str]:
    """Return the section of every method by its name."""
    return {path.stem: "\n\n".join(_section(conf, path)) for path in _options(conf)}


def _overview(conf: Path) -> str:
    rows = []
    for path in _options(conf):
        summary, docstring = _described(path)
        passes = docstring.sections.get("Passes", "").rstrip(".")
        papers = _papers(docstring.sections.get("References", ""))
        rows.append((f"`{path.stem}`", summary, passes, papers))
    return "\n".join(table(("name", "what it does", "passes", "papers (arXiv)"), rows))


def _section(conf: Path, path: Path) -> Iterator[str]:
    summary, docstring = _described(path)
    yield f"### `{path.stem}`"
    yield docstring.summary or summary
    if docstring.body:
        yield docstring.body
    settings = _settings(conf, path, docstring)
    if settings:
        yield "\n".join(table(("setting", "default", "what it is", "search"), settings))
    for heading in ("Passes", "Deviations", "Notes"):
        if heading in docstring.sections:
            yield f"*{heading}.* {docstring.sections[heading]}"
    if "References" in docstring.sections:
        yield f"*Source.* {docstring.sections['References']}"


def _described(path: Path) -> tuple[str, Docstring]:
    """Return the line of a method and its docstring: of the module that has the YAML's name."""
    module = METHODS / f"{path.stem}.py"
    line = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    if not module.is_file():
        return line, Docstring()
    public = public_class(module)
    return module_summary(module), public[1] if public else Docstring()


def _settings(conf: Path, path: Path, docstring: Docstring) -> list[tuple[str, ...]]:
    defaults = _flat(_loaded(path))
    ranges = _loaded(conf / "search" / path.name)
    # as the docstring has them, then those of nested nodes such as fit, which it does not name
    names = [*docstring.arguments, *(n for n in defaults if n not in docstring.arguments)]
    return [
        (
            f"`{name}`",
            f"`{defaults[name]}`" if name in defaults else "",
            docstring.arguments.get(name, ""),
            _range(ranges.get(f"unlearner.{name}")),
        )
        for name in names
    ]


def _loaded(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.load(path)))


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of a YAML file by dotted name, without what Hydra reads."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("defaults", "_target_"):
            continue
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = "null" if value is None else value
    return flat


def _range(axis: Any) -> str:
    if not isinstance(axis, Mapping):
        return ""
    conditions = [f"{name} is {values}" for name, values in (axis.get("when") or {}).items()]
    when = f", when {' and '.join(conditions)}" if conditions else ""
    if "choices" in axis:
        return ", ".join(str(choice) for choice in axis["choices"]) + when
    flags = [name for name in ("log", "int") if axis.get(name)]
    text = f" ({', '.join(flags)})" if flags else ""
    return f"{axis['low']:g} to {axis['high']:g}{text}{when}"


def _papers(references: str) -> str:
    """Return links to the papers that a docstring names by arXiv id."""
    ids = dict.fromkeys(re.findall(r"arXiv:(\d{4}\.\d{4,5})", references))
    return ", ".join(f"[{each}](https://arxiv.org/abs/{each})" for each in ids)


def _options(conf: Path) -> list[Path]:
    return sorted((conf / "unlearner").glob("[!_]*.yaml"))
