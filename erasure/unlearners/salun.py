"""SalUn: confine a method to the weights on which the forget set depends most."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Batch
from erasure.core.task import Unlearner, UnlearningTask, computed
from erasure.training.gradients import summed_gradients
from erasure.training.restrict import only, scaled_gradients


@dataclass(frozen=True, kw_only=True)
class SalUn:
    r"""Let a method change only the weights with the largest forget gradient.

    With :math:`g = \sum_b \nabla (-L_b)` over the batches of the forget set, in eval mode and at
    the original weights, all parameters are ranked together by :math:`|g|`; the first
    ``int(ratio * N)`` of N may change. Equal values rank in the order of the parameters.

    Args:
        inner: The method that is confined, as long as it changes the model that it is given.
            SalUn proper uses random labels.
        ratio: Share of the weights that may change, in ``(0, 1]``; 1 gives ``inner`` itself.
        batch_size: Samples per term of the sum. The loss is a mean over each.
        equal_batches: Terms whose sizes differ by at most one. ``False`` cuts them as the
            authors' code does, where a last batch of one sample counts as much as any other.
        restore: Keep all other weights as they are. ``False`` only masks gradients, so that
            weight decay still moves what is masked, as the authors' code did until 2026 and as
            the results published before were made.

    Passes:
        Inner's + 1 over forget, inner's over retain.

    Deviations:
        Gradient summed in a fixed order over batches of equal size; ``restore: false`` is the
        authors' code before 2026.

    References:
        C. Fan, J. Liu, Y. Zhang, E. Wong, D. Wei and S. Liu, "SalUn: Empowering Machine
        Unlearning via Gradient-based Weight Saliency", ICLR 2024, arXiv:2310.12508.

    Notes:
        The authors' code sums over shuffled batches; here the order is that of the forget set, so
        that the mask is a function of the model and the data. Buffers are not masked.
    """

    inner: Unlearner
    ratio: float = 0.5
    batch_size: int = 256
    equal_batches: bool = True
    restore: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.ratio <= 1.0:
            raise ConfigError(f"ratio must be in (0, 1], got {self.ratio}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be >= 1, got {self.batch_size}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        masks = largest(self._gradients(task), self.ratio)
        before = dict(task.model.named_parameters())
        values = {name: weight.detach().clone() for name, weight in before.items()}
        confined = only if self.restore else scaled_gradients
        with confined(task.model, masks):
            # Gradients are masked in here: what is computed from them is nobody else's business.
            changed = self.inner(replace(task, cached=computed))
        after = dict(changed.named_parameters())
        same = after.keys() == before.keys() and all(after[n] is before[n] for n in before)
        if changed is not task.model or not same:
            raise UnsupportedError(
                f"salun cannot confine {type(self.inner).__name__}, which returns another model "
                f"than the one it is given, or replaces weights; use random_labels"
            )
        if self.restore:
            _put_back(after, values, masks)
        return changed

    def _gradients(self, task: UnlearningTask) -> Mapping[str, Tensor]:
        """Return the summed gradients, which serve every ratio of a sweep."""

        def ascent(model: nn.Module, batch: Batch) -> Tensor:
            return -task.objective(model, batch)

        gradients = task.cached(
            "salun",
            task.forget,
            lambda: summed_gradients(
                task.model, task.forget, self.batch_size, ascent, equal=self.equal_batches
            ),
            batch_size=self.batch_size,
            equal_batches=self.equal_batches,
        )
        # What comes out of the cache may be in another order, and order breaks ties.
        return {
            name: gradients[name] for name, _ in task.model.named_parameters() if name in gradients
        }


def _put_back(
    weights: Mapping[str, nn.Parameter], values: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> None:
    """Undo what was written to protected entries without an optimizer."""
    with torch.no_grad():
        for name, weight in weights.items():
            mask = masks.get(name, torch.zeros_like(weight, dtype=torch.bool))
            weight.copy_(torch.where(mask, weight, values[name]))


def largest(values: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Return masks of the ``int(ratio * N)`` largest magnitudes among all N values together."""
    magnitudes = torch.cat([value.flatten().abs() for value in values.values()])
    # One ranking over all layers; stable, so that ties are broken by position.
    order = magnitudes.argsort(descending=True, stable=True)
    chosen = torch.zeros_like(magnitudes, dtype=torch.bool)
    chosen[order[: int(ratio * len(order))]] = True
    parts = chosen.split([value.numel() for value in values.values()])
    return {name: part.view_as(values[name]) for name, part in zip(values, parts, strict=True)}
