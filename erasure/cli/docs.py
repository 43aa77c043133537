"""The pages of the docs that are made: ``python -m erasure docs --write``."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from erasure.cli.hydra import conf_folder
from erasure.cli.pages import datasets, layout, methods, metrics
from erasure.cli.pages.markdown import replaced

PAGES: Mapping[Path, Callable[[Path], Mapping[str, str]]] = {
    methods.PAGE: methods.blocks,
    metrics.PAGE: metrics.blocks,
    datasets.PAGE: datasets.blocks,
    layout.PAGE: layout.blocks,
}
"""What is made of the folder of YAML groups on each page, by the name of its place there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or say which differ from what would be made, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m erasure docs", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the pages that differ")
    options = parser.parse_args(arguments)
    differing = [page for page, make in PAGES.items() if _update(page, make, write=options.write)]
    for page in differing:
        sys.stdout.write(
            f"{page} {'written' if options.write else 'differs; --write writes it'}\n"
        )
    return 0 if options.write or not differing else 1


def _update(page: Path, make: Callable[[Path], Mapping[str, str]], *, write: bool) -> bool:
    """Tell whether a page differs from what is made now; bring it up to date if asked to."""
    before = page.read_text(encoding="utf-8")
    after = replaced(before, make(conf_folder()))
    if write and after != before:
        page.write_text(after, encoding="utf-8")
    return after != before


if __name__ == "__main__":
    sys.exit(main())
