"""Every example of docs/sweeps.md on axes is composed, to as many trials or studies as it says."""

import re
import shlex
from dataclasses import fields

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from erasure.config.axes import SweeperAxes, read_products
from erasure.config.compose import Compositions
from erasure.config.folders import conf_folder
from erasure.config.overrides import override_value
from erasure.config.schema import register_schema
from erasure.sweeps.plan import plan
from erasure.tuning.command import read_commands
from erasure.tuning.plan import plan_studies
from erasure.tuning.settings import StudySettings

pytestmark = pytest.mark.slow

PAGE = (conf_folder().parent / "docs" / "sweeps.md").read_text(encoding="utf-8")


def examples(heading, language="bash"):
    """Return the code blocks below a heading."""
    (section,) = re.findall(rf"^### {heading}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def words(command):
    # a shell joins continued lines, inside of quotation marks as well
    python, script, multirun, *overrides = shlex.split(command.replace("\\\n", ""))
    assert [python, script, multirun] == ["python", "run.py", "-m"]
    return overrides


def composed(overrides):
    """Return the trials, or the studies, that the overrides of a sweep ask for."""
    register_schema()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [*overrides], RunMode.MULTIRUN)
        node = OmegaConf.to_container(master.hydra.sweeper, resolve=True)
        axes = SweeperAxes(params=node["params"] or {}, paired=node["zip"], grids=node["grids"])
        arguments = [*OmegaConf.to_container(master.hydra.overrides.task), "tracking=none"]
        compositions = Compositions(loader=loader, master=master)
        if node["source"] == "optuna":
            names = [field.name for field in fields(StudySettings)]
            settings = StudySettings(**{k: v for k, v in node.items() if k in names})
            return plan_studies(compositions, read_commands(loader, axes, arguments), settings)
        return plan(compositions, read_products(loader, axes, [*arguments, "~evaluator"]))


def test_paired_axes():
    eight, four, studies = (composed(words(command)) for command in examples("Paired axes"))
    assert {(run.config.trainer.fit.epochs, run.record.tags["model"]) for run in eight} == {
        (30, "logistic"), (60, "mlp"),
    }  # fmt: skip
    assert (len(eight), len(four)) == (8, 4)
    assert [study.base.split.fraction for study in studies] == [0.1, 0.2]


def test_several_grids(tmp_path):
    eight, studies = (composed(words(command)) for command in examples("Several grids"))
    assert len(eight) == 8
    assert {run.record.tags["unlearner"] for run in eight} == {"scrub", "ssd"}
    assert [set(study.space) == {"unlearner.alpha"} for study in studies] == [False, True]
    (text,) = examples("Several grids", "yaml")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text, encoding="utf-8")
    path = f"hydra.searchpath=[file://{tmp_path}]"
    runs = composed([path, "experiment=mine"])
    assert [run.config.seed for run in runs] == [0, 0, 1, 1, 0, 0, 1, 1]
    assert len(composed([path, "experiment=mine", "seed=3"])) == 4


def test_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requests").mkdir()
    for name in ("b.csv", "a.csv", "a_old.csv"):
        (tmp_path / "requests" / name).touch()
    (command,) = examples("Files")
    runs = composed(words(command))
    assert [run.config.split.path for run in runs] == ["requests/a.csv", "requests/b.csv"]
    studies = composed(["hydra/sweeper=optuna", *words(command)])
    assert [study.base.split.path for study in studies] == ["requests/a.csv", "requests/b.csv"]


@pytest.mark.parametrize(("model", "has_clip"), [("mlp", True), ("logistic", False)])
def test_conditional_axes(model, has_clip):
    (command,) = examples("Conditional axes")
    (study,) = composed(words(command))
    assert study.space["unlearner.retain_share"].when == {"unlearner.order": ["mixed_fixed"]}
    (text,) = examples("Conditional axes", "yaml")
    params = OmegaConf.to_container(OmegaConf.create(text))["hydra"]["sweeper"]["params"]
    line = f"hydra.sweeper.params={override_value(params)}"
    method = ("unlearner=random_labels", f"model={model}")
    (study,) = composed(["hydra/sweeper=optuna", *method, line])
    assert ("unlearner.fit.clip" in study.space) is has_clip
