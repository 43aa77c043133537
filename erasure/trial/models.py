"""Trained models for a trial: out of the store, or trained once and put there; what they cost."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from erasure.core.protocols import ComposingTrainer, Trainer
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.training.model_store import ModelRequest, ModelStore, Trained, Training
from erasure.training.tensor_cache import TensorCache
from erasure.trial.progress import Progress
from erasure.trial.trial import Trial


@dataclass(frozen=True, kw_only=True)
class TrialModels:
    """Gets or trains the models of one trial, and remembers all that it got.

    Args:
        trial: The trial.
        store: Where models are, or will be.
        progress: Shows each training as a stage.
        obtained: What came out of the store, with its role, in the order it was asked for. A
            model that was asked for twice is there twice, the second time as read back.
    """

    trial: Trial
    store: ModelStore
    progress: Progress
    obtained: list[tuple[str, Trained]] = field(default_factory=list)

    def trained(self, role: str, view: View) -> nn.Module:
        """Return the model trained on ``view``."""
        return self.get(role, view)[0]

    def get(self, role: str, view: View) -> tuple[nn.Module, Trained]:
        """Return the model trained on ``view``; see :func:`get_or_train`."""
        model, trained = get_or_train(self.trial, self.store, view, self.progress, role)
        self.obtained.append((role, trained))
        return model, trained

    @property
    def keys(self) -> dict[str, str]:
        """Names in the store by role; of several models of a role, the last."""
        return {role: trained.key for role, trained in self.obtained}

    @property
    def fresh(self) -> int:
        """Number of models that had to be trained."""
        return sum(trained.fresh for _, trained in self.obtained)

    def costs(self) -> dict[str, float]:
        """Return what training original and gold took, whenever that was.

        Gold counts only if the evaluator needs it: a monitor may have asked for it as well.
        """
        by_role = dict(self.obtained)
        costs = {"original_seconds": by_role["original"].seconds}
        if self.trial.evaluator.needs_gold:
            gold = by_role["gold"]
            costs["retrain_seconds"] = gold.seconds
            # the curve has a point per epoch, and an epoch reads every sample once
            costs["retrain_reads"] = float(len(gold.curve) * len(self.trial.data.retain))
            costs["retrain_steps"] = float(gold.steps)
        return costs


def get_or_train(
    trial: Trial, store: ModelStore, view: View, progress: Progress, role: str
) -> tuple[nn.Module, Trained]:
    """Return the model trained on ``view`` by the recipe of ``trial``.

    Args:
        trial: The trial.
        store: Where the model is, or will be.
        view: The training samples.
        progress: Shows the training as a stage named ``role``.
        role: ``original``, ``gold``, or what else the model is for.
    """

    def train() -> Training:
        curve: list[float] = []
        seed = trial.seeds.train

        def report_loss(step: int, of: int, **values: float) -> None:
            curve.append(values["loss"])
            report(step, of, **values)

        with isolated(seed, "train", "layers"), counted_steps() as steps:
            trainer = _trainer(trial, store)
            model = trainer(trial.fresh(), view, stream(seed, "train"), report_loss)
        return Training(model=model, curve=curve, steps=steps.count)

    with progress.stage(role, f"{role} model, {len(view)} samples") as report:
        trained = store.get(ModelRequest.of(trial.recipe, view, trial.seeds.train), train)
        # Always the stored weights, even right after training: a resumed trial sees the same bits
        model = trial.fresh()
        model.load_state_dict(dict(trained.state))
    # in place of what was reported: a model from the store has the curve of its training, too
    progress.curves[f"{role}/loss"] = list(enumerate(trained.curve, start=1))
    return model, trained


def _trainer(trial: Trial, store: ModelStore) -> Trainer:
    """Return the trainer of ``trial``, resuming from stages of earlier models if it can."""

    def cached_stage(
        name: str, view: View, compute: Callable[[], Mapping[str, Tensor]], **settings: Any
    ) -> Mapping[str, Tensor]:
        recipe = {**trial.recipe, "stage": {"name": name, **settings}}
        key = ModelRequest.of(recipe, view, trial.seeds.train).key
        return TensorCache(store.root).get(key, trial.device, compute)[0]

    if isinstance(trial.trainer, ComposingTrainer):
        return trial.trainer.resuming(cached_stage)
    return trial.trainer


@dataclass
class Steps:
    """A number of optimizer steps, still counting."""

    count: int = 0


@contextmanager
def counted_steps() -> Iterator[Steps]:
    """Count the steps of every optimizer in a block, whoever takes them.

    Blocks nest: the steps of an inner block count in the outer one as well.
    """
    steps = Steps()

    def count(_: Optimizer, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        del args, kwargs  # the hook's signature has them
        steps.count += 1

    # torch's global hook, because methods make optimizers of their own that we never see
    hook = register_optimizer_step_post_hook(count)
    try:
        yield steps
    finally:
        hook.remove()
