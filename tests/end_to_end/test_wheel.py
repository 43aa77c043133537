"""The wheel, installed in an environment of its own: the command works in any folder.

Dependencies are those of the environment that runs the tests. Its ``site-packages`` is named in a
``.pth`` file, which does not read the ``.pth`` files in there, so that no checkout is importable.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from patience import HANGS
from running import ROOT, models, results

pytestmark = pytest.mark.slow
QUICK = ("evaluator=fast", "pictures=false")


def checked(command, **options):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=HANGS, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    # without hatchling here, pip fetches it
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    checked([sys.executable, "-m", "pip", "wheel", "--no-deps", *isolation, "-w", folder, ROOT])
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of executables of a new environment that has the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    here = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=here))
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    executables = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", executables / "python"]
    checked([*pip, "install", "--no-deps", "--no-index", wheel])
    return executables


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder where all commands are typed."""
    return tmp_path_factory.mktemp("anywhere")


@pytest.fixture(scope="module")
def typed(installed, folder, environment):
    """Type a command of the environment and return what it prints."""
    # nothing of the checkout, and no variable of the tests' environment
    alone = {k: v for k, v in environment.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    alone["PATH"] = os.pathsep.join([str(installed), alone["PATH"]])

    def run(name, *arguments):
        return checked([installed / name, *arguments], cwd=folder, env=alone)

    return run


def test_it_has_the_groups_the_templates_and_nothing_of_the_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        tops = {name.partition("/")[0] for name in names}
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        assert "\nName: erasure-unlearning\n" in archive.read(metadata).decode()
    packages = {"erasure", "hydra_plugins", "multirun_analysis"}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert {"erasure/py.typed", "multirun_analysis/py.typed"} <= names
    groups = {f"erasure/conf/{p.relative_to(ROOT / 'conf')}" for p in ROOT.glob("conf/**/*.yaml")}
    modules = {str(p.relative_to(ROOT)) for top in packages for p in ROOT.glob(f"{top}/**/*.py")}
    templates = {str(p.relative_to(ROOT)) for p in ROOT.glob("multirun_analysis/**/templates/*")}
    assert len(groups) > 200
    assert templates
    assert groups | modules | templates <= names


def test_a_source_distribution_makes_the_same_wheel(wheel, tmp_path):
    pytest.importorskip("hatchling", reason='needs pip install -e ".[test]"')
    hatch = [sys.executable, "-m", "hatchling", "build"]
    checked([*hatch, "--target", "sdist", "--directory", tmp_path], cwd=ROOT)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = [p for p in tmp_path.iterdir() if p.is_dir()]
    assert not (tree / "tests").exists()
    checked([*hatch, "--target", "wheel", "--directory", tmp_path], cwd=tree)
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


def test_it_is_the_wheel_that_runs_and_no_checkout(typed, installed):
    code = "import erasure,multirun_analysis;print(erasure.__file__,multirun_analysis.__file__)"
    paths = typed("python", "-c", code).split()
    assert all(path.startswith(str(installed.parent)) for path in paths), paths
    assert typed("python", "-c", "import sys;print(*sys.path,sep='\\n')").count(str(ROOT)) == 0


def test_a_trial_runs_and_has_a_report(typed, folder):
    assert "average gap to gold" in typed("erasure", "run", "unlearner=scrub")
    assert "scrub" in typed("erasure", "report")
    assert "would be read back" in typed("erasure", "why", "unlearner=scrub")
    assert "2 models" in typed("erasure", "store", "ls")
    assert len(results(folder)) == 1
    assert len(models(folder)) == 2


def test_a_sweep_runs_in_workers_that_import_the_task(typed, folder):
    grid = ("unlearner=scrub,ssd", "seed=0,1", *QUICK)
    workers = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert "4 trials: 4 finished" in typed("erasure", "sweep", *grid, *workers)
    written = typed("erasure", "report", "--output", "report")
    assert "written to report/index.html" in written
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "erasure sweep unlearner=scrub,ssd seed=0,1 evaluator=fast" in page
    assert "run.py" not in page


def test_a_search_says_how_to_go_on_with_this_command(typed, folder):
    budget = ("hydra.sweeper.n_trials=2", "hydra.sweeper.seeds=[100]")
    shown = typed("erasure", "tune", "unlearner=ssd", *budget, *QUICK)
    assert "\n  erasure sweep unlearner=ssd unlearner.alpha=" in shown
    (recipe,) = [line for line in shown.splitlines() if "erasure studies recipe" in line]
    shown = typed(*recipe.split())
    assert "erasure sweep --config-dir conf recipe=digits_noisy/mlp/random/ssd" in shown
    assert (folder / "conf/recipe/digits_noisy/mlp/random/ssd.yaml").is_file()


def test_everything_is_written_where_it_was_typed(installed, folder):
    written = {path.name for path in folder.iterdir()}
    assert written <= {"conf", "mlruns", "multirun", "outputs", "report", "store"}
    site = next((installed.parent / "lib").glob("python*")) / "site-packages"
    shipped = {p.relative_to(ROOT / "conf") for p in ROOT.glob("conf/**/*.yaml")}
    conf = site / "erasure" / "conf"
    assert {p.relative_to(conf) for p in conf.glob("**/*.yaml")} == shipped
