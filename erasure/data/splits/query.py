"""Forget sets by a condition on columns, which is parsed and never executed."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.core.pool import Pool
from erasure.data.splits.forgetting import Forgetting
from erasure.data.splits.selecting import labels, named

Columns: TypeAlias = Mapping[str, Column]

EXAMPLE = """age >= 60 and sex == "Female" and not (hours > 40)"""

ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
MIRRORED: Mapping[type[ast.cmpop], ast.cmpop] = {
    ast.Lt: ast.Gt(),
    ast.LtE: ast.GtE(),
    ast.Gt: ast.Lt(),
    ast.GtE: ast.LtE(),
    ast.Eq: ast.Eq(),
    ast.NotEq: ast.NotEq(),
}

LARGEST = 2**63
"""No tensor holds a whole number of this size."""

ASKED: Mapping[str, str] = {
    "number": "numbers by ==, !=, <, <=, >, >= or in [...]",
    "category": 'names by == "name", != or in [...]',
    "set": 'sets by "name" in column',
}


@dataclass(frozen=True, kw_only=True)
class QueryForget(Forgetting):
    """Forget the training samples for which a condition on their columns holds.

    The condition compares columns with constants by ``== != < <= > >=``, ``in`` and ``not in``
    a list, and joins comparisons by ``and``, ``or``, ``not`` and brackets. ``target`` is the
    class. A column of sets is asked with ``"Ann" in people``. A column whose name is not a
    Python name is written with ``_`` for what is not a letter or digit: ``capital_gain`` for
    ``capital-gain``. A comparison with a missing value is false, that with ``!=`` as well.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        where: The condition, such as ``age >= 60 and sex == "Female"``.
    """

    where: str

    def validate(self) -> None:
        """Refuse what is not a condition."""
        _parsed(self.where)

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Take every training sample for which the condition holds."""
        del generator
        chosen = train[self.population(pool)[train]]
        if len(chosen) == 0:
            raise ConfigError(
                f"where={self.where!r} holds for none of {len(train)} training samples"
            )
        return chosen

    def population(self, pool: Pool) -> Tensor:
        """Return the samples for which the condition holds."""
        return matching(pool, self.where)

    def scenario(self, pool: Pool) -> Mapping[str, Any]:
        """Repeat the condition."""
        del pool
        return {"kind": "query", "where": self.where}


def matching(pool: Pool, where: str) -> Tensor:
    """Return for which samples a condition holds, ``(N,)`` bool on the CPU.

    Raises:
        ConfigError: If it is not a condition, or a column or value does not exist.
    """
    columns = {_identifier(name): column for name, column in pool.attributes.items()}
    # last, so that no attribute of that name hides the classes
    return _holds(_parsed(where), {**columns, "target": labels(pool)})


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _parsed(where: str) -> ast.expr:
    try:
        return ast.parse(where.strip(), mode="eval").body
    # memory and recursion: what the parser runs out of where signs or "not" are nested too deep
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ConfigError(
            f"where must be a condition such as {EXAMPLE}, got {where!r}: {error}"
        ) from error


def _holds(node: ast.expr, columns: Columns) -> Tensor:
    if isinstance(node, ast.BoolOp):
        join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
        holds = _holds(node.values[0], columns)
        for value in node.values[1:]:
            holds = join(holds, _holds(value, columns))
        return holds
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        # so "not (age > 60)" holds where age is missing: the comparison in it is false
        return ~_holds(node.operand, columns)
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        holds = _compared(operands[0], node.ops[0], operands[1], columns)
        # "a < b < c" is "a < b and b < c"; operands[1:] ends with c, which begins no comparison
        for left, how, right in zip(operands[1:], node.ops[1:], operands[2:], strict=False):
            holds = holds & _compared(left, how, right, columns)
        return holds
    raise _not_allowed(node)


def _compared(left: ast.expr, how: ast.cmpop, right: ast.expr, columns: Columns) -> Tensor:
    if isinstance(how, ast.In | ast.NotIn):
        holds, present = _contained(left, right, columns)
        return holds if isinstance(how, ast.In) else ~holds & present
    if isinstance(left, ast.Name):
        return _related(named(columns, left.id, "where"), how, right)
    if isinstance(right, ast.Name) and type(how) in MIRRORED:
        return _related(named(columns, right.id, "where"), MIRRORED[type(how)], left)
    raise ConfigError(
        f"where must compare a column with a constant, got {_text(left)} and {_text(right)}"
    )


def _related(column: Column, how: ast.cmpop, constant: ast.expr) -> Tensor:
    """Compare a column by order or equality."""
    wanted = _constant(constant)
    if column.kind == "number" and type(how) in ORDER:
        if isinstance(wanted, str):
            raise ConfigError(f"where must compare numbers with numbers, got {wanted!r}")
        holds: Tensor = ORDER[type(how)](column.values.cpu(), wanted)
        return holds
    if column.kind == "set" or not isinstance(how, ast.Eq | ast.NotEq):
        raise ConfigError(f"where must ask a column of {ASKED[column.kind]}")
    equal = column.having([wanted], "where")
    return equal if isinstance(how, ast.Eq) else ~equal & _present(column)


def _contained(left: ast.expr, right: ast.expr, columns: Columns) -> tuple[Tensor, Tensor]:
    """Return which samples have one of some values, and which have any."""
    if isinstance(left, ast.Name) and isinstance(right, ast.List | ast.Tuple | ast.Set):
        column = named(columns, left.id, "where")
        wanted = [_constant(item) for item in right.elts]
    elif isinstance(right, ast.Name):
        column = named(columns, right.id, "where")
        wanted = [_constant(left)]
        if column.kind != "set":
            raise ConfigError(f"where must ask a column of {ASKED[column.kind]}")
    else:
        raise ConfigError(
            f"where must ask column in [...] or name in column, got {_text(left)} in "
            f"{_text(right)}"
        )
    return column.having(wanted, "where"), _present(column)


def _present(column: Column) -> Tensor:
    values = column.values.cpu()
    if column.kind == "set":
        # a set is never missing, it may be empty
        return values.new_ones(len(values))
    return ~values.isnan() if column.kind == "number" else values >= 0


def _constant(node: ast.expr) -> int | float | str:
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node, sign = node.operand, -1
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            # a column of truth values is one of categories, with the names True and False
            return str(node.value)
        if isinstance(node.value, int) and abs(node.value) >= LARGEST:
            raise ConfigError(f"where must hold whole numbers below 2**63, got {_text(node)}")
        if isinstance(node.value, int | float):
            return sign * node.value
        if isinstance(node.value, str) and sign == 1:
            return node.value
    raise _not_allowed(node)


def _not_allowed(node: ast.expr) -> ConfigError:
    return ConfigError(
        f"where may compare columns with constants and join that by and, or, not, as in "
        f"{EXAMPLE}; got {_text(node)}"
    )


def _text(node: ast.expr) -> str:
    return ast.unparse(node)
