"""Compositions that are shared are those that Hydra would have made, one by one."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf

from erasure.config.compose import Compositions, add_overrides, hydra_sees
from erasure.config.schema import register_schema

CONF = Path(__file__).parents[2] / "conf"

SMALL = {
    "config.yaml": """
defaults: [_self_, {unlearner: scrub}, {dataset: digits}, {recipe: null}]
seed: 0
seeds: {split: "${seed}", train: "${seed}", unlearn: "${seed}", evaluate: "${seed}"}
data: {root: data}
store: {root: store}
objective: {metrics: {gap/avg: minimize}}
hydra:
  sweep: {dir: "multirun/${now:%H-%M-%S-%f}"}
""",
    "unlearner/scrub.yaml": "alpha: 1.0\nsizes: [1, 2]\n",
    "unlearner/ssd.yaml": "alpha: 2.0\nsizes: []\n",
    "recipe/digits/scrub.yaml": "# @package _global_\nunlearner: {alpha: 9.0}\n",
    "dataset/digits.yaml": "noise: 0.0\n",
    "dataset/wine.yaml": "defaults: [override /unlearner@_global_.unlearner: ssd]\nnoise: 0.1\n",
}


def composing(conf):
    with initialize_config_dir(str(conf), version_base="1.3"):
        master = compose("config", return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
        yield Compositions(loader=loader, master=master)


@pytest.fixture
def compositions(tmp_path):
    for name, text in SMALL.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yield from composing(tmp_path)


@pytest.fixture
def ours():
    register_schema()
    yield from composing(CONF)


def by_hydra(compositions, overrides, number):
    config = compositions.loader.load_sweep_config(compositions.master, overrides)
    OmegaConf.set_struct(config, False)
    config.hydra.job.id, config.hydra.job.num = str(number), number
    config.hydra.sweep.dir = str(compositions.master.hydra.sweep.dir)
    return config


SWEEPS = [
    [["seed=0"], ["seed=1"]],
    [["unlearner=scrub", "unlearner.alpha=0.5"], ["unlearner=scrub", "unlearner.alpha=7"]],
    [["unlearner=ssd", "unlearner.alpha=1"], ["unlearner=scrub", "unlearner.alpha=1"]],
    [["unlearner=scrub", "dataset=digits"], ["unlearner=scrub", "dataset=wine", "seed=1"]],
    [["unlearner.sizes=[3]", "seed=1"], ["unlearner.sizes=[4,5]", "seed=2"]],
    [["recipe=digits/scrub", "seed=1"], ["recipe=digits/scrub", "seed=2"]],
    [["unlearner.alpha=1", "unlearner={alpha:3}"], ["unlearner.alpha=2", "unlearner={alpha:3}"]],
    [["++unlearner.new=1"], ["++unlearner.new='a=b'"], ["+unlearner.new=2"]],
    [["seeds={split:1,train:2,unlearn:3,evaluate:4}", "seeds.train=5"]],
    [["seeds.train=5", "seeds={split:1,train:2,unlearn:3,evaluate:4}"]],
    [["seeds.train=6", "seeds={split:1,train:2,unlearn:3,evaluate:4}"]],
    [["~objective", "seed=1"], ["~objective", "seed=2"]],
    [["store.root=${data.root}"], ["store.root='x${data.root}'"], ["store.root=''"]],
    [["dataset=wine", "hydra.job.name=a"], ["dataset=wine", "hydra.job.name=b"]],
]


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: " ".join(sweep[-1]))
@pytest.mark.slow
def test_a_shared_composition_is_the_one_of_its_own(compositions, sweep):
    for number, overrides in enumerate(sweep):
        composed, expected = (
            compositions.compose(overrides, number),
            by_hydra(compositions, overrides, number),
        )
        assert OmegaConf.to_container(composed) == OmegaConf.to_container(expected)
        with hydra_sees(composed):
            resolved = OmegaConf.to_container(OmegaConf.masked_copy(composed, ["seeds", "store"]))
            assert HydraConfig.get().job.num == number
        assert resolved["seeds"] == OmegaConf.to_container(expected.seeds)
        assert OmegaConf.is_struct(composed)


def test_values_are_set_without_composing_again(compositions, monkeypatch):
    for seed in range(3):
        assert compositions.compose(["unlearner=scrub", f"seed={seed}"], seed).seeds.train == seed
        monkeypatch.setattr(type(compositions.loader), "load_sweep_config", None)


def test_the_first_copy_can_be_changed_without_harm(compositions):
    compositions.compose(["seed=1"], 0).unlearner = None
    assert compositions.compose(["seed=2"], 1).unlearner is not None


def test_a_wrong_key_or_value_is_the_error_of_hydra(ours):
    ours.compose(["evaluator=fast", "seed=1"], 0)
    with pytest.raises(HydraException, match="Could not override 'sed'"):
        ours.compose(["evaluator=fast", "sed=1"], 0)
    with pytest.raises(HydraException, match="Error merging override seed=x"):
        ours.compose(["evaluator=fast", "seed=x"], 0)


def test_what_is_added_later_is_in_the_name_of_the_folder(compositions):
    config = compositions.compose(["unlearner=scrub", "seed=3"], 0)
    add_overrides(config, ["++unlearner.alpha=0.5"])
    same = by_hydra(compositions, ["unlearner=scrub", "seed=3", "++unlearner.alpha=0.5"], 0)
    assert config.hydra.job.override_dirname == same.hydra.job.override_dirname
    assert config.hydra.overrides.task == same.hydra.overrides.task
