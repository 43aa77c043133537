"""Look after the store of trained models: ``python -m erasure store ls|verify|gc``."""

import argparse
import datetime as dt
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from erasure.config.command import tool_command
from erasure.core.errors import ErasureError
from erasure.training.model_store import ModelStore

EXAMPLES = """examples:
  {store} ls
  {store} verify --root store
  {store} gc --unused-days 30          shows what would go
  {store} gc --unused-days 30 --yes    removes it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not options.root.is_dir():
        _print_line(console, f"there is no store at {options.root}; --root names another")
        return 1
    store = ModelStore(options.root)
    commands = {"ls": _list, "verify": _verify, "gc": _collect}
    return commands[options.command](store, options, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=tool_command("store"),
        description="Look after the store of trained models.",
        epilog=EXAMPLES.format(store=tool_command("store")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("ls", "verify", "gc"))
    parser.add_argument("--root", type=Path, default=Path("store"), help="the store (store)")
    parser.add_argument(
        "--unused-days",
        type=float,
        default=90.0,
        help="gc: remove models that no trial has asked for in so many days (90)",
    )
    parser.add_argument("--yes", action="store_true", help="gc: remove instead of showing")
    return parser


def _list(store: ModelStore, _: argparse.Namespace, console: Console) -> int:
    table = Table(title=f"{store.root}", title_justify="left")
    for name in ("key", "model", "samples", "seed", "trained in", "size", "last use"):
        table.add_column(name, justify="right" if name in ("trained in", "size") else "left")
    total, damaged = 0, list[str]()
    for key in store.entries():
        try:
            meta = store.meta(key)
        except ErasureError as error:
            damaged.append(f"{key}  {error}")
            continue
        total += int(meta["bytes"])
        request = meta["request"]
        table.add_row(
            key[:12],
            _target(request["recipe"].get("model")),
            request["samples"][:8],
            str(request["seed"]),
            f"{meta['seconds']:.1f} s",
            _size(int(meta["bytes"])),
            _date(_last_use(store, key)),
        )
    console.print(table)
    for line in damaged:
        _print_line(console, line)
    console.print(f"{len(store.entries())} models, {_size(total)}")
    return 0


def _verify(store: ModelStore, _: argparse.Namespace, console: Console) -> int:
    damaged = {key: damage for key in store.entries() if (damage := store.damage(key))}
    for key, damage in damaged.items():
        _print_line(console, f"{key}  {damage}")
    console.print(f"{len(store.entries())} models, {len(damaged)} damaged")
    if damaged:
        console.print("damaged models are trained again when they are asked for; gc removes them")
    return 1 if damaged else 0


def _collect(store: ModelStore, options: argparse.Namespace, console: Console) -> int:
    # 86400 seconds a day
    deadline = time.time() - options.unused_days * 86400
    keys = store.entries()
    unused = [key for key in keys if store.damage(key) or _last_use(store, key) < deadline]
    freed = 0
    for key in unused:
        path = store.root / key / "weights.safetensors"
        freed += path.stat().st_size if path.is_file() else 0
        _print_line(
            console, f"{key}  {store.damage(key) or 'last used ' + _date(_last_use(store, key))}"
        )
        if options.yes:
            store.remove(key)
    if options.yes:
        freed += store.sweep_partials()
    verb = "removed" if options.yes else "would remove"
    console.print(f"{verb} {len(unused)} of {len(keys)} models, {_size(freed)}")
    return 0


def _print_line(console: Console, line: str) -> None:
    """Print a line as it is: a path is no markup, and a script wants it unbroken."""
    console.print(line, markup=False, soft_wrap=True)


def _last_use(store: ModelStore, key: str) -> float:
    # the store sets the time of this file anew whenever a trial asks for the model
    return (store.root / key / "meta.json").stat().st_mtime


def _target(node: Any) -> str:
    return str(node.get("_target_", "?")).rpartition(".")[2] if isinstance(node, dict) else "?"


def _date(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return moment.strftime("%Y-%m-%d %H:%M")


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
