"""Certified removal from a logistic head on frozen features."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.modes import evaluating
from erasure.core.seeding import branch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.models.layers import head, recorded_features
from erasure.unlearners.shared.newton_removal import LabelledRows, remove, residual, train


@dataclass(frozen=True, kw_only=True)
class CertifiedLinear:
    r"""Train a logistic head with random noise, then remove the forget set by Newton steps.

    On rows :math:`x_i` of unit norm (frozen features and a constant for the bias) the head
    minimizes, for each class against the rest,
    :math:`\sum_i \log(1 + e^{-y_i w x_i}) + \frac{\lambda n}{2} ||w||^2 + b w`,
    :math:`b \sim N(0, \sigma^2 I)`. A step removes ``at_once`` samples:
    :math:`w \leftarrow w + H^{-1} g` with H the Hessian over what is left and g the gradient of
    what is removed. It leaves a gradient of norm at most
    :math:`||X||\,||H^{-1} g||\,||X H^{-1} g|| / 4`; the bounds of steps add up, those of classes
    in squares. The head is released while :math:`c \cdot bound / \sigma \le \epsilon`,
    :math:`c = \sqrt{2 \ln(1.5 / \delta)}`, which is :math:`(\epsilon, \delta)`-certified removal
    from the head; when the budget is spent it is trained on the retain set with new noise.
    Computes in float64.

    Args:
        epsilon: Budget of the certificate, above 0.
        delta: Its failure probability, in (0, 1).
        sigma: Standard deviation of the noise, above 0; large means many removals and a poor
            head.
        lam: Strength of the penalty, above 0.
        at_once: Samples that a step removes, at least 1; more is faster, and spends more if their
            gradients point the same way, as those of one class do.
        rounds: Most Newton steps of a training, at least 1.
        batch_size: Samples per forward pass for the features.

    Passes:
        1 over forget, 1 over retain.

    Deviations:
        One budget over all classes; what training left of the gradient counts; the certificate
        covers the head only.

    References:
        C. Guo, T. Goldstein, A. Hannun and L. van der Maaten, "Certified Data Removal from
        Machine Learning Models", ICML 2020, arXiv:1911.03030.

    Notes:
        The certificate covers the head. It holds for the model only if the features do not
        depend on the forget set, which those of a network trained on it do. What training left
        of the gradient counts against the budget. Reported at every step: ``bound``, ``spent``
        (the epsilon used), the settings ``epsilon``, ``delta``, ``sigma`` and ``lam``, and
        whether the head was ``retrained``. Logits are those of the rows times their norm over
        the mean norm, which leaves every prediction as it is and is a linear layer.
    """

    epsilon: float = 1.0
    delta: float = 1e-4
    sigma: float = 10.0
    lam: float = 1e-3
    at_once: int = 1
    rounds: int = 100
    batch_size: int = 256

    def __post_init__(self) -> None:
        for name in ("epsilon", "sigma", "lam"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if not 0.0 < self.delta < 1.0:
            raise ConfigError(f"delta must be in (0, 1), got {self.delta}")
        for name in ("at_once", "rounds", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        retain, norms = self._rows(task, task.retain)
        forget, _ = self._rows(task, task.forget)
        # Trained on rows of unit norm, used on features as they come: divide by the mean norm.
        weight = self._removed(task, retain, forget) / norms.mean()
        last = head(task.model)[1]
        with torch.no_grad():
            last.weight.copy_(weight[:, : last.in_features])
            if last.bias is not None:
                last.bias.copy_(weight[:, -1])
        return task.model

    def _removed(self, task: UnlearningTask, retain: LabelledRows, forget: LabelledRows) -> Tensor:
        """Return the head ``(C, d)`` after the removal."""
        generator = branch(task.generator, "certified_linear", "noise")
        shape = (retain.signs.shape[1], retain.inputs.shape[1])
        # Two draws of noise: a second training must not reuse the noise that was already spent.
        first, again = (
            self.sigma * torch.randn(2, *shape, dtype=torch.float64, generator=generator)
        ).to(retain.inputs)
        weight = train(forget + retain, first, self.lam, self.rounds)
        bound = residual(weight, forget + retain, first, self.lam)
        # Rounded up: the last removal may be a smaller one.
        steps = -(-len(forget) // self.at_once)
        for step in range(1, steps + 1):
            gone, forget = forget.cut(self.at_once)
            weight, more = remove(weight, gone, forget + retain, self.lam)
            bound += more
            retrain = self._spent(bound) > self.epsilon
            if retrain:
                weight = train(retain, again, self.lam, self.rounds)
                bound = residual(weight, retain, again, self.lam)
            self._report(task, step, steps, bound, retrained=retrain)
            if retrain:
                break
        return weight

    def _spent(self, bound: float) -> float:
        return math.sqrt(2.0 * math.log(1.5 / self.delta)) * bound / self.sigma

    def _report(
        self, task: UnlearningTask, step: int, of: int, bound: float, *, retrained: bool
    ) -> None:
        budget = {name: getattr(self, name) for name in ("epsilon", "delta", "sigma", "lam")}
        spent = self._spent(bound)
        task.report(step, of, bound=bound, spent=spent, retrained=float(retrained), **budget)

    def _rows(self, task: UnlearningTask, view: View) -> tuple[LabelledRows, Tensor]:
        """Return the rows of unit norm of ``view``, and the norms ``(n,)`` they had."""
        features = task.cached(
            "head_inputs",
            view,
            lambda: {"features": _features(task.model, view, self.batch_size)},
            batch_size=self.batch_size,
        )["features"].double()
        if head(task.model)[1].bias is not None:
            # The bias is the weight of a feature that is always 1.
            features = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        norms = features.norm(dim=1)
        has = task.task_type.indicators(view.targets, task.num_classes)
        tiny = torch.finfo(torch.float64).tiny
        return LabelledRows(
            features / norms.clamp(min=tiny)[:, None], 2.0 * has.double() - 1.0
        ), norms


def _features(model: nn.Module, view: View, batch_size: int) -> Tensor:
    batches = []
    with evaluating(model), torch.no_grad(), recorded_features(model) as recorded:
        for batch in view.batches(batch_size):
            logits = model(batch.inputs)
            batches.append(recorded.value)
            _require_head(model, recorded.value, logits)
    return torch.cat(batches)


def _require_head(model: nn.Module, features: Tensor, logits: Tensor) -> None:
    """Refuse a model whose logits are not what its last linear layer returns."""
    last = head(model)[1]
    if features.ndim == 2 and logits.shape[1:] == (last.out_features,):
        again = nn.functional.linear(features.to(last.weight), last.weight, last.bias)
        if (again - logits).abs().max() <= 0.05 * logits.abs().max():  # bfloat16 has 8 bits
            return
    raise UnsupportedError(
        f"certified_linear needs a model whose logits come out of one last linear layer, which "
        f"{type(model).__name__} is not; use unlearner=retrain"
    )
