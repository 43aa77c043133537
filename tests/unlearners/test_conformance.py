"""Every YAML in conf/unlearner keeps to the contract of an unlearner.

A new method is covered as soon as its YAML is there. It needs a line in ``DECLARED`` only to say
what it reads, or that it is a control which changes nothing.
"""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from erasure.config.build import build
from erasure.config.schema import register_schema
from erasure.testing import unlearner_checks
from erasure.testing.toy import TOY_MODELS

CONF = Path(__file__).parents[2] / "conf"
METHODS = sorted(
    path.stem for path in (CONF / "unlearner").glob("*.yaml") if path.stem != "custom"
)

DECLARED = {
    "bad_teacher": {"reads": ("forget", "retain")},
    "certified_linear": {"reads": ("forget", "retain")},
    "cfw": {"reads": ("retain",)},
    "ct": {"reads": ("retain",), "models": ("cnn",)},
    "fcs": {"reads": ("forget", "retain")},
    "finetune": {"reads": ("retain",)},
    "grad_ascent": {"reads": ("forget",)},
    "identity": {"reads": (), "changes_weights": False},
    "kde": {"reads": ("retain", "val")},
    "msg": {"reads": ("forget", "retain")},
    "neggrad_plus": {"reads": ("forget", "retain")},
    "prmq": {"reads": ("retain",)},
    "retrain": {"reads": ("retain",)},
    "rni": {"reads": ("retain",)},
    "scrub": {"reads": ("forget", "retain")},
    "scrub_r": {"reads": ("forget", "retain", "val")},
    "advanced_neggrad": {"reads": ("forget", "retain")},
    "cascade": {"reads": ("forget", "retain")},
    "cf_k": {"reads": ("retain",)},
    "eu_k": {"reads": ("retain",)},
    "l1_sparse": {"reads": ("retain",)},
    "random_labels": {"reads": ("forget", "retain")},
    "salun": {"reads": ("forget", "retain")},
    "sisa": {"reads": ("retain",), "models": ("sharded",)},
    "sham": {"reads": ()},
    "assd": {"reads": ("forget", "retain"), "changes_weights": None},
    "fisher_forgetting": {"reads": ("retain",)},
    "influence_woodfisher": {"reads": ("forget", "retain")},
    "jit": {"reads": ("forget",), "changes_weights": None},
    "lfssd": {"reads": ("forget", "retain"), "changes_weights": None},
    "ssd": {"reads": ("forget", "retain"), "changes_weights": None},
    "unsir_class": {"reads": ("retain",), "whole_class": True},
    "unsir_sample": {"reads": ("forget", "retain")},
    "boundary_shrink": {"reads": ("forget",)},
    "boundary_expand": {"reads": ("forget",)},
    "delete": {"reads": ("forget",)},
    "npo_cls": {"reads": ("forget", "retain")},
    "sfron": {"reads": ("forget", "retain")},
}


def _tier(name, check):
    """With both models a method is checked by the slow tests; by default with the smaller one."""
    models = DECLARED.get(name, {}).get("models", TOY_MODELS)
    return () if check.model == models[0] else pytest.mark.slow


CASES = [
    pytest.param(name, check, id=f"{name}-{check}", marks=_tier(name, check))
    for name in METHODS
    for check in unlearner_checks(**DECLARED.get(name, {}))
]


@pytest.fixture(scope="module")
def method():
    """Build a method as a trial does, with two epochs at most."""
    built = {}

    def get(name):
        if name not in built:
            built[name] = _build(name)
        return built[name]

    return get


@pytest.mark.parametrize(("name", "check"), CASES)
def test_contract(method, name, check):
    check(method(name))


def test_no_method_is_skipped():
    files = {path.name for path in (CONF / "unlearner").iterdir()}
    covered = {case.values[0] for case in CASES}
    assert files == {f"{name}.yaml" for name in covered} | {"custom.yaml"}
    assert covered >= {"identity", "retrain", "finetune", "grad_ascent", "neggrad_plus", "scrub"}
    models = [len(DECLARED.get(name, {}).get("models", TOY_MODELS)) for name in covered]
    assert len(CASES) == 14 * sum(models)


def test_declarations_are_about_methods_that_exist():
    assert set(DECLARED) <= set(METHODS)


def _build(name):
    register_schema()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"unlearner={name}", "~evaluator"]).unlearner
    _shorten(cfg)
    return build(cfg, "unlearner")


def _shorten(cfg):
    """Leave two epochs at most to every loop, however deep it is nested."""
    for key, value in cfg.items():
        if isinstance(value, DictConfig):
            _shorten(value)
        elif key == "epochs":
            cfg.epochs = min(value, 2)
