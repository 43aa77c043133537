"""Whole trials, in which each metric of a scenario has to say what it is there to say."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from rich.console import Console

from erasure.config.build import build
from erasure.evaluation.evaluator import Evaluator
from erasure.training.model_store import ModelStore
from erasure.trial.assemble import assemble
from erasure.trial.progress import Progress
from erasure.trial.run import run_trial

CONF = Path(__file__).parents[2] / "conf"
QUICK = ("tracking=none", "pictures=false", "dataset=digits", "trainer.fit.epochs=6")
SHORT = ("max_steps=60", "horizon=20", "repeats=1")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ModelStore(tmp_path_factory.mktemp("scenarios") / "store")


@pytest.fixture
def measured(compose_config, store):
    """Carry out a trial that measures some metrics, and return values and measurements."""

    def carry_out(metrics, *overrides):
        more = [f"+metric@measured.{name}={name}" for name in [*metrics, "cost"]]
        if "relearn" in metrics:
            more += [f"measured.relearn.{setting}" for setting in SHORT]
        cfg = compose_config(*QUICK, *overrides)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            asked = compose(overrides=more).measured
        built = {name: build(node, name) for name, node in asked.items()}
        parts = assemble(cfg, device=torch.device("cpu"))
        parts = replace(parts, evaluator=Evaluator(metrics=built))
        found = run_trial(parts, store, Progress(Console(file=io.StringIO()))).evaluation
        assert found.errors == ()
        return found.flat(), found.results["unlearned"]

    return carry_out


def test_swapped_labels_confuse_the_original_and_not_gold(measured):
    found, _ = measured(
        ["interclass_confusion", "entanglement"],
        "split=confusion",
        "split.classes=[0,1]",
        "split.fraction=0.8",
        "unlearner=finetune",
    )
    error = "interclass_confusion/test/ic_err"
    assert found[f"original/{error}"] > 0.7
    assert found[f"gold/{error}"] < 0.4 * found[f"original/{error}"]
    assert found[f"gold/{error}"] <= found[error] < found[f"original/{error}"]
    assert found["original/interclass_confusion/test/fgt_err"] > 40
    assert found["gold/interclass_confusion/test/fgt_err"] < 5
    assert found["entanglement/score"] > 0


def test_a_trigger_works_on_the_original_and_not_on_gold(measured):
    found, unlearned = measured(
        ["backdoor_verify", "epistemic_efficacy"],
        "split=poison",
        "split.target=7",
        "unlearner=retrain",
    )
    assert found["original/backdoor_verify/asr"] > 0.9
    assert found["gold/backdoor_verify/asr"] < 0.3
    assert found["original/backdoor_verify/p_value"] < 1e-3
    assert found["gold/backdoor_verify/p_value"] > 1e-3
    assert found["original/backdoor_verify/clean_accuracy"] > 0.9
    assert not unlearned["backdoor_verify/p_value"].extras["refuted"]
    # Poison that was never seen is hard to predict, poison that was learned is not.
    assert found["epistemic_efficacy/trace"] > 10 * found["original/epistemic_efficacy/trace"]


def test_retraining_without_a_class_leaves_nothing_of_it(measured):
    found, unlearned = measured(
        ["relearn", "ain", "inversion", "certificate", "weight_diff_leak", "two_model_mia"],
        "split=class",
        "unlearner=retrain",
    )
    assert found["original/relearn/steps"] == 0.0
    assert found["relearn/steps"] == found["gold/relearn/steps"] > 5
    assert found["original/ain/value"] == 0.0
    assert found["ain/value"] == 1.0
    assert found["original/inversion/similarity"] > found["gold/inversion/similarity"] + 0.2
    assert found["original/inversion/distance"] < found["gold/inversion/distance"] / 2
    assert found["certificate/exact"] == 1.0
    assert found["cost/flop_ratio"] == 1.0
    assert found["cost/unlearn_gflops"] > 0
    assert found["weight_diff_leak/label_correlation"] > 0.5
    assert unlearned["certificate/empirical_epsilon"].reason == "missing_pool"
    assert unlearned["cost/energy_joules"].reason == "missing_cost:energy_joules"


def test_a_certified_removal_says_what_it_proves(measured):
    found, unlearned = measured(
        ["certificate"], "model=logistic", "unlearner=certified_linear", "unlearner.sigma=100"
    )
    assert 0 < found["certificate/epsilon"] <= 1.0
    assert found["certificate/delta"] == 1e-4
    assert found["certificate/exact"] == 0.0
    assert unlearned["certificate/epsilon"].extras["scope"] == "model"


def test_fine_tuning_costs_what_it_reads(measured):
    found, _ = measured([], "unlearner=finetune", "unlearner.fit.epochs=3")
    assert found["cost/retain_passes"] == 3.0
    assert found["cost/flop_ratio"] == pytest.approx(3 / 6)
    assert found["cost/cpu_seconds"] > 0
