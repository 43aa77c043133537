"""What a module says to the interpreter: a hash of its syntax, and what it refers to."""

import ast
import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

NOT_CONTENT = {"ctx", "kind", "type_comment", "type_ignores"}
"""Fields of nodes that follow from others or change nothing: load or store, ``u""`` or ``""``."""


@dataclass(frozen=True)
class Syntax:
    """A module as it matters to a result.

    Args:
        digest: Hash of the syntax tree; docstrings, comments and positions are not in it.
        references: Dotted names of what is imported anywhere in it, or used of an imported
            module, each with leading dots where it is relative.
        origins: What the names bound at the top of it by ``from ... import`` are elsewhere.
        lazy: The package whose names a call of ``lazy_names`` offers; empty if none does.
    """

    digest: str
    references: frozenset[str] = frozenset()
    origins: dict[str, str] = field(default_factory=dict)
    lazy: str = ""


@cache
def syntax_of(text: str) -> Syntax:
    """Return the syntax of a module's ``text``.

    What cannot be parsed cannot be imported either; it is told by its text, and refers to nothing.
    """
    try:
        with _no_collection():
            tree = ast.parse(text)
            parts: list[str] = []
            _content(tree, parts)
            return Syntax(_hash("".join(parts)), *_references(tree))
    except (SyntaxError, RecursionError, ValueError):
        return Syntax(_hash(text))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _content(value: Any, parts: list[str]) -> None:
    """Append a tree to ``parts``, as text that depends neither on layout nor on Python's version.

    ``ast.dump`` changed in 3.13, and retiring everything with each Python would be no gain. A
    field without a value is left out, so that one which a later Python adds changes nothing.
    """
    if isinstance(value, ast.AST):
        parts.append(f"{type(value).__name__}(")
        for name in value._fields:
            inner = getattr(value, name, None)
            if inner is not None and inner != [] and name not in NOT_CONTENT:
                parts.append(f"{name}=")
                _content(inner, parts)
        parts.append(")")
    elif isinstance(value, list):
        parts.append("[")
        for item in value:
            if not _is_documentation(item):
                _content(item, parts)
                parts.append(",")
        parts.append("]")
    else:
        parts.append(repr(value))


def _is_documentation(node: Any) -> bool:
    """Tell whether a statement is a text alone: a docstring, or the note below a constant."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _references(tree: ast.Module) -> tuple[frozenset[str], dict[str, str], str]:
    nodes = list(_executed(tree))
    bound, named = _imports(nodes)
    lazy = ""
    for node in nodes:
        if isinstance(node, ast.Attribute):
            root, _, rest = _chain(node).partition(".")
            if root in bound:
                named.add(f"{bound[root]}.{rest}")
        elif isinstance(node, ast.Call) and node.args:
            name, text = _chain(node.func).rpartition(".")[2], _literal(node.args[0])
            if name == "import_module" and text:
                named.add(text)
            elif name == "lazy_names":
                lazy = text
    # references come from anywhere, but only an import at the top gives others a name to import
    return frozenset(named), _imports(tree.body)[0], lazy


def _imports(nodes: list[Any]) -> tuple[dict[str, str], set[str]]:
    """Return the names that imports among ``nodes`` bind, and all that they name."""
    bound: dict[str, str] = {}
    named: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                named.add(alias.name)
                top = alias.name.partition(".")[0]
                # "import a.b" binds a to a; "import a.b as c" binds c to a.b
                bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                # "from . import a" has no module: its dots already end where the name begins
                origin = base + "." * bool(node.module) + alias.name
                named.add(base if alias.name == "*" else origin)
                bound[alias.asname or alias.name] = origin
    return bound, named


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Visit all nodes but those that only a type checker reads, which move no result."""
    stack = [node]
    while stack:
        inner = stack.pop()
        yield inner
        # also as typing.TYPE_CHECKING
        if isinstance(inner, ast.If) and _chain(inner.test).endswith("TYPE_CHECKING"):
            stack.extend(inner.orelse)
            continue
        for name in inner._fields:
            value = getattr(inner, name, None)
            if isinstance(value, list):
                stack.extend(item for item in value if isinstance(item, ast.AST))
            elif isinstance(value, ast.AST) and name != "ctx":  # half of all nodes, none of use
                stack.append(value)


def _chain(node: ast.AST) -> str:
    """Return ``a.b.c`` for such an expression, and nothing for any other."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def _literal(node: ast.AST) -> str:
    """Return a text, or the part of a formatted one before its first value, without a last dot."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rstrip(".")
    return ""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from visiting a tree again and again while it grows."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
