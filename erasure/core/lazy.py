"""Public names of a package, imported from where they are defined when they are asked for."""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

# at the start of a line, so that methods are not found; without underscore, so that it is public
_DEFINED = re.compile(r"^(?:class|def) ([A-Za-z]\w*)", re.MULTILINE)


def lazy_names(
    package: str, folder: str | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a module that offers what ``package`` defines.

    Classes and functions of all modules below ``package`` are found in their text, so that
    listing them imports nothing, and a new file is offered without being named anywhere.

    Args:
        package: The package whose modules are looked through, such as ``erasure.unlearners``.
        folder: Where it lies; None for the folder of the package of this name in erasure.
    """
    # parents[1] is the folder of erasure itself, whose name is the first of the package
    root = Path(folder) if folder else Path(__file__).parents[1].joinpath(*package.split(".")[1:])

    def get(name: str) -> Any:
        modules = modules_by_name(package, root).get(name, [])
        if len(modules) != 1:
            why = f"{', '.join(modules)} all define it" if modules else "no module defines it"
            raise AttributeError(f"{package} offers no {name!r}: {why}")
        return getattr(import_module(modules[0]), name)

    return get, lambda: sorted(modules_by_name(package, root))


@cache
def modules_by_name(package: str, root: Path) -> dict[str, list[str]]:
    """Return, for each class and function below ``package``, the modules that define it.

    Args:
        package: Its dotted name.
        root: Its folder, or its file if it is a single one.
    """
    modules: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            continue
        for name in _DEFINED.findall(path.read_text(encoding="utf-8")):
            modules.setdefault(name, []).append(".".join((package, *parts)))
    return modules
