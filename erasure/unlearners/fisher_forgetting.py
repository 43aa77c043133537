"""Fisher forgetting: noise where the retain set does not hold the weights in place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.seeding import branch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.models.layers import head
from erasure.training.gradients import expected_batch_gradients
from erasure.training.per_sample.gradients import expected_fisher

CLASS_VARIANCE = 1e-4
"""Variance of the head's row of a class that is forgotten as a whole, before ``boost``."""


@dataclass(frozen=True, kw_only=True)
class FisherForgetting:
    r"""Add Gaussian noise to each weight, the less the more the retain set depends on it.

    With F the diagonal of the Fisher information on the retain set, under the model's own labels
    and in eval mode, the noise has the variance :math:`\alpha \min(1 / (F + 10^{-8}), c)`, where
    c is ``clamp``, or ``head_clamp`` in the head. In weights of two or more dimensions it is
    averaged over the second. In the head and in vectors, such as biases and the weights of norms,
    it is ``boost`` times as large. Buffers are left alone.

    If the forget set is the whole of one class, the head's weights of this class become noise of
    variance :math:`10^{-4}` ``boost`` around 0, whatever alpha is.

    Args:
        alpha: Scale of the variance, at least 0; 0 changes nothing but a class forgotten whole.
        estimator: ``exact`` takes the expectation over the labels of every single sample;
            ``sketch`` is an unbiased estimate at the cost of one label; ``batch`` squares the
            gradients of batch means: a different quantity, which makes less noise.
        samples: Number of retain samples, drawn at random, for the Fisher information; None
            takes all.
        batch_size: Samples per batch of the estimator ``batch``, which depends on it.
        equal_batches: Batches of this estimator differ by at most one sample. ``False`` cuts them
            as its authors' code does, where a last batch of one sample counts as much as any.
        clamp: Largest variance before alpha, above 0.
        head_clamp: The same in the head, above 0.
        boost: Factor of the variance in the head and in vectors, above 0.

    Passes:
        0 over forget, 1 over retain.

    Deviations:
        Head found by module, not by shape; ``estimator: exact``, ``sketch`` or ``batch``.

    References:
        A. Golatkar, A. Achille and S. Soatto, "Eternal Sunshine of the Spotless Net: Selective
        Forgetting in Deep Networks", CVPR 2020, arXiv:1911.04933.

    Notes:
        The authors' code takes each parameter whose first dimension is the number of classes for
        the head; here the head is the last linear layer. In a trained network most variances
        reach the clamps, which therefore are a part of the method. ``batch`` is the estimator of
        the code of OPTML-Group (Unlearn-Sparse).
    """

    alpha: float = 1e-6
    estimator: Literal["exact", "sketch", "batch"] = "exact"
    samples: int | None = None
    batch_size: int = 32
    equal_batches: bool = True
    clamp: float = 1e3
    head_clamp: float = 1e2
    boost: float = 10.0

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ConfigError(f"alpha must be >= 0, got {self.alpha}")
        if self.estimator not in ("exact", "sketch", "batch"):
            raise ConfigError(f"estimator must be exact, sketch or batch, got {self.estimator!r}")
        if self.samples is not None and self.samples < 1:
            raise ConfigError(f"samples must be >= 1 or null, got {self.samples}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be >= 1, got {self.batch_size}")
        for name in ("clamp", "head_clamp", "boost"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        top = head(task.model)[1]
        fisher = self._fisher(task)
        label = whole_class(task)
        with torch.no_grad():
            for name, weight in task.model.named_parameters():
                if name not in fisher:
                    continue
                of_head = weight is top.weight or weight is top.bias
                variance = self.variance(fisher[name], of_head=of_head)
                # Noise of a variance that does not depend on the data: what the row knew is gone.
                if of_head and label is not None:
                    weight[label] = 0.0
                    variance[label] = CLASS_VARIANCE * self.boost
                noise = torch.randn(weight.shape, generator=task.generator).to(weight)
                weight.add_(variance.sqrt() * noise)
        return task.model

    def variance(self, fisher: Tensor, *, of_head: bool) -> Tensor:
        """Return the variance of the noise of a parameter from its Fisher information."""
        largest = self.head_clamp if of_head else self.clamp
        # Where the retain set says nothing (Fisher 0) the variance would be infinite: clamped.
        variance = self.alpha * (1.0 / (fisher + 1e-8)).clamp(max=largest)
        # As in the authors' code, the mean over the inputs of the layer.
        if variance.ndim > 1:
            variance = variance.mean(dim=1, keepdim=True).expand_as(fisher).clone()
        return variance * self.boost if of_head or variance.ndim == 1 else variance

    def _fisher(self, task: UnlearningTask) -> Mapping[str, Tensor]:
        view = self._drawn(task)
        aside = branch(task.generator, "fisher_forgetting", "sketch")
        settings: dict[str, int | str] = {"estimator": self.estimator}
        if self.estimator == "sketch":
            settings["seed"] = aside.initial_seed()
        if self.estimator == "batch":
            settings["batch_size"] = self.batch_size
            settings["equal_batches"] = self.equal_batches

        def compute() -> Mapping[str, Tensor]:
            if self.estimator == "batch":
                return expected_batch_gradients(
                    task.model, view, self.batch_size, task.task_type, equal=self.equal_batches
                )
            return expected_fisher(
                task.model, view, task.task_type, estimator=self.estimator, generator=aside
            )

        return task.cached("expected_fisher", view, compute, **settings)

    def _drawn(self, task: UnlearningTask) -> View:
        """Return the samples of the retain set that are used, in its order."""
        if self.samples is None or self.samples >= len(task.retain):
            return task.retain
        aside = branch(task.generator, "fisher_forgetting", "samples")
        order = torch.randperm(len(task.retain), generator=aside)
        return task.retain.take(order[: self.samples].sort().values)


def whole_class(task: UnlearningTask) -> int | None:
    """Return the class that the forget set is all of, within forget and retain, or None."""
    labels = task.forget.targets.unique(dim=0)
    if labels.ndim != 1 or len(labels) != 1 or bool((task.retain.targets == labels).any()):
        return None
    return int(labels)
