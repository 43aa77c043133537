"""The pages of the docs that are made: ``python -m erasure docs --write``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from erasure.config.command import tool_command
from erasure.config.folders import conf_folder

PAGES = ("datasets", "layout", "methods", "metrics")
"""Modules of ``erasure.cli.pages``: each names its page and makes the blocks on it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or say which differ from what would be made, and return the exit code."""
    parser = argparse.ArgumentParser(prog=tool_command("docs"), description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the pages that differ")
    options = parser.parse_args(arguments)
    makers = [import_module(f"erasure.cli.pages.{name}") for name in PAGES]
    if missing := [str(maker.PAGE) for maker in makers if not maker.PAGE.is_file()]:
        sys.stderr.write(f"error: there is no {missing[0]} here; go to the top of a checkout\n")
        return 2
    differing = [maker.PAGE for maker in makers if _update(maker, write=options.write)]
    outcome = "written" if options.write else "differs; --write writes it"
    for page in differing:
        sys.stdout.write(f"{page} {outcome}\n")
    return 0 if options.write or not differing else 1


def _update(maker: Any, *, write: bool) -> bool:
    """Tell whether a page differs from what is made now; bring it up to date if asked to."""
    from erasure.cli.pages.markdown import replaced

    before = maker.PAGE.read_text(encoding="utf-8")
    after = replaced(before, maker.blocks(conf_folder()))
    if write and after != before:
        maker.PAGE.write_text(after, encoding="utf-8")
    return bool(after != before)


if __name__ == "__main__":
    sys.exit(main())
