"""A small Hydra application whose trials do what their configuration says, without training."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import hydra
import pytest
import rich.table  # noqa: F401  # rich draws from the global generator while it is imported
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from patience import wait_until

from erasure.sweeps import models_to_train

REPOSITORY = Path(__file__).parents[2]

TASK = '''
"""The task of the stub application."""

import json
import os
import signal
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from erasure.core.errors import ConfigError
from erasure.results.store import ResultStore
from erasure.results.record import TrialResult
from erasure.trial.task import trial_of
from erasure.results.no_tracker import NoTracker

HERE = Path(__file__).parent


def note(name, /, **values):
    with (HERE / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(values) + chr(10))


def check(trial):
    seed = trial.settings["seed"]
    note("checks", seed=seed)
    if seed < 0:
        raise ConfigError(f"seed must be >= 0, got {seed}")
    return []


class Tracker(NoTracker):
    def check(self):
        if (HERE / "down").exists():
            raise ConfigError("uri must be reachable, got nothing")

    def has(self, run):
        return run != "" and not (HERE / "empty").exists()

    def start_sweep(self, sweep):
        note("sweeps", event="start", fingerprint=sweep.fingerprint, name=sweep.name,
             overrides=dict(sweep.overrides), total=sweep.total)
        return "7e3"

    def finish_sweep(self, run, summary_markdown, artifacts, failed):
        note("sweeps", event="finish", run=run, failed=failed, summary=summary_markdown,
             files=sorted(path.name for path in artifacts.iterdir()))

    def address(self):
        return "open the page"


def task(cfg):
    record = trial_of(cfg).record
    results = ResultStore(Path(cfg.store.root))
    begun = time.time()
    variables = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    note("calls", seed=cfg.seed, unlearner=record.tags["unlearner"], parent=cfg.tracking.parent,
         env={name: os.environ.get(name) for name in variables}, pid=os.getpid(),
         folder=HydraConfig.get().runtime.output_dir, begun=begun)
    print("printed by the trial")
    time.sleep(cfg.sleep)
    while (HERE / "hold").exists():  # a test decides when the trials that run may go on
        time.sleep(0.02)
    act = cfg.act if cfg.seed in list(cfg.victims) else "finish"
    if act == "exit":
        os._exit(9)
    if act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "leave":
        raise SystemExit(3)
    failed = act == "fail"
    result = TrialResult(
        trial=record,
        outcome="failed" if failed else "finished",
        reason="lr must be smaller" if failed else "",
        metrics={} if failed else {"gap/avg": cfg.unlearner.gap + 0.1 * cfg.seed, "other": 1.0},
        trained=2,
        started=begun,
        ended=time.time(),
        run="none",
    )
    if cfg.get("pictures"):  # a result without what is asked for does not count
        folder = results.artifacts(record.fingerprint)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "loss_histograms.png").touch()
    results.save(result)
    note("ends", seed=cfg.seed, begun=begun, ended=result.ended)
    if failed:
        raise ConfigError("lr must be smaller")
    return result.metrics["gap/avg"]
'''

CONFIG = """
defaults:
  - unlearner: good
  - _self_
  - override hydra/sweeper: grid
  - override hydra/launcher: local
seed: 0
seeds: {split: "${seed}", train: "${seed}", unlearn: "${seed}", evaluate: "${seed}"}
device: cpu
threads: 1
resume: true
act: finish
victims: []
sleep: 0
data: {root: FOLDER/data}
store: {root: FOLDER/store}
tracking: {_target_: MODULE.Tracker, parent: ""}
objective: {_target_: erasure.trial.Objective, metrics: {gap/avg: minimize}}
hydra:
  sweep:
    dir: FOLDER/multirun/${now:%Y-%m-%d}/${now:%H-%M-%S-%f}
    subdir: ${hydra.job.num}
"""

MAIN = """
import hydra
from MODULE import check, task
if __name__ == "__main__":
    from erasure.sweeps import models_to_train
    models_to_train.check = check
    models_to_train._require_measurable = lambda trial: None
    hydra.main(config_path="FOLDER/conf", config_name="config", version_base="1.3")(task)()
"""


@dataclass(frozen=True)
class App:
    """The application in a folder of its own, with a task module that nobody else imports."""

    folder: Path
    module: str

    def run(self, *arguments: str) -> int:
        """Sweep in this process and return the exit code."""
        argv, sys.argv = sys.argv, ["run.py", "--multirun", *arguments]
        try:
            task = __import__(self.module).task
            config = {"config_path": str(self.folder / "conf"), "config_name": "config"}
            hydra.main(**config, version_base="1.3")(task)()
        except SystemExit as error:
            return int(error.code or 0)
        finally:
            sys.argv = argv
            GlobalHydra.instance().clear()
        return 0

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Sweep in another process."""
        path = os.pathsep.join([str(REPOSITORY), str(self.folder)])
        return subprocess.Popen(
            [sys.executable, "main.py", "--multirun", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def notes(self, name: str) -> list[dict]:
        """Return what trials or the tracker wrote down under ``name``, in order of time."""
        path = self.folder / f"{name}.jsonl"
        return (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )

    def wait_for(self, name: str, count: int = 1) -> None:
        """Wait until so many notes are there."""
        wait_until(lambda: len(self.notes(name)) >= count, f"number {count} of the {name}")

    def forget(self, name: str) -> None:
        (self.folder / f"{name}.jsonl").unlink(missing_ok=True)


def amend(path: Path, **settings: object) -> None:
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(path), settings), path)


@pytest.fixture
def app(tmp_path, monkeypatch, request):
    module = f"stub_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{module}.py").write_text(TASK)
    main = MAIN.replace("FOLDER", str(tmp_path)).replace("MODULE", module)
    (tmp_path / "main.py").write_text(main)
    shutil.copytree(REPOSITORY / "conf" / "hydra", tmp_path / "conf" / "hydra")
    ours = tmp_path / "conf" / "hydra"
    amend(ours / "launcher" / "local.yaml", preload=["erasure.trial.task"])
    config = CONFIG.replace("FOLDER", str(tmp_path)).replace("MODULE", module)
    (tmp_path / "conf" / "config.yaml").write_text(config)
    (tmp_path / "conf" / "unlearner").mkdir()
    for name, gap in {"good": 0.1, "poor": 0.5, "mild": 0.3}.items():
        path = tmp_path / "conf" / "unlearner" / f"{name}.yaml"
        path.write_text(textwrap.dedent(f"gap: {gap}\nlr: 1.0\n"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models_to_train, "check", import_module(module).check)
    # there are no samples to count
    monkeypatch.setattr(models_to_train, "_require_measurable", lambda trial: None)
    return App(folder=tmp_path, module=module)
