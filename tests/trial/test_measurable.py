"""What no model would be measured by is known before any model is trained."""

import pytest
from trials import assemble

from erasure.config.build import build
from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import meanings
from erasure.sweeps.models_to_train import require_measurable
from erasure.sweeps.plan import composed_run
from erasure.trial.measurable import too_few_samples
from erasure.trial.objective import Objective

COUNTS = "forget has 36 samples, and val 4 to compare them with (those of the classes in forget)"
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("standard", "full")]
FEW = ("dataset=iris", "model=mlp", "split=class", "evaluator=fast", "seed=100")


@pytest.fixture
def few(compose_config):
    return assemble(compose_config(*FEW))


def test_the_metrics_own_reason_names_the_counts(few):
    wanted = Objective(metrics={"gap/avg": "minimize"}, constraints={"mia/loss/auc": 0.6})
    assert too_few_samples(few.replace(objective=wanted)) == {
        "gap/avg": f"mia/loss/auc:too_few: {COUNTS}; 10 of each are needed",
        "mia/loss/auc": f"too_few: {COUNTS}; 10 of each are needed",
    }


def test_what_the_counts_allow_is_not_refused(few, compose_config):
    measurable = few.replace(objective=Objective(metrics={"gap/val/accuracy": "minimize"}))
    assert too_few_samples(measurable) == {}
    enough = assemble(compose_config(*FEW, "split=random"))
    assert too_few_samples(enough) == {}


def names_of(evaluator):
    every = (meanings(metric, evaluator.heldout) for metric in evaluator.metrics.values())
    return [name for names in every for name in names]


@pytest.mark.parametrize("split", ["class", "random"])
@pytest.mark.parametrize(
    "kind",
    ["fast", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("standard", "full"))],
)
def test_nothing_is_refused_that_a_model_has_a_value_for(compose_config, kind, split):
    whole = compose_config(f"evaluator={kind}", "evaluator.heldout=val")
    evaluator: Evaluator = build(whole.evaluator, "evaluator")
    every = Objective(metrics=dict.fromkeys(names_of(evaluator), "minimize"))
    trial = assemble(compose_config(*FEW, f"split={split}"))
    trial = trial.replace(evaluator=evaluator, objective=every)
    refused = too_few_samples(trial)
    evaluation = evaluator(
        EvalContext(
            models={who: trial.fresh(who) for who in ("original", "unlearned", "gold")},
            splits=trial.data.parts,
            task_type=trial.data.pool.task_type,
            num_classes=trial.data.pool.num_classes,
            heldout="val",
            seed=0,
            fresh=trial.fresh,
        )
    )
    counts = {name: value.counts for name, value in evaluation.results["unlearned"].items()}
    assert refused.keys() <= {name for name, count in counts.items() if count}
    assert ("gap/avg" in refused) == (split == "class")


def test_a_study_is_refused_before_its_first_trial_and_says_what_to_set(compose_config):
    configs = [compose_config(*FEW[:-1], f"seed={seed}", hydra=True) for seed in (100, 101)]
    with pytest.raises(ConfigError) as error:
        require_measurable([composed_run(config, 0, ()) for config in configs])
    message = str(error.value)
    assert message.startswith("objective.metrics[gap/avg] cannot be measured with seed=100: ")
    assert COUNTS in message
    assert "a smaller min_n of the metric, or an objective without it" in message
    enough = compose_config(*FEW, "split=random", hydra=True)
    require_measurable([composed_run(enough, 0, ())])
