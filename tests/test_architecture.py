"""The direction of imports, the contents of modules, and what must not be anywhere."""

import ast
import importlib
import pkgutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import erasure
import multirun_analysis

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for package in (erasure, multirun_analysis)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)
PACKAGES = ("erasure", "multirun_analysis", "hydra_plugins")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def relative(path):
    return str(path.relative_to(ROOT))


@cache
def tree(path):
    return ast.parse(path.read_text())


def test_imports_keep_their_direction():
    """The same as ``lint-imports`` on the command line, without its cache."""
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{len(CONTRACTS['contracts'])} kept, 0 broken" in process.stdout


def test_a_new_package_cannot_forget_the_contracts():
    """Each room of the package has a layer; Hydra and MLflow are for those named here alone."""
    rooms = {f"erasure.{module.name}" for module in pkgutil.iter_modules(erasure.__path__)}
    contracts = CONTRACTS["contracts"]
    (layers,) = (c["layers"] for c in contracts if c["type"] == "layers")
    assert rooms == {f"erasure.{room}" for layer in layers for room in layer.split(" | ")}
    forbidden = {c["id"]: set(c["source_modules"]) for c in contracts if c["type"] == "forbidden"}
    assert forbidden.keys() == {"hydra", "mlflow", "analysis", "analysis-mlflow"}
    above = ("__main__", "cli", "config")
    assert rooms - forbidden["hydra"] == {f"erasure.{room}" for room in above}
    assert rooms - forbidden["mlflow"] == {"erasure.__main__", "erasure.results"}
    assert forbidden["analysis"] == forbidden["analysis-mlflow"] == {"multirun_analysis"}


def test_no_modules_import_each_other_in_a_circle():
    """Imports under ``TYPE_CHECKING`` and inside functions count, they are dependencies too."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in SOURCES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}

    def imported(path):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from package import module` names a module; any other name is inside the first
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if name in names else node.module for name in inner)

    left = {name: {i for i in imported(path) if i in names} for name, path in names.items()}
    # Whoever imports nothing that is left is in no circle; who never gets there is, or needs one
    while free := {name for name, needs in left.items() if not needs & left.keys() - {name}}:
        left = {name: needs for name, needs in left.items() if name not in free}
    # The same from the other side, so that the message names the circle alone
    while unused := left.keys() - {i for name, needs in left.items() for i in needs - {name}}:
        left = {name: needs for name, needs in left.items() if name not in unused}
    assert not left, {name: sorted(needs & left.keys()) for name, needs in left.items()}


def test_every_module_imports_and_offers_what_it_says():
    for name in MODULES:
        module = importlib.import_module(name)
        assert module.__doc__, name
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert not missing, f"{name} offers {missing}"


def test_no_module_was_missed():
    files = {path for path in SOURCES if path.parts[len(ROOT.parts)] != "hydra_plugins"}
    assert len(MODULES) == len([p for p in files if p.name != "__main__.py"]) - 2  # the packages


def global_draws(path):
    """Calls that seed or draw from a global generator, such as ``torch.manual_seed``."""
    draws = {"seed", "manual_seed", "manual_seed_all", "set_rng_state", "shuffle", "choice"}
    modules = {"torch", "torch.cuda", "torch.random", "random", "np.random", "numpy.random"}
    for node in ast.walk(tree(path)):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in draws:
            owner = ast.unparse(called.value)
            if owner in modules:
                yield f"{owner}.{called.attr}"


def test_global_generators_are_seeded_in_one_place():
    """In ``isolated``, which restores them; and by the checks that look for who reads them."""
    results = {relative(path): list(global_draws(path)) for path in SOURCES}
    allowed = {"erasure/core/seeding.py", "erasure/testing/surroundings.py"}
    assert {path for path, calls in results.items() if calls} <= allowed


def test_torch_and_others_stay_out_of_what_starts_the_program():
    light = ["run.py", "erasure/__init__.py", "erasure/cli/help.py", "erasure/cli/hydra.py"]
    light += ["erasure/schema.py", "erasure/config/folders.py"]
    light += [f"multirun_analysis/{name}.py" for name in ("__init__", "__main__", "cli", "errors")]
    light += [
        "erasure/core/errors.py",
        "erasure/core/__init__.py",
        "erasure/core/torchvision_import.py",
    ]
    heavy = {"torch", "hydra", "omegaconf", "mlflow", "numpy", "pandas"}
    for name in light:
        for node in tree(ROOT / name).body:
            if isinstance(node, ast.Import):
                assert not heavy & {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.module.split(".")[0] not in heavy


HOOKS = '[type(finder).__name__ for finder in sys.meta_path].count("_BeforeTorchvision")'


def test_the_torchvision_hook_is_installed_once_and_imports_nothing(python):
    code = "import sys, erasure; erasure.core.torchvision_import.install(); "
    code += f"print({HOOKS}, 'torch' in sys.modules)"
    assert python("-c", code).stdout == "1 False\n"


@pytest.mark.slow
def test_torchvision_imports_beside_this_torch(python):
    """In a fresh process, because the hook acts on the first import only."""
    code = f"""
import sys, erasure
from torchvision.models import resnet18
erasure.core.torchvision_import.install()
print({HOOKS}, callable(resnet18))
"""
    process = python("-W", "error", "-c", code)
    assert (process.stdout, process.stderr) == ("0 True\n", "")


CLOCKS = {"time", "monotonic", "perf_counter", "process_time", "thread_time"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}


def reads_of_clocks(node):
    """Calls below a node that read a clock, such as ``time.monotonic()``."""
    for call in ast.walk(node):
        called = call.func if isinstance(call, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in CLOCKS:
            if ast.unparse(called.value) == "time":
                yield called.attr
        elif isinstance(called, ast.Name) and called.id in CLOCKS:
            yield called.id


def time_outs(node):
    """The values of all ``timeout=`` below a node that hands one over."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            yield from (ast.unparse(word.value) for word in call.keywords if word.arg == "timeout")


def test_no_test_depends_on_the_speed_of_the_machine():
    """A slow machine must not fail: durations are measured in ``benchmarks/``.

    The wall clock may be read to date a file, but no clock that measures, and none in an
    ``assert``; who waits for a process gives it up where it hangs, and not before.
    """
    tests = {path for path in (ROOT / "tests").rglob("*.py") if path.name != "patience.py"}
    assert len(tests) > 200
    for path in tests:
        stopwatches = set(reads_of_clocks(tree(path))) - {"time"}
        assert not stopwatches, f"{relative(path)} measures: {stopwatches}"
        asserts = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
        assert not [n.lineno for n in asserts if list(reads_of_clocks(n))], relative(path)
        assert set(time_outs(tree(path))) <= {"HANGS"}, relative(path)


PRIVATE_WORDS = {"found", "told", "known", "spoken", "in_words", "said", "asked", "given"}
"""Names that say how a value was come by, and not what it is."""


def test_no_name_hides_what_it_holds():
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            elif isinstance(node, ast.arg):
                name = node.arg
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                name = node.name
            else:
                continue
            assert name not in PRIVATE_WORDS, f"{relative(path)}:{node.lineno}"


def test_text_is_utf8_whatever_the_machine_prefers():
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            keywords = {keyword.arg for keyword in node.keywords}
            is_text = node.func.attr in ("read_text", "write_text") or "newline" in keywords
            assert not is_text or "encoding" in keywords, f"{relative(path)}:{node.lineno}"
