"""``erasure.compose`` composes what the command line does, and leaves nothing behind."""

import doctest
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
from hydra import compose, initialize_config_dir, version
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import erasure
from erasure.config.folders import conf_folder
from erasure.core.errors import ConfigError
from erasure.trial.task import trial_of

QUICK = ("tracking=none", "evaluator=fast")


def globals_of_hydra():
    return GlobalHydra.instance().hydra, HydraConfig.instance().cfg, version.getbase()


@pytest.mark.slow
def test_it_is_what_hydra_composes(compose_config):
    overrides = (*QUICK, "unlearner=ssd", "trainer.fit.epochs=3")
    trial = erasure.compose(*overrides)
    other = trial_of(compose_config(*overrides, hydra=True))
    assert trial.settings == other.settings
    assert trial.record == other.record
    assert trial.record.tags["unlearner"] == "ssd"


@pytest.mark.parametrize("overrides", [(), ("unlearner.nothing=1",), ("unlearner=nothing",)])
def test_nothing_is_left_behind(overrides):
    before = globals_of_hydra()
    if overrides:
        with pytest.raises(ConfigError):
            erasure.compose(*QUICK, *overrides)
    else:
        erasure.compose(*QUICK)
    assert globals_of_hydra() == before


@pytest.mark.slow
def test_a_program_of_hydra_may_ask_for_trials():
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        before = globals_of_hydra()
        first = erasure.compose(*QUICK)
        with pytest.raises(ConfigError, match=r"unlearner\.nothing is not a setting"):
            erasure.compose(*QUICK, "unlearner.nothing=1")
        assert globals_of_hydra() == before
        assert before[0] is not None
        assert compose("config", list(QUICK)).seed == 0
    assert erasure.compose(*QUICK) == first


@pytest.mark.slow
def test_threads_may_compose_at_once():
    with ThreadPoolExecutor(4) as threads:
        trials = list(threads.map(lambda seed: erasure.compose(*QUICK, f"seed={seed}"), range(4)))
    assert [trial.seeds.train for trial in trials] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("unlearner=scrap", "unlearner=scrap does not exist; did you mean scrub?"),
        ("sede=1", "sede is not a setting; did you mean seed?"),
        ("seed=abc", "seed: Value 'abc'"),
    ],
)
def test_errors_are_those_of_the_command_line(override, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        erasure.compose(*QUICK, override)


def test_the_package_alone_imports_neither_torch_nor_hydra(python):
    code = (
        "import sys, erasure; assert 'compose' in dir(erasure) and 'Trial' in dir(erasure);"
        "heavy = {'torch', 'hydra', 'omegaconf', 'numpy', 'pandas', 'mlflow', 'sklearn'};"
        "print(sorted(heavy & set(sys.modules)), len([m for m in sys.modules if '.' in m]) < 200)"
    )
    assert python("-c", code).stdout.split("\n")[0] == "[] True"
    assert "torch" in sys.modules  # here, where trials run


def test_the_examples_are_true():
    result = doctest.testmod(import_module("erasure.api.compose"))
    assert (result.failed, result.attempted) == (0, 4)


def test_overrides_are_text():
    with pytest.raises(ConfigError, match=r"^overrides must be text such as 'seed=1', got \["):
        erasure.compose(["unlearner=scrub"])
