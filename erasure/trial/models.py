"""Trained models for a trial: out of the store, or trained once and put there."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from erasure.core.protocols import ComposingTrainer, Trainer
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.training.model_store import ModelRequest, ModelStore, Trained, Training
from erasure.training.tensor_cache import TensorCache
from erasure.trial.progress import Progress
from erasure.trial.steps import counted_steps
from erasure.trial.trial import Trial


def obtain_trained(
    parts: Trial, store: ModelStore, view: View, watch: Progress, role: str
) -> tuple[nn.Module, Trained]:
    """Return the model trained on ``view`` by the recipe of ``parts``.

    Args:
        parts: The trial.
        store: Where the model is, or will be.
        view: The training samples.
        watch: Shows the training as a stage named ``role``.
        role: ``original``, ``gold``, or what else the model is for.
    """

    def train() -> Training:
        curve: list[float] = []
        seed = parts.seeds.train

        def noted(step: int, of: int, **values: float) -> None:
            curve.append(values["loss"])
            report(step, of, **values)

        with isolated(seed, "train", "layers"), counted_steps() as steps:
            model = _trainer(parts, store)(parts.fresh(), view, stream(seed, "train"), noted)
        return Training(model=model, curve=curve, steps=steps.count)

    with watch.stage(role, f"{role} model, {len(view)} samples") as report:
        trained = store.get(ModelRequest.of(parts.recipe, view, parts.seeds.train), train)
        model = parts.fresh()
        model.load_state_dict(dict(trained.state))
    watch.curves[f"{role}/loss"] = list(enumerate(trained.curve, start=1))
    return model, trained


def _trainer(parts: Trial, store: ModelStore) -> Trainer:
    """Return the trainer of ``parts``, resuming from stages of earlier models if it can."""

    def kept(
        name: str, view: View, compute: Callable[[], Mapping[str, Tensor]], **settings: Any
    ) -> Mapping[str, Tensor]:
        recipe = {**parts.recipe, "stage": {"name": name, **settings}}
        key = ModelRequest.of(recipe, view, parts.seeds.train).key
        return TensorCache(store.root).get(key, parts.device, compute)[0]

    if isinstance(parts.trainer, ComposingTrainer):
        return parts.trainer.resuming(kept)
    return parts.trainer
