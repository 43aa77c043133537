"""What a monitor takes for itself while a method runs is no time of the method."""

import pytest
import torch
from rich.console import Console
from trials import assemble

from erasure.core.splits import View
from erasure.core.task import silent
from erasure.training.model_store import ModelStore
from erasure.training.tensor_cache import TensorCache
from erasure.trial.models import TrialModels
from erasure.trial.progress import Progress
from erasure.trial.run import run_trial
from erasure.trial.unlearning import unlearn
from erasure.tuning import pruning
from erasure.tuning.pruning import PruningCallback

HOURS = 3.6e6
"""Far more than any test takes, so that no clock decides."""


class Slow(PruningCallback):
    """Says that each look at the model took hours, without taking them."""

    def watching(self, model, report):
        def watched(step, of, **values):
            report(step, of, **values)
            self.seconds += HOURS

        return watched


@pytest.fixture
def trial(compose_config):
    quick = ("dataset=digits", "model.hidden=[8]", "trainer.fit.epochs=1", "evaluator=fast")
    return assemble(compose_config(*quick, "unlearner=finetune", "unlearner.fit.epochs=3"))


def slow():
    return Slow(trial=None, maximize=False, seed_index=0, cap=None)


def test_the_time_of_a_monitor_is_taken_out_of_that_of_the_method(trial, tmp_path):
    models = TrialModels(
        trial=trial, store=ModelStore(tmp_path), progress=Progress(Console(quiet=True))
    )
    original, _ = models.get("original", View(trial.data.pool, trial.data.indices.train))
    monitor = slow()
    _, costs = unlearn(trial, original, None, TensorCache(tmp_path), silent, monitor)
    assert monitor.seconds == 3 * HOURS  # one look after each epoch
    assert round(costs["unlearn_seconds"] / HOURS) == -3
    _, alone = unlearn(trial, original, None, TensorCache(tmp_path), silent)
    assert alone["unlearn_seconds"] > 0
    assert costs.keys() == alone.keys()


def test_a_trial_hands_its_monitor_to_the_method(trial, tmp_path):
    monitor = slow()
    output = run_trial(trial, ModelStore(tmp_path), Progress(Console(quiet=True)), monitor)
    assert round(output.ctx.costs["unlearn_seconds"] / HOURS) == -3
    # Gold was trained once, for the monitor, and read back for the evaluator
    assert output.trained == 2
    assert output.keys.keys() == {"original", "gold"}


def test_a_pruning_callback_counts_the_time_of_its_looks_and_no_other(trial, monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(pruning.time, "perf_counter", lambda: float(next(ticks)))
    callback = PruningCallback(trial=None, maximize=False, seed_index=0, cap=None)
    report = callback.watching(torch.nn.Identity(), silent)
    for step in (1, 2, 3):
        report(step, 3)
        next(ticks)  # time of the method
    assert callback.seconds == 3.0
