"""The code that a result depends on: the named modules and, transitively, all they import.

A module counts by its syntax (:mod:`erasure.core.syntax`): a docstring may be mended without
moving anything, a helper may not be changed without. Imports inside functions count as those at
the top do; those below ``if TYPE_CHECKING`` do not, since they move no result.

An ``__init__`` counts where something that it defines itself is used. A name that it imports, or
offers lazily as ``erasure.unlearners`` does, leads to the module that defines it, and nothing
else of the package. That importing ``a.b.c`` also runs ``a/__init__.py`` is left out of account:
an ``__init__`` that changes what other modules do is not a way to write a method.

Modules of other packages count by their syntax as well if these lie where somebody works on them,
and with the version of their distribution if they were installed.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from erasure.core.fingerprint import fingerprint
from erasure.core.lazy import modules_by_name
from erasure.core.libraries import ALWAYS, LIBRARIES, folder_of, is_library, version_of
from erasure.core.syntax import Syntax, syntax_of

OURS = "erasure"
ROOT = Path(__file__).parents[2]

ONLY_NAMES = {
    "erasure.schema",
    *(f"erasure.core.{name}" for name in ("lazy", "libraries", "source", "syntax")),
}
"""Modules of ours that tell what a result is called, or where a class is, and not what it is."""


@dataclass(frozen=True)
class SourceCode:
    """What a result depends on besides its settings and its data.

    Args:
        modules: Hash of the syntax of each module.
        libraries: Version of each library that these modules import, and of torch and numpy.
    """

    modules: Mapping[str, str]
    libraries: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Return one hash of all of it."""
        return fingerprint({"modules": dict(self.modules), "libraries": dict(self.libraries)})


def code_of_targets(
    targets: Iterable[str], also: Iterable[str] = (), except_below: Sequence[str] = ()
) -> SourceCode:
    """Return the code behind dotted names of classes and functions; read once per process.

    Args:
        targets: Names as in ``_target_``; those that cannot be imported count for nothing, since
            building what they name fails.
        also: Further modules.
        except_below: Modules and packages into which the imports of ``also`` are not followed.
    """
    modules = (_module_of(target) for target in targets)
    named = frozenset(module for module in modules if module)
    return _code(named, frozenset(also), tuple(except_below))


def source_hash(defined: Any) -> str:
    """Return a hash of the code behind a class, a function, or an object of a class."""
    function = inspect.unwrap(defined)
    while isinstance(function, partial):
        function = function.func
    if not (inspect.isroutine(function) or inspect.isclass(function)):
        function = type(function)
    module = str(function.__module__)
    file = Path(str(inspect.getsourcefile(function)))
    if modules_here().file(module) == file:
        return _code(frozenset([module]), frozenset(), ()).fingerprint
    # A script, a notebook, or a module that was loaded from a path: its name may lead to another
    # file, or to none, so that its text is hashed by itself.
    syntax = syntax_of(file.read_text(encoding="utf-8"))
    named = modules_here().referred(module, syntax)
    return fingerprint([syntax.digest, _code(named, frozenset(), ()).fingerprint])


def read_again() -> None:
    """Forget what was read of all modules, after some were edited and loaded anew."""
    modules_here.cache_clear()
    _code.cache_clear()


def own_hash(module: str) -> str:
    """Return a hash of the syntax of one module without what it imports."""
    syntax = modules_here().syntax(module)
    return syntax.digest if syntax else ""


@dataclass(frozen=True)
class Modules:
    """Modules and what they refer to, found in files without importing anything.

    Args:
        root: The folder in which ``erasure`` lies; another one is used by tests.
    """

    root: Path = ROOT
    _files: dict[str, Path | None] = field(default_factory=dict, repr=False)
    _syntax: dict[str, Syntax | None] = field(default_factory=dict, repr=False)
    _referred: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    _resolved: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def code(self, modules: Iterable[str], except_below: Sequence[str] = ()) -> SourceCode:
        """Return ``modules`` and what they import.

        Args:
            modules: Their dotted names; they count themselves in any case.
            except_below: Modules and packages that imports are not followed into.
        """
        named = sorted(modules)
        # named is worked off as a stack, to which the imports of each module are added
        first = set(named)
        # what was asked for is read even where it is installed; LIBRARIES count by version alone
        tops = {module.partition(".")[0] for module in named} - LIBRARIES
        hashes: dict[str, str] = {}
        libraries = set(ALWAYS)
        while named:
            module = named.pop()
            left_out = module not in first and _is_below(module, except_below)
            if left_out or module in hashes or module in ONLY_NAMES:
                continue
            top = module.partition(".")[0]
            if top not in tops and top != OURS and is_library(top):
                libraries.add(top)
                continue
            syntax = self.syntax(module)
            if syntax is not None:
                hashes[module] = syntax.digest
                if module not in self._referred:
                    self._referred[module] = self.referred(module, syntax)
                named += self._referred[module]
        versions = {name: version_of(name) for name in sorted(libraries)}
        present = {name: version for name, version in versions.items() if version}
        return SourceCode(dict(sorted(hashes.items())), present)

    def referred(self, module: str, syntax: Syntax) -> frozenset[str]:
        """Return the modules that a module refers to."""
        package = module if self._is_package(module) else module.rpartition(".")[0]
        names = (_absolute(name, package) for name in syntax.references)
        return frozenset().union(*(self._resolve(name) for name in names))

    def syntax(self, module: str) -> Syntax | None:
        """Return the syntax of a module, or None if it has no text of ours to read."""
        if module not in self._syntax:
            file = self.file(module)
            text = file.read_text(encoding="utf-8", errors="replace") if file else None
            self._syntax[module] = None if text is None else syntax_of(text)
        return self._syntax[module]

    def file(self, module: str) -> Path | None:
        """Return the file of a module, the ``__init__`` of a package, or None."""
        if module not in self._files:
            self._files[module] = self._located(module)
        return self._files[module]

    def _located(self, module: str) -> Path | None:
        top, *below = module.split(".")
        folder = self.root if top == OURS else folder_of(top)
        if folder is None:
            return None
        path = folder.joinpath(top, *below)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
        return None

    def _is_package(self, module: str) -> bool:
        file = self.file(module)
        return file is not None and file.name == "__init__.py"

    def _resolve(self, name: str) -> frozenset[str]:
        """Return the modules in which the thing with a dotted name is defined."""
        if name not in self._resolved:
            self._resolved[name] = frozenset()  # ends the search if packages refer to each other
            self._resolved[name] = frozenset(self._defining(name))
        return self._resolved[name]

    def _defining(self, name: str) -> Iterator[str]:
        top = name.partition(".")[0]
        if top in LIBRARIES or (top != OURS and is_library(top)):
            yield top
            return
        parts = name.split(".")
        # the longest beginning that is a file is the module; what follows are names within it
        lengths = range(len(parts), 0, -1)
        module = next((m for m in (".".join(parts[:n]) for n in lengths) if self.file(m)), None)
        syntax = module and self.syntax(module)
        if not module or not syntax:
            return
        rest = parts[module.count(".") + 1 :]
        inner = rest[0] if rest else ""
        if inner in syntax.origins and self._is_package(module):
            origin = _absolute(syntax.origins[inner], module)
            yield from self._resolve(".".join([origin, *rest[1:]]))
        elif inner and syntax.lazy and (offered := self._offered(syntax.lazy, inner)):
            yield from offered
        else:
            yield module

    def _offered(self, package: str, name: str) -> Sequence[str]:
        return modules_by_name(package, self.root.joinpath(*package.split("."))).get(name, [])


@cache
def modules_here() -> Modules:
    """Return the modules as they were when this process first asked; each file is read once.

    A process goes on with the code that it has imported, whatever is edited meanwhile.
    """
    return Modules(ROOT)


@lru_cache(maxsize=1024)
def _code(
    named: frozenset[str], also: frozenset[str], except_below: tuple[str, ...]
) -> SourceCode:
    code = modules_here().code(named)
    if not also:
        return code
    # followed apart: except_below holds for these alone, not for what the targets import
    further = modules_here().code(also, except_below)
    modules = {**code.modules, **further.modules}
    libraries = {**code.libraries, **further.libraries}
    return SourceCode(dict(sorted(modules.items())), dict(sorted(libraries.items())))


@cache
def _module_of(target: str) -> str | None:
    """Return the module that defines ``target``; a package may offer it from elsewhere."""
    try:
        return str(resolve_name(target).__module__)
    except Exception:  # noqa: BLE001  # whatever a foreign import raises, building it says so
        return None


def _absolute(name: str, package: str) -> str:
    """Return what a name stands for in ``package``: one dot is that package, two the one above."""
    rest = name.lstrip(".")
    level = len(name) - len(rest)
    if not level:
        return name
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([rest] if rest else [])])


def _is_below(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
