"""From studies to recipes on the command line, and the list of studies."""

import optuna
import pytest
from omegaconf import OmegaConf
from studies import Runner, opened, planned

from erasure.cli.studies import main
from erasure.tuning.recipe import Recipe
from erasure.tuning.storage import open_storage, storage_url

TASK = ("dataset=digits", "model=mlp", "trainer=adam", "split.fraction=0.2")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    storage = open_storage(storage_url(None, root), root)
    plans = planned(*TASK, "unlearner=ssd,grad_ascent", "tracking=none")

    def measure(cfg):
        if "alpha" not in cfg.unlearner:
            return "failed"
        return {"gap/avg": 0.01 * cfg.unlearner.alpha + 0.1 * (cfg.seed == 101)}

    for plan in plans:
        search_settings = {
            "sweep": "5eed", "command": "python run.py -m hydra/sweeper=optuna unlearner=ssd",
            "choices": plan.choices, "overrides": list(plan.overrides), "n_trials": 3,
            "axes": {name: vars(axis) for name, axis in plan.space.items()},
            "is_default": True, "sampler": "optuna.samplers.TPESampler",
        }  # fmt: skip
        client = opened(plan, storage, total=3, search_settings=search_settings)
        Runner([client], root / plan.label, measure).all()
    optuna.create_study(study_name="foreign", storage=storage)
    return root, [plan.name for plan in plans]


@pytest.mark.slow
def test_the_best_setting_becomes_a_recipe_with_where_it_comes_from(store, tmp_path, capsys):
    root, (name, _) = store
    assert main(["recipe", "--study", name, "--store", str(root), "--output", str(tmp_path)]) == 0
    path = tmp_path / "recipe" / "digits" / "mlp" / "random" / "ssd.yaml"
    text = path.read_text()
    study = optuna.load_study(study_name=name, storage=storage_url(None, root))
    best = study.best_trial
    assert f"# ssd: gap/avg {best.value:.4f} (defaults: 0.1500) on validation data" in text
    assert "3 settings tried, 0 failed, 0 pruned; TPESampler; seeds 100, 101; commit" in text
    assert f"# study {name}, trial {best.number}" in text
    assert "hydra/sweeper=optuna unlearner=ssd" in text
    output = capsys.readouterr().out
    assert "run.py --config-dir" in output
    assert "-m recipe=digits/mlp/random/ssd seed=10,11,12" in output
    settings = OmegaConf.load(path)
    assert settings.unlearner.alpha == best.params["unlearner.alpha"]
    assert settings.split.fraction == 0.2


@pytest.mark.slow
def test_a_recipe_composes_to_what_was_tuned(store, tmp_path, compose_config):
    root, (name, _) = store
    main(["recipe", "--study", name, "--store", str(root), "--output", str(tmp_path)])
    cfg = compose_config(
        "recipe=digits/mlp/random/ssd", f"hydra.searchpath=[file://{tmp_path}]", hydra=True
    )
    assert cfg.split.fraction == 0.2
    assert cfg.evaluator.heldout == "test"
    assert cfg.unlearner.alpha != 10.0 or cfg.unlearner.dampening == 1.0


def test_the_list_of_studies(store, capsys):
    root, names = store
    assert main(["status", "--store", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert set(rows) == set(names)
    assert rows[names[0]][:7] == ["3", "of", "3", "3", "0", "0", "0"]
    assert rows[names[1]][:7] == ["3", "of", "3", "0", "0", "3", "0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--study", "nothing"], "--study=nothing does not exist; there are: "),
        (["--sweep", "beef"], "--sweep=beef has no studies here"),
        (["--sweep", "5e"], "has no complete trial that keeps its constraints; it has 3 fail"),
    ],
)
def test_what_cannot_become_a_recipe_is_one_message(store, tmp_path, capsys, arguments, message,
                                                    monkeypatch):  # fmt: skip
    monkeypatch.setenv("COLUMNS", "300")
    root, _ = store
    end = ["--store", str(root), "--output", str(tmp_path)]
    assert main(["recipe", *arguments, *end]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_studies_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["status", "--store", str(tmp_path)]) == 1
    assert "--store must be a store with studies in it" in capsys.readouterr().err


def test_several_objectives_and_options_of_nested_groups_are_written_down():
    recipe = Recipe(
        choices={"dataset": "digits", "model": "cnn", "split": "class", "trainer": "one_cycle",
                 "unlearner": "scrub"},
        overrides=["unlearner=scrub", "fit@unlearner.fit=adam", "+split.classes=[3]",
                   "evaluator=fast", "device=cpu"],
        settings={"unlearner.msteps": 2},
        scores={"objective/utility": 0.01, "objective/forgetting": 0.02},
        default_scores={}, trials=7, failed=1, pruned=2, seeds=[100], rule="the rule",
        study="s", trial=3, sampler="NSGAIISampler", command="typed", commit="abc",
    )  # fmt: skip
    text = recipe.text()
    for line in ("# scrub: the best of a search over 2 objectives", "# the rule",
                 "# objective/forgetting 0.0200 on validation data",
                 "  - override /fit@unlearner.fit: adam"):  # fmt: skip
        assert line in text.splitlines()
    assert OmegaConf.create(text.partition("unlearner: scrub\n")[2].partition("split:")[0]) != {}
    assert "classes:\n  - 3" in text
    assert "device" not in text
