"""JiT: make the model less sensitive to noise around the samples to forget."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import shuffled


@dataclass(frozen=True, kw_only=True)
class JiT:
    r"""Minimize the local Lipschitz constant of the model at the samples to forget.

    For each batch of the forget set and ``copies`` noisy copies
    :math:`x' = \mathrm{clamp}(x + \sigma \epsilon)` of it, within the least and the greatest
    value of the batch, the loss is the mean over copies of

    .. math:: \sum_i \frac{\|f(x_i) - f(x'_i)\|_2}{\|x_i - x'_i\|_2}

    where only :math:`f(x_i)` carries a gradient. Needs neither labels nor the retain set.

    Args:
        fit: Optimizer, epochs, batch size and mode. The loss is a sum over the batch.
        sigma: Standard deviation of the noise, above 0, in units of the model's inputs.
        copies: Noisy copies per sample, at least 1.
        zero_grad: Start every step from a gradient of zero. Otherwise gradients add up over all
            steps of the run, so that a step moves along everything seen so far.

    Passes:
        E over forget, 0 over retain.

    Deviations:
        Gradients add up over steps as in the authors' code, ``zero_grad: true`` corrects it; eval
        mode is our choice.

    References:
        J. Foster, K. Fogarty, S. Schoepf, C. Oztireli and A. Brintrup, "Zero-Shot Machine
        Unlearning at Scale via Lipschitz Regularization", 2024, arXiv:2402.01401.

    Notes:
        The authors' code never sets gradients to zero, which is the default here. They do not
        say in which mode the model is; here it is in eval mode unless ``fit.mode`` says
        otherwise. Very sensitive to the rate.
    """

    fit: Fit
    sigma: float = 0.5
    copies: int = 25
    zero_grad: bool = False

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ConfigError(f"sigma must be > 0, got {self.sigma}")
        if self.copies < 1:
            raise ConfigError(f"copies must be >= 1, got {self.copies}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        aside = branch(task.generator, "jit", "noise")

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            inputs = _continuous(batch.inputs)
            logits = model(inputs)
            gaps = [self._gap(model, inputs, logits, aside) for _ in range(self.copies)]
            return torch.stack(gaps).mean()

        batches = shuffled(
            task.forget, self.fit.batch_size, task.generator, augment=self.fit.augment
        )
        with nullcontext() if self.zero_grad else _accumulated_gradients(task.model):
            return self.fit(task.model, batches, objective, report=task.report)

    def _gap(
        self, model: nn.Module, inputs: Tensor, logits: Tensor, generator: Generator
    ) -> Tensor:
        """Return the sum over samples of distance of outputs by distance of inputs, a scalar."""
        noise = torch.randn(inputs.shape, generator=generator).to(inputs)
        low, high = inputs.aminmax()
        noisy = (inputs + self.sigma * noise).clamp(low, high)
        # No gradient through the perturbed output, only through the one of the sample itself.
        with torch.no_grad():
            other = model(noisy)
        apart = (logits - other).flatten(1).norm(dim=1)
        distance = (inputs - noisy).flatten(1).norm(dim=1)
        moved = distance > 0  # binary rows at the ends of the range can be clamped to themselves
        ratios: Tensor = apart[moved] / distance[moved]
        return ratios.sum()


def _continuous(inputs: object) -> Tensor:
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        return inputs
    raise UnsupportedError(
        "jit adds noise to the inputs, which these data do not allow; use unlearner=lfssd, which "
        "needs no labels either"
    )


@contextmanager
def _accumulated_gradients(model: nn.Module) -> Iterator[None]:
    """Let gradients add up over the steps of a block although a loop sets them to zero."""
    hooks = [p.register_hook(_Sum()) for p in model.parameters() if p.requires_grad]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@dataclass
class _Sum:
    total: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        # What a hook returns takes the place of the gradient: .grad is the sum of all steps.
        self.total = gradient.clone() if self.total is None else self.total + gradient
        return self.total
