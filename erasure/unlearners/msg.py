"""MSG: draw again the weights whose gradients agree on forget and retain."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.models.layers import kernels, own_weight
from erasure.training.fit import Fit
from erasure.training.gradients import summed_gradients
from erasure.training.passes import shuffled
from erasure.training.restrict import scaled_gradients


@dataclass(frozen=True, kw_only=True)
class MSG:
    r"""Draw the weights of smallest gradient difference anew and train mostly those.

    With :math:`G = \sum \nabla L_{retain} - \sum \nabla L_{forget}`, summed over the batches of
    the forget set and of as many random retain samples, each convolution marks the share
    ``frac`` of its weights with the smallest :math:`|G|`. These are drawn again (normal, He et
    al., fan out), then the retain set is trained on with gradients of the other weights of
    convolutions multiplied by ``scale``. The rate rises to its full value in the middle epoch
    and falls again, once per epoch. Costs one pass over the forget set.

    Args:
        fit: Optimizer, epochs and batch size, also that of the gradients; no schedule.
        frac: Share of each convolution that is drawn again, in [0, 1].
        scale: Factor on the gradients of the weights that are not, in [0, 1].
        equal_batches: Batches of the gradients differ by at most one sample. ``False`` cuts them
            as the port does, where a last batch of one sample counts as much as any other.

    Passes:
        1 over forget, E and as many samples as there are to forget over retain.

    Deviations:
        Gradients in eval mode, of batches of equal size; biases are not re-drawn; linear layers
        if there are no convolutions.

    References:
        X. F. Cadet et al., "Deep Unlearn: Benchmarking Machine Unlearning for Image
        Classification", arXiv:2410.01276, for a method of the NeurIPS 2023 unlearning
        competition (second: Kookmin University; E. Triantafillou et al., arXiv:2406.09073).

    Notes:
        A model without convolutions has the weights of all its linear layers treated alike, an
        adaptation. The port takes the gradients in whatever mode the model is, in train mode
        moving running statistics, and draws biases of convolutions again; here they are taken
        in eval mode, and biases stay. Weight decay is not scaled, as there.
    """

    fit: Fit
    frac: float = 0.3
    scale: float = 0.1
    equal_batches: bool = True

    def __post_init__(self) -> None:
        for name in ("frac", "scale"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.fit.schedule is not None:
            raise ConfigError("fit.schedule must be null: the rate rises and falls by itself")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        # By identity, because two layers may share a weight and names would count it twice.
        owned = {id(own_weight(module)) for _, module in kernels(task.model)}
        named = task.model.named_parameters()
        weights = {n: p for n, p in named if id(p) in owned and p.requires_grad}
        if not weights:
            raise UnsupportedError(
                "msg needs convolutions or linear layers, which this model has not; use "
                "unlearner=finetune"
            )
        marks = self._marks(task, weights)
        _draw_again(weights, marks, branch(task.generator, "msg", "weights"))
        scales = {n: torch.where(mark, 1.0, self.scale) for n, mark in marks.items()}
        with scaled_gradients(task.model, scales):
            self._train(task)
        return task.model

    def _marks(self, task: UnlearningTask, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        generator = branch(task.generator, "msg", "subset")
        order = torch.randperm(len(task.retain), generator=generator)
        # As many retain samples as there are to forget, so that neither sum outweighs the other.
        some = task.retain.take(order[: len(task.forget)])
        keep, drop = (
            summed_gradients(
                task.model, view, self.fit.batch_size, task.objective, equal=self.equal_batches
            )
            for view in (some, task.forget)
        )
        return {name: smallest(keep[name] - drop[name], self.frac) for name in weights}

    def _train(self, task: UnlearningTask) -> None:
        epochs, size = self.fit.epochs, self.fit.batch_size
        batches = shuffled(task.retain, size, task.generator, augment=self.fit.augment)
        # No schedule of the optimizer: the rate is set by hand once per epoch.
        loop = self.fit.loop(task.model, steps=0)
        for epoch in range(1, epochs + 1):
            loop.scale_lr(rise_and_fall(epoch, epochs))
            task.report(epoch, epochs, loss=loop.run(batches, task.objective))


def smallest(values: Tensor, share: float) -> Tensor:
    """Return a mask of the ``round(share * n)`` entries of smallest magnitude."""
    mask = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    # Stable, so that equal magnitudes (zeros, mostly) are always chosen in the same order.
    order = values.abs().flatten().argsort(stable=True)
    mask[order[: round(share * values.numel())]] = True
    return mask.reshape(values.shape)


def rise_and_fall(epoch: int, epochs: int) -> float:
    """Return the factor of ``epoch`` (from 1): linear up to the middle epoch, then down."""
    middle = (epochs + 1) // 2
    return epoch / middle if epoch <= middle else (epochs + 1 - epoch) / (epochs + 1 - middle)


def _draw_again(
    weights: Mapping[str, Tensor], marks: dict[str, Tensor], generator: Generator
) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            drawn = torch.empty(weight.shape, dtype=weight.dtype)
            nn.init.kaiming_normal_(
                drawn, mode="fan_out", nonlinearity="relu", generator=generator
            )
            weight.copy_(torch.where(marks[name], drawn.to(weight.device), weight))
