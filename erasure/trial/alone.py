"""A trial carried out from Python: nothing is shown, and what came of it can be looked at."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.task import silent
from erasure.results.record import TrialResult
from erasure.training.tensor_cache import TensorCache
from erasure.trial.artifacts import write_model
from erasure.trial.checks import check
from erasure.trial.models import TrialModels
from erasure.trial.outcome import FinishedRun
from erasure.trial.progress import Monitor, quiet_progress
from erasure.trial.recorded import TrialStores, run_recorded
from erasure.trial.task import use_threads
from erasure.trial.trial import Trial
from erasure.trial.unlearning import unlearn


def run_alone(
    trial: Trial, monitor: Monitor | None = None, *, keep_model: bool = True
) -> FinishedRun:
    """Carry out a trial, or read it back; see :meth:`Trial.run`.

    Args:
        trial: The trial.
        monitor: Hears of the method while it runs, and may end it.
        keep_model: Whether the unlearned weights are kept with the result.
    """
    threads = torch.get_num_threads()
    try:
        use_threads(trial)
        stores = TrialStores.of(trial, Console(quiet=True), keep_model=keep_model)
        check(trial)
        stores.check()
        return _finished_run(trial, stores, run_recorded(trial, stores, monitor))
    finally:
        torch.set_num_threads(threads)


def read_finished(trial: Trial, result: TrialResult) -> FinishedRun:
    """Return a result that is there already, with the models of its trial."""
    return _finished_run(trial, TrialStores.of(trial, Console(quiet=True)), result)


def _finished_run(trial: Trial, stores: TrialStores, result: TrialResult) -> FinishedRun:
    """Return what came of a trial with its models, which are loaded when they are asked for."""
    folder = stores.results.artifacts(trial.fingerprint)
    return FinishedRun(
        result=result, folder=folder, load=partial(_model, trial, stores, result, folder)
    )


def _model(
    trial: Trial, stores: TrialStores, result: TrialResult, folder: Path, role: str
) -> nn.Module:
    """Return a model of the trial; what was not kept of an unlearned one is made again."""
    if role == "unlearned":
        path = folder / "model.safetensors"
        if not path.is_file():
            write_model(folder, _unlearned_again(trial, stores))
        return _with_weights(trial, load_file(path))
    key = result.trial.tags.get(f"store.{role}")
    if key is None:
        raise ConfigError(f"role must be a model that this trial had, it had no {role}")
    return _with_weights(trial, stores.store.state(key))


def _unlearned_again(trial: Trial, stores: TrialStores) -> nn.Module:
    """Run the method once more, from the same original and with the same seed."""
    models = TrialModels(trial=trial, store=stores.store, progress=quiet_progress())
    original = models.trained("original", trial.data.train)
    cache = TensorCache(stores.store.root)
    return unlearn(trial, original, partial(models.get, "requested"), cache, silent)[0]


def _with_weights(trial: Trial, state: Mapping[str, Tensor]) -> nn.Module:
    model = trial.fresh()
    model.load_state_dict(dict(state))
    return model
