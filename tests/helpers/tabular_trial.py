"""A whole trial on a small table, quick enough for the default tests."""

import json
import math

QUICK = (
    "tracking=none",
    "pictures=false",
    "resume=false",
    "device=cpu",
    "evaluator=fast",
    "trainer.fit.epochs=2",
    "unlearner={method}",
)
SHORT = {"scrub": ["unlearner.fit.epochs=2"], "ssd": []}


def run_trial(compose_config, folder, method, *settings):
    """Run one trial whose data lie below ``folder`` and return what was measured."""
    from erasure.trial.task import run

    quick = [setting.format(method=method) for setting in QUICK]
    places = [f"store.root={folder}/store", f"data.root={folder}"]
    run(compose_config(*quick, *SHORT[method], *places, *settings))
    (result,) = (folder / "store" / "trials").glob("*/result.json")
    metrics = json.loads(result.read_text())["metrics"]
    for who in ("", "original/", "gold/"):
        for part in ("forget", "retain", "val"):
            assert 0.0 <= metrics[f"{who}{part}/accuracy"] <= 1.0
            assert 0.0 < metrics[f"{who}{part}/loss"] < math.inf
    assert metrics["guard/relative_weight_change"] > 0.0
    return metrics
