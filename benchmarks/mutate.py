"""Change the code in small ways, and see whether a test notices.

    python benchmarks/mutate.py erasure/core
    python benchmarks/mutate.py erasure/unlearners/ssd.py --tests tests/unlearners/test_ssd.py
    python benchmarks/mutate.py erasure/tuning --sample 40 --seed 1

Comparisons are flipped, operators swapped, numbers moved by one, guards and statements taken out,
one at a time, in a copy of the repository. A change that leaves the tests green survives: either
nothing depends on it, or a test is missing. Last scores: see benchmarks/README.md.
"""

import argparse
import ast
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 600
"""Seconds after which a run of the tests hangs, which counts as noticed."""

SWAPPED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield the field of a node to replace, and by what."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        yield "ops", [SWAPPED[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPPED:
        yield "op", SWAPPED[type(node.op)]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "operand", ast.UnaryOp(op=ast.Not(), operand=node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "value", not node.value if isinstance(node.value, bool) else node.value + 1
    elif isinstance(node, ast.If | ast.IfExp):
        yield "test", ast.Constant(value=False)  # without its guard, the code behind it goes on
    body = getattr(node, "body", ())  # of a lambda or an IfExp it is one expression
    for index, statement in enumerate(body if isinstance(body, list) else ()):
        call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if call or isinstance(statement, ast.AugAssign):
            yield "body", [*body[:index], ast.Pass(), *body[index + 1 :]]


@dataclass(frozen=True)
class Mutant:
    """The source of a file after one change."""

    path: Path
    line: int
    change: str
    source: str


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every change of a file."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        for field, new in changes(node):
            old = getattr(node, field)
            changed: ast.AST = node
            if field == "body":
                changed = next(s for s, kept in zip(old, new, strict=True) if s is not kept)
            before = ast.unparse(changed)
            setattr(node, field, new)
            after = "pass" if field == "body" else ast.unparse(node)
            texts = (text.splitlines()[0] for text in (before, after))
            yield Mutant(
                path, getattr(changed, "lineno", 0), "  ->  ".join(texts), ast.unparse(tree)
            )
            setattr(node, field, old)


def tests_of(target: Path) -> list[str]:
    """Return the tests that mirror a folder or a file."""
    mirror = Path("tests", *target.with_suffix("").parts[1:])
    file = mirror.with_name(f"test_{mirror.name}.py")
    return [str(next(path for path in (file, mirror, *mirror.parents) if (ROOT / path).exists()))]


def passes(folder: Path, tests: list[str]) -> bool:
    """Run the tests in a child of this process, which has imported what takes long."""
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", *tests])))
    hung = threading.Timer(PATIENCE, os.kill, (child, signal.SIGKILL))
    hung.start()
    status = os.waitpid(child, 0)[1]
    hung.cancel()
    return status == 0


def main() -> None:
    """Mutate, test, and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="a folder or file of the package")
    parser.add_argument("--tests", nargs="+", help="by default those that mirror the target")
    parser.add_argument("--sample", type=int, help="try so many changes, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tests = options.tests or tests_of(options.target)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "copy")
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "mlruns"))
        os.environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True  # a stale .pyc would hide a change of the same size
        sys.path.insert(0, str(folder))
        target = folder / options.target
        files = sorted(target.rglob("*.py")) if target.is_dir() else [target]
        drawn = [mutant for path in files for mutant in mutants(path)]
        if options.sample:
            drawn = random.Random(options.seed).sample(drawn, min(options.sample, len(drawn)))
        if not passes(folder, tests):
            raise SystemExit(f"{' '.join(tests)} fails before anything is changed")
        survivors = 0
        for mutant in drawn:
            original = mutant.path.read_text()
            mutant.path.write_text(mutant.source)
            if passes(folder, tests):
                survivors += 1
                print(
                    f"{mutant.path.relative_to(folder)}:{mutant.line}  {mutant.change}", flush=True
                )
            mutant.path.write_text(original)
    print(f"{len(drawn) - survivors} of {len(drawn)} changes noticed by {' '.join(tests)}")


if __name__ == "__main__":
    import omegaconf  # noqa: F401  # imported once, before the children
    import sklearn.datasets  # noqa: F401
    import torch  # noqa: F401

    main()
