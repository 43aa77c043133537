"""The identity of a trial: what moves it, and what does not."""

import sys

import pytest
from omegaconf import OmegaConf

from erasure.config.settings import settings_of_config as plain_config
from erasure.core import libraries, source
from erasure.core.source import code_of_targets, read_again
from erasure.trial.causes import files, trial_causes, trial_fingerprint
from erasure.trial.describe import describe

CHOICES = {
    "unlearner": "scrub",
    "dataset": "digits_noisy",
    "split": "random",
    "model": "mlp",
    "trainer": "adam",
    "evaluator": "standard",
}


@pytest.fixture
def identity(compose_config):
    def of(*overrides):
        return trial_fingerprint(plain_config(compose_config("evaluator=fast", *overrides)))

    return of


@pytest.mark.parametrize(
    "override",
    [
        "store.root=elsewhere",
        "tracking=none",
        "tracking.uri=http://localhost:5000",
        "tracking.experiment=other",
        "tracking.parent=abc",
        "resume=false",
        "objective=gap_and_time",
        "hydra.run.dir=elsewhere",
        "pictures=false",
    ],
)
def test_places_and_read_outs_do_not_change_the_fingerprint(identity, override):
    assert identity(override) == identity()


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "seeds.split=1",
        "seeds.train=1",
        "seeds.unlearn=1",
        "seeds.evaluate=1",
        "unlearner=retrain",
        "unlearner.alpha=0.6",
        "unlearner.fit.optimizer.lr=0.1",
        "dataset=digits",
        "dataset.crop=1",
        "split.fraction=0.2",
        "split.base.test=0.3",
        "model.hidden=[8]",
        "trainer.fit.epochs=1",
        "evaluator=standard",
        "evaluator.metrics.loss_mia.min_n=11",
        "threads=2",
        "precision=bf16",
        "device=cpu",
    ],
)
def test_what_can_move_a_result_changes_the_fingerprint(identity, override):
    assert identity(override) != identity()


def test_a_fingerprint_depends_on_values_and_not_on_how_they_were_said(identity):
    assert identity("seed=3") == identity("seeds.train=3", "seeds.split=3", "seed=3")
    assert identity("unlearner.alpha=0.5") == identity()
    explicit = ["seeds.split=3", "seeds.train=3", "seeds.unlearn=3", "seeds.evaluate=3"]
    assert identity("seed=3") != identity(*explicit)  # the name of the trial says seed 0


@pytest.mark.slow
def test_the_fingerprint_is_the_same_in_another_process(identity, python):
    code = """
from hydra import compose, initialize_config_dir
from pathlib import Path
from erasure.trial.causes import trial_fingerprint
from erasure.config.settings import settings_of_config as plain_config
from erasure.config.schema import register_schema
register_schema()
with initialize_config_dir(str(Path("conf").absolute()), version_base="1.3"):
    print(trial_fingerprint(plain_config(compose("config", ["evaluator=fast", "seed=4"]))))
"""
    assert python("-c", code, PYTHONHASHSEED="9").stdout.strip() == identity("seed=4")


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A package outside of ours whose method is exported by its ``__init__``."""
    package = tmp_path / "foreign_methods"
    package.mkdir()
    (package / "__init__.py").write_text("from foreign_methods.method import Method\n")
    (package / "method.py").write_text("class Method:\n    share = 0.5\n")
    (package / "other.py").write_text("class Other:\n    share = 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package / "method.py"
    for name in ("foreign_methods", "foreign_methods.method"):
        sys.modules.pop(name, None)
    read_again()
    libraries.folder_of.cache_clear()
    libraries.is_library.cache_clear()
    source._module_of.cache_clear()


@pytest.mark.parametrize("target", ["foreign_methods.method.Method", "foreign_methods.Method"])
def test_editing_a_foreign_method_changes_the_fingerprint(foreign, identity, target):
    def now():
        read_again()
        return identity("unlearner=custom", f"unlearner._target_={target}")

    before = now()
    foreign.write_text("class Method:\n    share = 0.6\n")
    assert identity("unlearner=custom", f"unlearner._target_={target}") == before  # read once
    assert now() != before
    foreign.write_text('"""One more."""\n\nclass Method:\n    share = 0.5  # as it was\n')
    assert now() == before
    (foreign.parent / "other.py").write_text("class Other:\n    share = 0.6\n")
    assert now() == before


def test_a_foreign_method_depends_on_what_it_imports_of_its_own_package_and_of_ours(foreign):
    foreign.write_text(
        "import json\n"
        "from erasure.unlearners import Finetune\n"
        "def Method():\n"
        "    from .other import Other\n"
        "    import scipy.stats\n"
    )
    code = code_of_targets(["foreign_methods.Method"])
    foreign_modules = [name for name in code.modules if name.startswith("foreign")]
    assert foreign_modules == ["foreign_methods.method", "foreign_methods.other"]
    assert {"erasure.unlearners.finetune", "erasure.training.fit"} <= set(code.modules)
    assert set(code.libraries) == {"numpy", "scipy", "torch"}


def test_code_is_seen_wherever_a_target_is_nested(foreign, compose_config):
    plain = plain_config(compose_config("evaluator=fast"))
    plain["unlearner"] = {
        "_target_": "erasure.unlearners.Finetune",
        "steps": {"inner": {"_target_": "foreign_methods.Method"}},
        "fit": {"optimizer": {"_target_": "torch.optim.SGD"}},
        "other": {"_target_": "NoDots"},
    }
    modules = trial_causes(plain)["modules"]
    assert {"erasure.unlearners.finetune", "foreign_methods.method"} <= set(modules)
    assert not any(name.startswith("torch") for name in modules)
    assert all(len(digest) == 32 for digest in modules.values())


def test_what_cannot_be_imported_is_left_to_building(tmp_path, monkeypatch):
    (tmp_path / "foreign_broken.py").write_text("class Method(\n")
    monkeypatch.syspath_prepend(tmp_path)
    for target in ("foreign_broken.Method", "nowhere.Model", "NoDots"):
        assert code_of_targets([target]).modules == {}


def test_a_trial_is_named_for_a_reader(compose_config):
    assert (
        describe(plain_config(compose_config()), CHOICES, {}).name
        == "scrub · digits_noisy · mlp · seed 0"
    )
    cfg = compose_config("split=class", "seed=2")
    name = describe(plain_config(cfg), {**CHOICES, "split": "class"}, {}).name
    assert name == "scrub · digits_noisy · mlp · class · seed 2"


def test_tags_are_choices_and_seeds(compose_config):
    tags = describe(plain_config(compose_config("seed=1", "seeds.unlearn=5")), CHOICES, {}).tags
    assert tags == {
        **CHOICES,
        "seed": "1",
        "seed.split": "1",
        "seed.train": "1",
        "seed.unlearn": "5",
        "seed.evaluate": "1",
    }
    assert describe(plain_config(compose_config()), {}, {}).tags["unlearner"] == "Scrub"


def test_params_are_flat_and_text(compose_config):
    params = describe(plain_config(compose_config()), CHOICES, {}).params
    assert params["unlearner.fit.epochs"] == "10"
    assert params["unlearner.fit.optimizer.lr"] == "0.0005"
    assert params["model.hidden"] == "[256, 128]"
    assert params["seeds.train"] == "0"
    assert params["split.count"] == "None"
    assert params["split.base._target_"] == "erasure.splits.Holdout"
    assert not any(key.startswith("hydra") for key in params)
    assert all(type(value) is str for value in params.values())


def test_the_plain_configuration_is_resolved_and_without_hydra(compose_config):
    plain = plain_config(compose_config("seed=7", hydra=True))
    assert plain["seeds"] == {"split": 7, "train": 7, "unlearn": 7, "evaluate": 7}
    assert "hydra" not in plain
    assert OmegaConf.create(plain) == plain


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("pics/a/0.png", ["dataset=image_folder", "dataset.path=pics"]),
        ("hf/owner/name/train.csv", ["dataset=huggingface", "dataset.path=owner/name"]),
        ("hf-models/owner/bert/config.json", ["dataset.tokenizer=owner/bert"]),
        ("hf-models/owner/bert/model.safetensors", ["model.name=owner/bert"]),
    ],
)
def test_files_below_the_root_of_data_are_causes(compose_config, tmp_path, place, settings):
    texts = ["dataset=synthetic_text", "model=hf", "model.name=none"]
    images = ["dataset.text=[body]", "dataset.target=kind"] if "huggingface" in settings[0] else []
    texts = [*texts, "evaluator=fast"]
    asked = [*(texts if "owner/bert" in settings[0] else []), *settings, *images]

    def identity(root):
        return trial_fingerprint(plain_config(compose_config(*asked, f"data.root={root}")))

    nothing = identity(tmp_path)
    assert identity(tmp_path / "elsewhere") == nothing
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text("first")
    there = identity(tmp_path)
    assert identity(tmp_path) == there != nothing
    assert identity(tmp_path / "elsewhere") == nothing
    file.write_text("second")
    assert identity(tmp_path) not in (there, nothing)


def test_files_of_equal_names_in_two_folders_are_both_causes(compose_config, tmp_path):
    for kind in "ab":
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "0.png").write_text("first")
    plain = plain_config(compose_config("dataset=image_folder", f"dataset.path={tmp_path}"))
    before = trial_fingerprint(plain)
    (tmp_path / "a" / "0.png").write_text("another")
    assert trial_fingerprint(plain) != before


def test_a_model_that_starts_from_a_local_encoder_is_known_by_its_files(compose_config, tmp_path):
    asked = ["dataset=synthetic_text", "model=hf", "model.name=mine", f"data.root={tmp_path}"]
    plain = plain_config(compose_config(*asked))
    assert files(plain, ("model",)) == {}
    folder = tmp_path / "hf-models" / "mine"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"12345")
    changed = (folder / "model.safetensors").stat().st_mtime_ns
    assert files(plain, ("model",)) == {"model.name=mine": [["model.safetensors", 5, changed]]}
