"""Search spaces, the search, and the recipes it writes."""

import optuna
import pytest
from omegaconf import OmegaConf

from erasure.core.errors import ConfigError, DivergedError
from erasure.core.trial import Trial, TrialResult
from erasure.plugins import conf_folder
from erasure.sweep.recipe import Recipe
from erasure.sweep.schema import register_schema
from erasure.sweep.search_space import Axis, search_space
from erasure.sweep.tuning import Tuning

METHODS = sorted(path.stem for path in (conf_folder() / "unlearner").glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in METHODS if name != "custom"])
def test_every_method_has_a_search_space_over_settings_that_exist(name):
    register_schema()
    tuning = Tuning(overrides=[f"unlearner={name}"], trials=1, seeds=[0], folders=[conf_folder()])
    cfg = tuning.compose({})
    missing = object()
    for setting in search_space(name, [conf_folder()]):
        assert OmegaConf.select(cfg, setting, default=missing) is not missing, setting


def test_an_axis_draws_what_it_says():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = Axis(low=1e-4, high=0.5, log=True, one_minus=True)
    for _ in range(50):
        trial = study.ask()
        assert 0.5 <= drawn.suggest(trial, "weight") <= 1 - 1e-4
        assert Axis(low=1, high=3, int=True).suggest(trial, "count") in (1, 2, 3)
        assert Axis(choices=[None, 1.0]).suggest(trial, "clip") in (None, 1.0)
        assert 1e-3 <= Axis(low=1e-3, high=1e-1, log=True).suggest(trial, "rate") <= 1e-1


@pytest.mark.parametrize(
    "wrong",
    [{}, {"low": 1.0}, {"low": 2.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True},
     {"low": 0.0, "high": 1.0, "choices": [1]}],
)  # fmt: skip
def test_an_axis_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError):
        Axis(**wrong)


def test_a_method_without_a_space_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"search/nothing\.yaml"):
        search_space("nothing", [tmp_path])


def scored(score):
    """A run whose distance to gold is a function of the learning rate alone."""

    def run(cfg):
        found = score(cfg.unlearner.fit.optimizer.lr, cfg.seed)
        assert cfg.evaluator.heldout == "val"
        trial = Trial(name="", fingerprint="", params={}, tags={})
        return TrialResult(trial=trial, outcome="finished", metrics={"gap/avg": found})

    return run


def tune(score, trials=12):
    register_schema()
    tuning = Tuning(
        overrides=["unlearner=finetune"], trials=trials, seeds=[3, 4], folders=[conf_folder()]
    )
    from rich.console import Console

    return tuning.search(scored(score), Console(quiet=True))


def test_the_best_mean_over_seeds_wins_and_the_defaults_are_tried_first():
    recipe = tune(lambda lr, seed: abs(lr - 0.03) + 0.1 * (seed == 4))
    assert recipe.default_score == pytest.approx(0.02 + 0.05)
    assert recipe.score < recipe.default_score
    rate = recipe.settings["unlearner.fit.optimizer.lr"]
    assert recipe.score == pytest.approx(abs(rate - 0.03) + 0.05)
    assert (recipe.trials, recipe.failed) == (12, 0)


def test_the_same_search_finds_the_same():
    first, second = (tune(lambda lr, _: abs(lr - 0.03)) for _ in range(2))
    assert first == second


def test_settings_that_fail_are_counted_and_never_chosen():
    def score(lr, _):
        if lr > 0.01:
            raise DivergedError("too fast")
        return lr

    recipe = tune(score)
    assert recipe.failed > 0
    assert recipe.settings.get("unlearner.fit.optimizer.lr", 0.01) <= 0.01


def test_a_recipe_is_written_with_where_it_comes_from_and_composes(tmp_path):
    recipe = Recipe(
        choices={
            "dataset": "digits",
            "model": "cnn",
            "split": "class",
            "trainer": "one_cycle",
            "unlearner": "scrub",
        },
        overrides=["unlearner=scrub", "split.share=0.5"],
        settings={"unlearner.msteps": 2, "unlearner.fit.optimizer.lr": 0.003},
        score=0.05,
        default_score=float("inf"),
        trials=7,
        failed=1,
        seeds=[100, 101],
        commit="abc",
    )
    path = recipe.write(tmp_path)
    assert path == tmp_path / "recipe" / "digits" / "cnn" / "class" / "scrub.yaml"
    text = path.read_text()
    for fact in ("0.0500", "defaults: failed", "7 settings tried, 1 failed", "100, 101", "abc"):
        assert fact in text
    from hydra import compose, initialize_config_dir

    register_schema()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        cfg = compose(
            "config",
            [f"recipe={recipe.name}", f"hydra.searchpath=[file://{tmp_path}]"],
            return_hydra_config=True,
        )
    assert cfg.unlearner.msteps == 2
    assert cfg.unlearner.fit.optimizer.lr == 0.003
    assert cfg.dataset.noise == 0.0
    assert cfg.hydra.runtime.choices.model == "cnn"
    assert cfg.hydra.runtime.choices.trainer == "one_cycle"
    assert "# python -m erasure.tune unlearner=scrub split.share=0.5" in text


def test_a_search_without_trials_is_refused():
    with pytest.raises(ConfigError, match=r"--trials must be >= 1, got 0"):
        tune(lambda lr, _: lr, trials=0)


@pytest.mark.parametrize("wrong", ["--trials=0", "--seeds=1,x"])
def test_wrong_options_are_one_message(wrong, capsys, monkeypatch):
    from erasure.tune import main

    monkeypatch.setenv("COLUMNS", "200")
    assert main([wrong, "unlearner=finetune"]) == 1
    found = capsys.readouterr().err
    assert wrong.partition("=")[0] in found
    assert "Traceback" not in found
