"""``erasure.unlearn``: a method, a model and data of one's own."""

import copy
from typing import Any, cast

import torch
from torch import nn

from erasure.api.data import views_of
from erasure.api.devices import device_of, on_device
from erasure.api.method import Method, build_method, method_name
from erasure.api.recipe import Build, MissingView, OwnRecipe
from erasure.api.samples import Data
from erasure.api.surroundings import undisturbed
from erasure.config.options import build_option
from erasure.core.errors import ConfigError
from erasure.core.protocols import Trainer
from erasure.core.seeding import isolated, stream
from erasure.core.task import UnlearningTask
from erasure.trial.guards import require_effect, untouched


def unlearn(
    model: nn.Module,
    *,
    forget: Data,
    retain: Data,
    method: Method = "scrub",
    val: Data | None = None,
    fresh: Build | None = None,
    trainer: str | Trainer | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    **settings: Any,
) -> nn.Module:
    """Return a copy of ``model`` that was made to forget; ``model`` itself is left alone.

    Nothing is stored, tracked, written or shown, and no global state is changed. Equal arguments
    give equal weights, on one CPU bit by bit.

    Args:
        model: A network from a batch of inputs to logits ``(B, C)``.
        forget: What it shall forget, a part of what it was trained on.
        retain: The rest of what it was trained on.
        method: Name of a method, with the defaults of its YAML file, as ``unlearner=`` takes on
            the command line, or an object or class.
        val: Samples it was not trained on, for methods that look at some.
        fresh: Builds the network with untrained weights, for methods that need these.
        trainer: How the network is trained, for methods that train one again: name of a trainer,
            as ``trainer=`` takes, or an object. Such methods need ``fresh`` as well.
        seed: Moves every draw.
        device: Where to work, such as ``cuda``; None for where the model is. The model that is
            returned is there, too.
        batch_size: Samples per step in all loops of the method; None for its own.
        **settings: Fields of the method, by name. Of a method that is named by its YAML file,
            those of a part can be set alone: ``fit={"epochs": 3}``.

    Returns:
        The unlearned model; its modules are in train or eval mode as those of ``model`` are.

    Raises:
        ErasureError: With one message. A ``ConfigError``, ``DataError`` or ``UnsupportedError``
            before anything is trained, if something is missing or wrong; a ``DivergedError`` if
            a weight is not finite; a ``NoOpError`` if no weight changed.

    Example:
        >>> import torch, erasure
        >>> model = torch.nn.Linear(4, 3)
        >>> x, y = torch.randn(40, 4), torch.arange(40) % 3
        >>> unlearned = erasure.unlearn(
        ...     model, forget=(x[:10], y[:10]), retain=(x[10:], y[10:]), method="neggrad_plus"
        ... )
        >>> torch.equal(unlearned.weight, model.weight)
        False
    """
    with undisturbed(seed):
        unlearner = build_method(method, settings, batch_size)
        original = on_device(model, device)
        parts = {"forget": forget, "retain": retain, **({} if val is None else {"val": val})}
        views = views_of(parts, original, device_of(original))
        pool = views["forget"].pool
        recipe = OwnRecipe(
            method=method_name(method),
            original=original,
            build=fresh,
            trainer=_trainer(trainer),
            seed=seed,
            task_type=pool.task_type,
        )
        task = UnlearningTask(
            model=_copy(original),
            forget=views["forget"],
            retain=views["retain"],
            val=views["val"] if "val" in views else MissingView(pool, recipe.method),
            task_type=pool.task_type,
            num_classes=pool.num_classes,
            generator=stream(seed, "unlearn"),
            fresh=recipe.fresh,
            train=recipe.train,
        )
        # as a trial does it, so that equal data and seeds give what the command line gives
        with untouched({"original": original}, "method"), isolated(seed, "unlearn", "layers"):
            unlearned: Any = unlearner(task)
        if not isinstance(unlearned, nn.Module):
            kind = type(unlearned).__name__
            raise ConfigError(f"{recipe.method} must return an nn.Module, got {kind}")
        require_effect(unlearner, original, unlearned)
        return _as_before(unlearned, model)


def _trainer(trainer: str | Trainer | None) -> Trainer | None:
    return (
        cast("Trainer", build_option("trainer", trainer)) if isinstance(trainer, str) else trainer
    )


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy without the gradients that a training may have left."""
    copied = copy.deepcopy(model)
    copied.zero_grad(set_to_none=True)
    return copied


def _as_before(unlearned: nn.Module, model: nn.Module) -> nn.Module:
    """Give modules the train or eval mode that they have in ``model``, and drop gradients."""
    flags = {name: module.training for name, module in model.named_modules()}
    for name, module in unlearned.named_modules():
        module.training = flags.get(name, model.training)
    unlearned.zero_grad(set_to_none=True)
    return unlearned
