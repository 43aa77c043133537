"""The layout of the packages: a line for every folder, from the docstring it opens with."""

from collections.abc import Iterator
from pathlib import Path

from erasure.cli.pages.markdown import module_summary

PAGE = Path("docs") / "concepts.md"
REPOSITORY = Path(__file__).parents[3]
PACKAGES = ("erasure", "hydra_plugins", "multirun_analysis")


def blocks(conf: Path) -> dict[str, str]:
    """Return what is made on the page, by the name of its place."""
    del conf  # folders of Python alone
    return {"layout": "\n".join(["```text", *_lines(), "```"])}


def _lines() -> Iterator[str]:
    for package in PACKAGES:
        yield f"{package}/"
        for path in sorted((REPOSITORY / package).rglob("__init__.py")):
            folder = path.parent.relative_to(REPOSITORY / package)
            if folder.parts:
                indent = "  " * len(folder.parts)
                purpose = module_summary(path).replace("``", "").rstrip(".")
                yield f"{indent + folder.name + '/':<22}{purpose}"
