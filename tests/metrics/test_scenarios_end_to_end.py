"""Whole trials, in which each metric of a scenario has to say what it is there to say."""

import io
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from trials import assemble

from erasure.config.build import build
from erasure.evaluation.evaluator import Evaluator
from erasure.training.model_store import ModelStore
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
        parts = parts.replace(evaluator=Evaluator(metrics=built))
        evaluation = run_trial(parts, store, Progress(Console(file=io.StringIO()))).evaluation
        assert evaluation.errors == ()
        return evaluation.flat(), evaluation.results["unlearned"]

    return carry_out


@pytest.mark.slow
def test_swapped_labels_confuse_the_original_and_not_gold(measured):
    values, _ = measured(
        ["interclass_confusion", "entanglement"],
        "split=confusion",
        "split.classes=[0,1]",
        "split.fraction=0.8",
        "unlearner=finetune",
    )
    error = "interclass_confusion/test/ic_err"
    assert values[f"original/{error}"] > 0.7
    assert values[f"gold/{error}"] < 0.4 * values[f"original/{error}"]
    assert values[f"gold/{error}"] <= values[error] < values[f"original/{error}"]
    assert values["original/interclass_confusion/test/fgt_err"] > 40
    assert values["gold/interclass_confusion/test/fgt_err"] < 5
    assert values["entanglement/score"] > 0


@pytest.mark.slow
def test_a_trigger_works_on_the_original_and_not_on_gold(measured):
    values, unlearned = measured(
        ["backdoor_verify", "epistemic_efficacy"],
        "split=poison",
        "split.target=7",
        "unlearner=retrain",
    )
    assert values["original/backdoor_verify/asr"] > 0.9
    assert values["gold/backdoor_verify/asr"] < 0.3
    assert values["original/backdoor_verify/p_value"] < 1e-3
    assert values["gold/backdoor_verify/p_value"] > 1e-3
    assert values["original/backdoor_verify/clean_accuracy"] > 0.9
    assert not unlearned["backdoor_verify/p_value"].extras["refuted"]
    # Poison that was never seen is hard to predict, poison that was learned is not.
    assert values["epistemic_efficacy/trace"] > 10 * values["original/epistemic_efficacy/trace"]


@pytest.mark.slow
def test_canaries_show_what_the_original_remembers_and_retraining_does_not(measured):
    values, unlearned = measured(
        ["one_run_audit"],
        "split=canary",
        "trainer.fit.epochs=30",
        "unlearner=retrain",
    )
    assert values["original/one_run_audit/auc"] > 0.7
    assert values["original/one_run_audit/epsilon"] > 0.5
    assert values["gold/one_run_audit/epsilon"] == values["one_run_audit/epsilon"] == 0.0
    assert values["one_run_audit/auc"] == 0.5  # the weights of the retrained model
    sizes = unlearned["one_run_audit/epsilon"].extras
    assert sizes["canaries_in"] + sizes["canaries_out"] == unlearned["one_run_audit/epsilon"].n


def test_retraining_without_a_class_leaves_nothing_of_it(measured):
    values, unlearned = measured(
        ["relearn", "ain", "inversion", "certificate", "weight_diff_leak", "two_model_mia"],
        "split=class",
        "unlearner=retrain",
    )
    assert values["original/relearn/steps"] == 0.0
    assert values["relearn/steps"] == values["gold/relearn/steps"] > 5
    assert values["original/ain/value"] == 0.0
    assert values["ain/value"] == 1.0
    assert values["original/inversion/similarity"] > values["gold/inversion/similarity"] + 0.2
    assert values["original/inversion/distance"] < values["gold/inversion/distance"] / 2
    assert values["certificate/exact"] == 1.0
    assert values["cost/flop_ratio"] == 1.0
    assert values["cost/unlearn_gflops"] > 0
    assert values["weight_diff_leak/label_correlation"] > 0.5
    assert unlearned["certificate/empirical_epsilon"].reason == "missing_references"
    assert unlearned["cost/energy_joules"].reason == "missing_cost:energy_joules"


@pytest.mark.slow
def test_a_certified_removal_says_what_it_proves(measured):
    values, unlearned = measured(
        ["certificate"], "model=logistic", "unlearner=certified_linear", "unlearner.sigma=100"
    )
    assert 0 < values["certificate/epsilon"] <= 1.0
    assert values["certificate/delta"] == 1e-4
    assert values["certificate/exact"] == 0.0
    assert unlearned["certificate/epsilon"].extras["scope"] == "model"


@pytest.mark.slow
def test_fine_tuning_costs_what_it_reads(measured):
    values, _ = measured([], "unlearner=finetune", "unlearner.fit.epochs=3")
    assert values["cost/retain_passes"] == 3.0
    assert values["cost/flop_ratio"] == pytest.approx(3 / 6)
    assert values["cost/cpu_seconds"] > 0
