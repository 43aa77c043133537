"""Components are built again of the flattened settings that records have."""

import pytest

from erasure.config.flattened import build_flattened
from erasure.core.errors import ConfigError
from erasure.evaluation.evaluator import Evaluator

PARAMS = {
    "seed": "3",
    "evaluator._target_": "erasure.evaluation.Evaluator",
    "evaluator.heldout": "val",
    "evaluator.max_retain": "None",
    "evaluator.needs_gold": "False",
    "evaluator.metrics.svc._target_": "erasure.metrics.MIAEfficacySVC",
    "evaluator.metrics.svc.features": "['confidence', 'entropy']",
    "evaluator.metrics.svc.n_attack": "400",
}


def test_text_becomes_the_values_that_it_was_made_of():
    evaluator = build_flattened(PARAMS, "evaluator")
    assert isinstance(evaluator, Evaluator)
    assert (evaluator.heldout, evaluator.max_retain, evaluator.needs_gold) == ("val", None, False)
    svc = evaluator.metrics["svc"]
    assert (list(svc.features), svc.n_attack) == (["confidence", "entropy"], 400)


def test_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="split must be there with a _target_"):
        build_flattened(PARAMS, "split")
