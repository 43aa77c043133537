"""EU-k: exact unlearning of the last k layers."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, nn

from erasure.core.errors import ConfigError
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.models.layers import tail, weighted_layers
from erasure.training.fit import Fit
from erasure.unlearners.cf_k import CFk


@dataclass(frozen=True, kw_only=True)
class EUk:
    """Reset the last ``k`` layers, then train them on the retain set as :class:`CFk` does.

    What these layers knew is gone; what the frozen ones before them know stays. Norms between
    them are trained but not reset.

    Args:
        fit: Optimizer, epochs and batch size.
        k: Number of layers, at least 1; as many as the model has, or more, is a retraining in
            which norms keep their state.
        reset: ``kaiming``: normal weights of variance ``2 / fan_in`` and biases of zero;
            ``initial``: what the original model started from, which is what a model that was
            pretrained needs.
        norms: Batch normalization among the frozen layers, as for :class:`CFk`.

    Passes:
        0 over forget, E over retain.

    Deviations:
        Nested layers are reset; ``reset: initial`` for pretrained models.

    References:
        S. Goel, A. Prabhu, A. Sanyal, S.-N. Lim, P. Torr and P. Kumaraguru, "Towards Adversarial
        Evaluations for Inexact Machine Unlearning", 2022, arXiv:2201.06640.

    Notes:
        Code that resets only the direct children of a network leaves the trained weights in
        nested blocks; here layers are source_weights however deep they are nested.
    """

    fit: Fit
    k: int = 2
    reset: Literal["kaiming", "initial"] = "kaiming"
    norms: Literal["train", "frozen"] = "train"

    def __post_init__(self) -> None:
        if self.reset not in ("kaiming", "initial"):
            raise ConfigError(f"reset must be kaiming or initial, got {self.reset!r}")
        CFk(fit=self.fit, k=self.k, norms=self.norms)  # which checks the rest

    def __call__(self, task: UnlearningTask) -> nn.Module:
        moving = {name for name, _ in tail(task.model, self.k)}
        layers = {n: layer for n, layer in weighted_layers(task.model) if n in moving}
        start = task.fresh() if self.reset == "initial" else None
        generator = branch(task.generator, "eu_k", "reset")
        for name, layer in layers.items():
            if start is None:
                _kaiming(layer, generator)
            else:
                _copy(start.get_submodule(name), layer)
        return CFk(fit=self.fit, k=self.k, norms=self.norms)(task)


def _kaiming(layer: nn.Module, generator: Generator) -> None:
    for name, parameter in layer.named_parameters(recurse=False):
        drawn = torch.zeros(parameter.shape)
        if name == "weight":
            nn.init.kaiming_normal_(drawn, generator=generator)
            # torch keeps the row of the padding token at zero, and never moves it.
            if isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
                drawn[layer.padding_idx] = 0.0
        parameter.detach().copy_(drawn)


def _copy(source: nn.Module, layer: nn.Module) -> None:
    source_weights = dict(source.named_parameters(recurse=False))
    for name, parameter in layer.named_parameters(recurse=False):
        parameter.detach().copy_(source_weights[name].detach())
