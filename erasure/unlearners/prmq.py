"""PRMQ: prune nearly everything, draw it anew, train on, and round to half precision."""

import copy
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.models.layers import linear_maps, own_weight
from erasure.training.fit import Fit, Objective
from erasure.training.passes import Pass, shuffled
from erasure.unlearners.shared.balance import label_counts


@dataclass(frozen=True, kw_only=True)
class PRMQ:
    r"""Prune, draw anew, train on the retain set with matched entropy, and quantize.

    Of all weights and biases of convolutions and linear layers together, the share ``amount`` of
    smallest magnitude is pruned; pruned weights are drawn uniformly from
    :math:`\pm 1/\sqrt{fan_{in}}`, pruned biases become 0. Training minimizes
    :math:`\sum_i w_i L_i / \sum_i w_i + \mathrm{mean}_i (H_i - H_i^0)^2` with
    :math:`w_i = count_i^{-0.1}`, the number of retain samples with that label, and the entropies
    of the predictions of the model and of the frozen original. At the end all weights and
    statistics are rounded to half precision. The forget set is never read.

    Args:
        fit: Optimizer, whole epochs and batch size.
        amount: Share that is pruned, in [0, 1).
        tail: Share of one more pass, in [0, 1), plus one step: 3.2 epochs are 3 and 0.2.

    Passes:
        0 over forget, 3.2 over retain.

    Deviations:
        For multilabel, class weights count whole label sets.

    References:
        Fourth of the NeurIPS 2023 unlearning competition (Sebastian; E. Triantafillou et al.,
        arXiv:2406.09073), as in X. F. Cadet et al., "Deep Unlearn", arXiv:2410.01276.

    Notes:
        For samples with several labels a "label" in the weights is the whole set of them.
    """

    fit: Fit
    amount: float = 0.99
    tail: float = 0.2

    def __post_init__(self) -> None:
        for name in ("amount", "tail"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} must be in [0, 1), got {getattr(self, name)}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        if not linear_maps(task.model):
            raise UnsupportedError(
                "prmq needs convolutions or linear layers, which this model has not; use "
                "unlearner=finetune"
            )
        teacher = copy.deepcopy(task.model).eval().requires_grad_(requires_grad=False)
        prune_and_draw(task.model, self.amount, branch(task.generator, "prmq", "weights"))
        self._train(task, _objective(task, teacher))
        with torch.no_grad():
            # Rounded in place: the model keeps its dtype, and its values those of half precision.
            for value in task.model.state_dict().values():
                if value.is_floating_point():
                    value.copy_(value.half())
        return task.model

    def _train(self, task: UnlearningTask, objective: Objective[Batch]) -> None:
        epochs, size = self.fit.epochs, self.fit.batch_size
        batches = shuffled(task.retain, size, task.generator, augment=self.fit.augment)
        # The step that crosses the share is taken as well.
        more = int(self.tail * batches.steps) + 1
        loop = self.fit.loop(task.model, epochs * batches.steps + more)
        for epoch in range(1, epochs + 1):
            task.report(epoch, epochs + 1, loss=loop.run(batches, objective))
        last = Pass(more, lambda: islice(batches.start(), more))
        task.report(epochs + 1, epochs + 1, loss=loop.run(last, objective))


def prune_and_draw(model: nn.Module, amount: float, generator: Generator) -> None:
    """Prune the share ``amount`` of smallest magnitude; draw weights anew, set biases to 0."""
    weights = [(m, p) for _, m in linear_maps(model) for p in m.parameters(recurse=False)]
    # One ranking over all layers, stable, so that ties are broken by position.
    sizes = [values.detach().abs().flatten() for _, values in weights]
    order = torch.cat(sizes).argsort(stable=True)
    pruned = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    pruned[order[: round(amount * len(order))]] = True
    with torch.no_grad():
        parts = pruned.split([len(part) for part in sizes])
        for (module, values), mask in zip(weights, parts, strict=True):
            drawn = torch.zeros(values.shape)
            if values is own_weight(module):
                # A row of a weight has as many numbers as an output has inputs: the fan in.
                reach = values[0].numel() ** -0.5
                drawn = reach * (2.0 * torch.rand(values.shape, generator=generator) - 1.0)
            values.copy_(torch.where(mask.reshape(values.shape), drawn.to(values), values))


def _objective(task: UnlearningTask, teacher: nn.Module) -> Objective[Batch]:
    counts = label_counts(task.retain)

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            teacher_entropy = task.task_type.entropy(teacher(batch.inputs))
        logits = model(batch.inputs)
        # By sample id: the number of retain samples with the label of each.
        weights = counts[batch.ids] ** -0.1
        loss = (weights * task.loss(logits, batch.targets)).sum() / weights.sum()
        return loss + (task.task_type.entropy(logits) - teacher_entropy).square().mean()

    return objective
