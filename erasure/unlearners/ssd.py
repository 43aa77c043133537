"""Selective synaptic dampening (SSD): shrink what matters more to the forget set than to all."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.gradients import mean_squared_gradients

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SSD:
    r"""Dampen weights whose importance to the forget set is out of proportion.

    The importance :math:`I(S)` of each weight to a set S is the mean over batches of the squared
    gradient of the batch's mean loss, in eval mode. With :math:`f = I(forget)` and
    :math:`d = I(forget + retain)` each weight with :math:`f > \alpha d` is multiplied by
    :math:`\min(\lambda d / f, 1)`; the others, and all buffers, keep every bit. Nothing is
    trained.

    Args:
        alpha: How many times more important to the forget set a selected weight must be, above 0.
            The lower, the more weights are dampened, those of the retain set as well.
        dampening: The constant :math:`\lambda`, above 0; smaller dampens more.
        batch_size: Samples per batch of both importances. It is part of the method: the
            importance shrinks with the batch.
        equal_batches: Batches whose sizes differ by at most one. ``False`` cuts them as the
            authors' code does, where a last batch of one sample counts as much as any other.

    Passes:
        2 over forget, 1 over retain.

    Deviations:
        Batches in the order of ids and of equal size, ``equal_batches: false`` is the authors'
        code; importances are cached, so a sweep over alpha and lambda pays once.

    References:
        J. Foster, S. Schoepf and A. Brintrup, "Fast Machine Unlearning Without Retraining Through
        Selective Synaptic Dampening", AAAI 2024, arXiv:2308.07707.

    Notes:
        Batches are taken in the order of the sample ids; the authors' code shuffles them.
        Importances are remembered, so that a sweep over ``alpha`` and ``dampening`` computes them
        once. Where the training set has no gradient at all and the forget set has one, the weight
        becomes 0, as in the authors' code. Nothing may be selected: the model then stays what it
        was, and the trial fails as one that did nothing.
    """

    alpha: float = 10.0
    dampening: float = 1.0
    batch_size: int = 128
    equal_batches: bool = True

    def __post_init__(self) -> None:
        check_dampening(self.alpha, self.dampening, self.batch_size)

    def __call__(self, task: UnlearningTask) -> nn.Module:
        warn_of_one_batch(task.forget, self.batch_size)
        whole, forget = (
            squared_importance(task, view, self.batch_size, equal=self.equal_batches)
            for view in (training_set(task), task.forget)
        )
        share = dampen(task.model, forget, whole, self.alpha, self.dampening)
        task.report(1, 1, share_dampened=share)
        return task.model


def training_set(task: UnlearningTask) -> View:
    """Return forget and retain together, sorted by id: the same view for every forget set."""
    both = task.forget + task.retain
    return both.take(both.index.argsort())


def squared_importance(
    task: UnlearningTask, view: View, batch_size: int, *, equal: bool
) -> Mapping[str, Tensor]:
    """Return the mean over batches of squared gradients of the original on ``view``."""
    return task.cached(
        "mean_squared_gradients",
        view,
        lambda: mean_squared_gradients(task.model, view, batch_size, task.objective, equal=equal),
        objective="loss",
        batch_size=batch_size,
        equal_batches=equal,
    )


def warn_of_one_batch(
    forget: View, batch_size: int, setting: str = "unlearner.batch_size"
) -> None:
    """Warn where the mean over batches of the forget set is of a single gradient.

    Args:
        forget: The samples to forget.
        batch_size: Samples per batch.
        setting: What to set to change it.
    """
    if len(forget) <= batch_size:
        log.warning(
            "all %d samples to forget are one batch, so that their importance is that of one "
            "gradient; set %s=%d or less",
            len(forget),
            setting,
            max(1, len(forget) // 2),
        )


@torch.no_grad()
def dampen(
    model: nn.Module,
    forget: Mapping[str, Tensor],
    whole: Mapping[str, Tensor],
    alpha: float,
    dampening: float,
) -> float:
    """Multiply weights where ``forget > alpha * whole`` and return their share of all weights.

    Args:
        model: Changed in place.
        forget: Importance to the forget set, by parameter name.
        whole: Importance to what it is compared with.
        alpha: Threshold of the ratio; the inequality is strict.
        dampening: Numerator of the factor ``min(dampening * whole / forget, 1)``.
    """
    selected = total = 0
    for name, weight in model.named_parameters():
        if name not in forget:
            continue
        # Strictly greater: weights of importance 0 to both are left alone, and nothing is 0 / 0.
        chosen = forget[name] > alpha * whole[name]
        factor = dampening * whole[name][chosen] / forget[name][chosen]
        weight[chosen] = weight[chosen] * factor.clamp(max=1.0)
        selected += int(chosen.sum())
        total += weight.numel()
    return selected / total


def check_dampening(alpha: float, dampening: float, batch_size: int) -> None:
    """Refuse settings that make no sense.

    Raises:
        ConfigError: Naming the setting.
    """
    for name, value in (("alpha", alpha), ("dampening", dampening)):
        if not value > 0:
            raise ConfigError(f"{name} must be > 0, got {value}")
    check_batch_size(batch_size)


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch without samples.

    Raises:
        ConfigError: If ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be >= 1, got {batch_size}")
