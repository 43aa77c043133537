"""Whole trials of a small residual network, and of data that are read while it trains."""

from pathlib import Path

import pytest
from tabular_trial import run_trial

SMALL = (
    *("dataset=digits", "dataset.crop=1", "model=resnet20", "model.depth=8", "model.width=2"),
    *("trainer.fit.epochs=1", "trainer.fit.batch_size=256"),
)
SCRUB = ("unlearner.fit.epochs=1", "unlearner.fit.batch_size=256")
TIMED = ("seconds", "speedup", "share_of_retraining", "peak_memory", "log_time")
"""What no two runs agree in."""


def test_streamed_data_give_the_numbers_of_resident_data(compose_config, tmp_path):
    """The weights of both trained models are equal byte for byte, their names in the store too."""
    by_limit = {}
    for limit in ("4.0", "0"):
        settings = (*SMALL, *SCRUB, f"data.resident_limit={limit}")
        metrics = run_trial(compose_config, tmp_path / limit, "scrub", *settings)
        measured = {k: v for k, v in metrics.items() if not any(word in k for word in TIMED)}
        by_limit[limit] = (measured, stored(tmp_path / limit))
    assert len(by_limit["0"][0]) > 20
    assert len(by_limit["0"][1]) == 2
    assert by_limit["4.0"] == by_limit["0"]


@pytest.mark.slow
def test_a_method_of_weights_takes_streamed_data_too(compose_config, tmp_path):
    metrics = run_trial(compose_config, tmp_path, "ssd", *SMALL, "data.resident_limit=0")
    assert metrics["cost/optimizer_steps"] == 0.0


def stored(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("weights.safetensors")
    }


@pytest.mark.slow
def test_images_that_are_too_small_are_refused_by_name(compose_config, tmp_path):
    from erasure.core.errors import UnsupportedError
    from erasure.trial.task import run

    for model, smallest in (("lenet", 12), ("vgg11_bn", 32)):
        cfg = compose_config(
            "dataset=digits", f"model={model}", "tracking=none", f"store.root={tmp_path}"
        )
        with pytest.raises(
            UnsupportedError, match=rf"^model {model} needs .* {smallest} x {smallest}"
        ):
            run(cfg)
