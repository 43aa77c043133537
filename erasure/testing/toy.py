"""Small tasks with models that are really trained, for tests that take milliseconds."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from erasure.core.context import EvalContext
from erasure.core.fingerprint import tensor_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, SplitIndices, View
from erasure.core.task import UnlearningTask
from erasure.core.task_types import Multiclass
from erasure.data.pools.tensor import TensorPool
from erasure.data.pools.through import AuditedPool
from erasure.models.cnn import CNN
from erasure.models.mlp import MLP
from erasure.training.fit import Fit
from erasure.training.sharded import Sharded
from erasure.training.trainers import Standard

ToyModel = Literal["mlp", "cnn", "sharded"]
"""``mlp`` is a multilayer perceptron; ``cnn`` a convolutional network with batch normalization;
``sharded`` an ensemble of perceptrons, each trained on a shard, for methods that need one."""

TOY_MODELS: tuple[ToyModel, ...] = ("mlp", "cnn")

SHAPE = (1, 6, 6)
NUM_CLASSES = 4
NUM_TRAIN = 200
NUM_VAL = 40
NUM_TEST = 80
EPOCHS = 40
RATES: Mapping[ToyModel, float] = {"mlp": 0.003, "cnn": 0.01, "sharded": 0.003}
"""Rates of Adam at which all fit the training set, but not so well that gradients vanish."""

SIGNAL = 0.5
"""Size of a class's template relative to the noise: held-out accuracy is high but not perfect."""

COSTS: Mapping[str, float] = {
    "unlearn_seconds": 1.0,
    "original_seconds": 5.0,
    "retrain_seconds": 4.0,
    "peak_memory_bytes": 1e6,
    "optimizer_steps": 10.0,
    "forget_passes": 1.0,
    "retain_passes": 2.0,
    "val_passes": 0.0,
    "relative_weight_change": 0.1,
    "forget_output_change": 0.2,
    "duplicates_forget_retain": 0.0,
    "duplicates_forget_heldout": 0.0,
}
"""What a trial notes about an unlearning run; these numbers are made up."""

SHARDED = Sharded(
    fit=Fit(optimizer=partial(torch.optim.Adam), epochs=EPOCHS, batch_size=64), shards=2, slices=2
)

_trained: dict[tuple[str, str], dict[str, Tensor]] = {}


def toy_pool(forgotten: SplitIndices | None = None) -> TensorPool:
    """Return 320 noisy images ``(1, 6, 6)`` of four classes, 80 each; the same at every call.

    Args:
        forgotten: Make the forget set of this split the last class, as far as training goes.
    """
    generator = stream(0, "toy", "data")
    targets = torch.arange(NUM_TRAIN + NUM_VAL + NUM_TEST) % NUM_CLASSES
    if forgotten is not None:
        # the last class goes over to the first in training, so that only the forget set has it
        targets[forgotten.train] %= NUM_CLASSES - 1
        targets[forgotten.forget] = NUM_CLASSES - 1
    templates = SIGNAL * torch.randn(NUM_CLASSES, *SHAPE, generator=generator)
    noise = torch.randn(len(targets), *SHAPE, generator=generator)
    names = tuple(f"class {number}" for number in range(NUM_CLASSES))
    return TensorPool(inputs=templates[targets] + noise, targets=targets, class_names=names)


def toy_indices(num_forget: int = 23) -> SplitIndices:
    """Split the toy pool into 200 samples for training, 40 to validate and 80 to test.

    Args:
        num_forget: Size of the forget set, in [1, 199]. The training set as a whole does not
            depend on it, nor does the original model.

    Raises:
        ValueError: If ``num_forget`` is out of range.
    """
    if not 1 <= num_forget < NUM_TRAIN:
        raise ValueError(f"num_forget must be in [1, {NUM_TRAIN - 1}], got {num_forget}")
    total = NUM_TRAIN + NUM_VAL + NUM_TEST
    order = torch.randperm(total, generator=stream(0, "toy", "split"))
    sizes = [num_forget, NUM_TRAIN - num_forget, NUM_VAL, NUM_TEST]
    forget, retain, val, test = order.split(sizes)
    return SplitIndices(forget=forget, retain=retain, val=val, test=test)


def toy_task(
    model: ToyModel = "mlp", *, num_forget: int = 23, seed: int = 0, whole_class: bool = False
) -> UnlearningTask:
    """Return a request to forget ``num_forget`` of the 200 samples a small model learned.

    Every task has data and a model of its own. The data are looked at through an
    :class:`.AuditedPool`, ``task.forget.pool``, which counts what is read;
    ``task.train`` trains once per process and view.

    Args:
        model: The network.
        num_forget: Size of the forget set, in [1, 199].
        seed: Seed of ``task.generator`` alone.
        whole_class: Make the samples to forget a class of their own, which the rest of the
            training set does not contain, instead of some of every class.
    """
    indices = toy_indices(num_forget)
    pool = AuditedPool.watch(toy_pool(indices if whole_class else None))
    splits = DataSplits.of(pool, indices)
    original = _train(model, View(pool.pool, splits.train.index))
    return UnlearningTask(
        model=original,
        forget=splits.forget,
        retain=splits.retain,
        val=splits.val,
        task_type=pool.task_type,
        num_classes=pool.num_classes,
        generator=stream(seed, "unlearn"),
        fresh=partial(_fresh, model),
        train=partial(_train_audited, model, pool),
    )


def toy_context(
    model: ToyModel = "mlp", *, heldout: Literal["test", "val"] = "test"
) -> EvalContext:
    """Return a context with an original, a retrained and an unlearned model.

    The unlearned model is halfway between the others, so that it differs from both.
    """
    pool = toy_pool()
    splits = DataSplits.of(pool, toy_indices())
    original, gold = _train(model, splits.train), _train(model, splits.retain)
    unlearned = copy.deepcopy(original)
    with torch.no_grad():
        for weight, other in zip(unlearned.parameters(), gold.parameters(), strict=True):
            weight.lerp_(other, 0.5)
    return EvalContext(
        models={"original": original, "unlearned": unlearned, "gold": gold},
        splits=splits,
        task_type=pool.task_type,
        num_classes=pool.num_classes,
        heldout=heldout,
        seed=0,
        costs=dict(COSTS),
        fresh=partial(_fresh, model),
    )


def _fresh(model: ToyModel, salt: str = "") -> nn.Module:
    if model == "sharded":
        return SHARDED.compose(partial(_fresh, "mlp"), Multiclass())(salt)
    with isolated(0, "toy", model, *([salt] if salt else [])):
        if model == "mlp":
            return MLP(SHAPE, NUM_CLASSES, hidden=(32,))
        return CNN(SHAPE, NUM_CLASSES, channels=(8,), hidden=16)


def _train_audited(model: ToyModel, pool: AuditedPool, view: View) -> nn.Module:
    """Train on ``view`` and count what a training run reads, also when it need not run."""
    pool.reads.index_add_(0, view.index, torch.full_like(view.index, EPOCHS))
    return _train(model, View(pool.pool, view.index, view.labels))


def _train(model: ToyModel, view: View) -> nn.Module:
    # The contents are part of the key: a method that spoils its data must not spoil the cache.
    # in the order of ids, whatever that of the view is: a set of samples is trained on once
    view = view.take(view.index.argsort())
    contents = (view.index, view.targets, view.pool.fetch(view.index))
    key = (model, tensor_fingerprint(*contents))
    trained = _fresh(model)
    if key not in _trained:
        adam = partial(torch.optim.Adam, lr=RATES[model])
        fit = Fit(optimizer=adam, epochs=EPOCHS, batch_size=64)
        trainer = replace(SHARDED, fit=fit) if model == "sharded" else Standard(fit=fit)
        made = trainer(trained, view, stream(0, "toy", "train"))
        _trained[key] = copy.deepcopy(made.state_dict())
    trained.load_state_dict(_trained[key])
    return trained
