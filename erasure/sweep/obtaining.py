"""Trained models for a trial: out of the store, or trained once and put there."""

from torch import nn

from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.sweep.parts import Parts
from erasure.sweep.steps import counted_steps
from erasure.sweep.watch import Watch
from erasure.training.store import ModelStore, Request, Trained, Training


def obtain_trained(
    parts: Parts, store: ModelStore, view: View, watch: Watch, role: str
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
            model = parts.trainer(parts.fresh(), view, stream(seed, "train"), noted)
        return Training(model=model, curve=curve, steps=steps.count)

    with watch.stage(role, f"{role} model, {len(view)} samples") as report:
        trained = store.get(Request.of(parts.recipe, view, parts.seeds.train), train)
        model = parts.fresh()
        model.load_state_dict(dict(trained.state))
    watch.curves[f"{role}/loss"] = list(enumerate(trained.curve, start=1))
    return model, trained
