"""What will be trained, summary before it is: the names of the models are those that come."""

import pytest
from rich.console import Console
from trials import assemble

from erasure.core.errors import ConfigError
from erasure.sweeps.models_to_train import check, missing_models, summarize_models
from erasure.training.model_store import ModelStore
from erasure.trial.progress import Progress
from erasure.trial.run import run_trial
from erasure.trial.task import trial_of

QUICK = (
    "dataset=digits",
    "model.hidden=[12]",
    "trainer.fit.epochs=1",
    "unlearner=finetune",
    "unlearner.fit.epochs=1",
    "evaluator=fast",
    "tracking=none",
)


@pytest.fixture
def quick(compose_config):
    def composed(*settings):
        return compose_config(*QUICK, "device=cpu", *settings)

    return composed


def test_what_is_told_is_what_a_trial_trains(quick, tmp_path):
    config = quick("references.size=2", "references.shadows=2", "references.engine=stacked")
    store, models = ModelStore(tmp_path), check(trial_of(config))
    summary = "8 models to train (1 original, 1 retrained, 6 reference models)"
    assert summarize_models(models, store) == summary
    outcome = run_trial(assemble(config), store, Progress(Console(quiet=True)))
    assert outcome.trained == len(models)
    assert run_trial(assemble(config), store, Progress(Console(quiet=True))).trained == 0
    assert sorted(model.key for model in models) == store.entries()
    assert summarize_models(models, store) == "no model to train"


@pytest.mark.slow
def test_a_model_that_several_trials_share_counts_once_and_a_damaged_one_again(quick, tmp_path):
    store, first = ModelStore(tmp_path), quick()
    run_trial(assemble(first), store, Progress(Console(quiet=True)))
    same, other = quick("unlearner=grad_ascent"), quick("seed=1")
    models = [model for config in (first, same, other) for model in check(trial_of(config))]
    summary = "2 models to train (1 original, 1 retrained; 2 in the store)"
    assert summarize_models(models, store) == summary
    (store.root / models[0].key / "weights.safetensors").write_bytes(b"half")
    assert {model.role for model in missing_models(check(trial_of(first)), store)} == {"original"}


def test_without_gold_there_is_no_retrained_model(quick, tmp_path):
    models = check(trial_of(quick("evaluator.needs_gold=false")))
    assert summarize_models(models, ModelStore(tmp_path)) == "1 model to train (1 original)"
    assert summarize_models([], ModelStore(tmp_path)) == ""


@pytest.mark.slow
def test_models_are_named_for_the_device_that_is_asked_for(quick):
    there, elsewhere = check(trial_of(quick())), check(trial_of(quick("device=cuda:7")))
    assert not {model.key for model in there} & {model.key for model in elsewhere}
    with pytest.raises(ConfigError, match="device must be auto, cpu, cuda, cuda:N or mps"):
        check(trial_of(quick("device=gpu")))
