"""The YAML files of the groups metric and evaluator."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import meanings

CONF = Path(__file__).parents[2] / "conf"


def composed(override):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[override])


def built(override, group):
    return instantiate(composed(override)[group], _convert_="all")


STEMS = sorted(path.stem for path in (CONF / "metric").glob("*.yaml"))


@pytest.fixture(scope="module")
def together():
    """All metrics in one composition, each below a key of its name."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[f"+metric@{stem}={stem}" for stem in STEMS])


@pytest.mark.parametrize("stem", STEMS)
def test_every_metric_composes_and_describes_its_values(together, stem):
    metric = instantiate(together[stem], _convert_="all")
    assert type(metric).__module__.rpartition(".")[2] == stem
    for name, meaning in meanings(metric, "test").items():
        assert "/" in name
        assert meaning.description.endswith(".")
        assert meaning.low < meaning.high


@pytest.mark.parametrize(
    ("stem", "heldout", "most"), [("standard", "test", None), ("fast", "val", 10_000)]
)
def test_evaluators_measure_what_scripts_rely_on(random_ctx, stem, heldout, most):
    evaluator = built(f"+evaluator={stem}", "evaluator")
    assert isinstance(evaluator, Evaluator)
    assert (evaluator.heldout, evaluator.max_retain, evaluator.needs_gold) == (heldout, most, True)
    ctx = random_ctx(heldout=heldout, costs={"unlearn_seconds": 1.0, "retrain_seconds": 2.0})
    evaluation = evaluator(ctx)
    assert evaluation.errors == ()
    assert set(evaluation.flat()) >= {
        "forget/accuracy",
        "retain/accuracy",
        f"{heldout}/accuracy",
        "mia/loss/auc",
        "gap/avg",
        "gap/mia/loss/auc",
        "forget/js_to_gold",
        "cost/unlearn_seconds",
        "original/mia/loss/auc",
        "gold/mia/loss/auc",
    }


def test_fast_never_touches_the_test_set(random_ctx):
    ctx = random_ctx(heldout="val")
    evaluation = built("+evaluator=fast", "evaluator")(ctx)
    assert not any("test" in name for name in evaluation.to_json())
    assert all(part != "test" for part, _ in ctx._cache)
    assert all(model.calls == 3 for model in ctx.models.values())


def test_a_metric_can_be_set_and_left_out_from_the_command_line():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            overrides=[
                "+evaluator=standard",
                "evaluator.metrics.loss_mia.min_n=20",
                "~evaluator.metrics.guard",
            ]
        )
    evaluator = instantiate(cfg.evaluator, _convert_="all")
    assert evaluator.metrics["loss_mia"].min_n == 20
    assert "guard" not in evaluator.metrics
