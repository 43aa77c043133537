"""Every YAML file in ``conf`` composes, builds, and says in its first line what it is."""

from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf
from tiers import one_in_default
from trials import assemble

from erasure.cli.help import GROUPS
from erasure.config.build import build
from erasure.config.settings import settings_of_config as plain_config
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import meanings
from erasure.sweeps.models_to_train import check
from erasure.training.fit import Fit
from erasure.training.sharded import Sharded
from erasure.training.trainers import Standard
from erasure.trial.places import build_tracker
from erasure.trial.task import trial_of
from erasure.trial.trial import Trial

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(CONF.rglob("*.yaml"))
IN_A_TRIAL = ("dataset", "split", "model", "trainer", "unlearner", "evaluator", "objective")
METHOD = "unlearner._target_=erasure.unlearners.Identity"


def stems(group):
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    return [stem for stem in names if not stem.startswith("_")]


def options(*groups):
    return [(group, stem) for group in groups for stem in stems(group)]


def test_no_file_is_left_out():
    covered = options(*IN_A_TRIAL, "tracking", "experiment", "fit", "metric")
    covered += options("hydra/sweeper", "hydra/launcher", "search")
    covered += options("hydra/sweeper/sampler", "hydra/sweeper/pruner")
    covered += [path for path in FILES if "recipe" in path.parts]
    shared = [path for path in FILES if path.stem.startswith("_")]
    assert len(covered) + len(shared) + 1 == len(FILES)  # and config.yaml
    assert len(FILES) >= 38


def test_every_group_is_explained_by_the_help():
    groups = {str(path.parent.relative_to(CONF)) for path in FILES} - {".", "search"}
    groups = {group for group in groups if not group.startswith("recipe")}
    assert groups == {group for group, _ in GROUPS}


def test_every_file_says_first_what_it_is():
    for path in FILES:
        lines = path.read_text().splitlines()
        first = next(line for line in lines if not line.startswith("# @package"))
        assert first.startswith("# "), path
        assert 20 < len(first) < 100, path
        assert first == first.rstrip(". "), path


def test_components_are_in_mappings_and_never_in_lists():
    def lists(value):
        if isinstance(value, dict):
            for inner in value.values():
                yield from lists(inner)
        elif isinstance(value, list):
            yield value

    for path in FILES:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        content.pop("defaults", None)
        items = [item for listed in lists(content) for item in listed]
        assert not [item for item in items if isinstance(item, dict)], path


COVERED_ELSEWHERE = ("dataset", "split", "model", "trainer", "unlearner")
"""By test_every_data_yaml.py; test_conformance.py builds every unlearner by default."""


@pytest.mark.parametrize(
    ("group", "option"),
    [
        *options(*(group for group in IN_A_TRIAL if group not in COVERED_ELSEWHERE)),
        *one_in_default(options("unlearner")),
    ],
)
def test_every_option_of_a_trial_builds_and_fits(compose_config, group, option):
    extra = [METHOD] if (group, option) == ("unlearner", "custom") else []
    extra += ["references.size=8"] if option == "full" else []
    extra += [] if group == "evaluator" else ["evaluator=fast"]  # composed in a third of the time
    cfg = compose_config(f"{group}={option}", *extra)
    assert cfg.device == "auto"
    trial = assemble(cfg, device=torch.device("cpu"))
    assert isinstance(trial, Trial)
    assert trial.data.pool.num_classes == 10
    model = trial.fresh()
    inputs = trial.data.pool.fetch(trial.data.indices.forget[:2])
    assert model.eval()(inputs).shape == (2, 10)
    assert isinstance(trial.trainer, Standard | Sharded)
    assert isinstance(trial.evaluator, Evaluator)
    assert callable(trial.unlearner)


@pytest.mark.slow
@pytest.mark.parametrize("option", stems("experiment"))
def test_every_experiment_is_a_trial(compose_config, option):
    cfg = compose_config("tracking=none", f"experiment={option}", hydra=True)
    check(trial_of(cfg))
    assert "experiment" not in plain_config(cfg)
    params = cfg.hydra.sweeper.params or {}
    for key, values in params.items():
        swept = stems(key) if "glob(*" in str(values) else str(values).split(",")
        for value in swept:
            if value in str(values).partition("exclude=")[2]:
                continue
            check(
                trial_of(compose_config("tracking=none", f"experiment={option}", f"{key}={value}"))
            )


@pytest.mark.parametrize("option", stems("tracking"))
def test_every_tracker_builds(compose_config, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = build_tracker(compose_config(f"tracking={option}"))
    assert callable(tracker.prepare)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", stems("fit"))
def test_every_loop_builds_and_descends(compose_config, option):
    fit = build(compose_config(name=f"fit/{option}").fit, "fit")
    assert isinstance(fit, Fit)
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = fit.optimizer([weight])
    (weight**2).sum().backward()
    optimizer.step()
    assert 0 < weight.item() < 3


@pytest.mark.slow
def test_every_metric_builds_and_is_part_of_the_full_evaluation(compose_config):
    full = build(compose_config("evaluator=full").evaluator, "evaluator")
    for option in stems("metric"):
        metric = build(compose_config(name=f"metric/{option}").metric, "metric")
        assert type(full.metrics.get(option, metric)) is type(metric), option
        assert meanings(metric, "test"), option


@pytest.mark.parametrize(
    ("group", "option", "kind"),
    [
        *((*option, Sweeper) for option in options("hydra/sweeper")),
        *((*option, Launcher) for option in options("hydra/launcher")),
    ],
)
def test_every_plugin_is_known_to_hydra_and_builds(compose_config, group, option, kind):
    cfg = compose_config(f"{group}={option}", "evaluator=fast", hydra=True)
    node = cfg.hydra[group.rpartition("/")[2]]
    assert isinstance(build(node, group), kind)
    assert node._target_ in {
        f"{plugin.__module__}.{plugin.__name__}" for plugin in Plugins.instance().discover(kind)
    }


def test_the_defaults_are_those_that_show_something(compose_config):
    cfg = compose_config(hydra=True)
    chosen = cfg.hydra.runtime.choices
    assert {group: chosen[group] for group in IN_A_TRIAL} == {
        "dataset": "digits_noisy",
        "split": "random",
        "model": "mlp",
        "trainer": "adam",
        "unlearner": "scrub",
        "evaluator": "standard",
        "objective": "avg_gap",
    }
    assert (chosen["tracking"], chosen["hydra/sweeper"]) == ("mlflow", "grid")
    assert chosen["hydra/launcher"] == "local"


def test_options_compose_with_each_other(compose_config):
    cfg = compose_config(
        "experiment=class_removal", "unlearner=finetune", "fit@unlearner.fit=adam"
    )
    trial = assemble(cfg, device=torch.device("cpu"))
    assert type(trial.fresh()).__name__ == "CNN"
    optimizer = trial.unlearner.fit.optimizer
    assert isinstance(optimizer, partial)
    assert optimizer.func is torch.optim.Adam
    assert set(trial.data.pool.targets[trial.data.indices.forget].tolist()) == {0}


def test_settings_of_nested_groups_can_be_set_by_name(compose_config):
    cfg = compose_config("unlearner.fit.epochs=3", "trainer.fit.epochs=4", "split.base.val=0.2")
    trial = assemble(cfg, device=torch.device("cpu"))
    assert (trial.unlearner.fit.epochs, trial.trainer.fit.epochs) == (3, 4)
    assert len(trial.data.indices.val) == round(0.2 * (1797 - 359))


def test_all_models_of_a_trial_start_from_the_same_weights(compose_config):
    trial = assemble(compose_config(), device=torch.device("cpu"))
    one, other = trial.fresh(), trial.fresh()
    assert one is not other
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


RECIPES = [path for path in FILES if "recipe" in path.parts]


@pytest.mark.parametrize("path", one_in_default(RECIPES), ids=lambda path: path.stem)
def test_every_recipe_composes_with_the_choices_of_its_name(compose_config, path):
    name = path.relative_to(CONF / "recipe").with_suffix("")
    cfg = compose_config(f"recipe={name.as_posix()}", "evaluator=fast", hydra=True)
    chosen = cfg.hydra.runtime.choices
    groups = ("dataset", "model", "split", "unlearner")
    assert tuple(chosen[group] for group in groups) == name.parts
    assert "settings tried" in path.read_text()
    build(cfg.unlearner, "unlearner")


@pytest.mark.slow
def test_a_recipe_changes_what_it_says(compose_config):
    tuned = compose_config("recipe=digits_noisy/mlp/random/scrub").unlearner
    assert tuned != compose_config("unlearner=scrub").unlearner
