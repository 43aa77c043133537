"""RNI: train random tensors in turn, those not seen before with noise, then everything."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, nn

from erasure.core.errors import ConfigError
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.models.layers import head, is_norm, reset_layers
from erasure.training.fit import Fit
from erasure.training.passes import shuffled
from erasure.training.restrict import frozen


@dataclass(frozen=True, kw_only=True)
class RNI:
    """Reset the head, train random tensors for some epochs each, then all of them.

    Each epoch of ``fit`` picks ``tensors`` parameters at random and trains these and all
    parameters of norms. From the second epoch on, a share of the picked is drawn, and those
    among it that no earlier epoch picked get normal noise first. Then ``fine`` trains
    everything. Every epoch has an optimizer of its own. The forget set is never read.

    Args:
        fit: Epochs with random tensors.
        fine: Epochs with all of them.
        noise: Standard deviation of the noise, at least 0.
        tensors: Number of parameters that an epoch picks, at least 1. A model with no more of
            them has all picked in the first epoch, and gets no noise.
        share: Share of ``tensors``, in [0, 1], rounded down, that may get noise in an epoch.
        last: Factor on the learning rate in the last epoch, above 0.

    Passes:
        0 over forget, 9 over retain.

    Deviations:
        Norms found by type, not by name.

    References:
        Seventh of the NeurIPS 2023 unlearning competition (Sun Jiao Song; E. Triantafillou et
        al., arXiv:2406.09073), as in X. F. Cadet et al., "Deep Unlearn", arXiv:2410.01276.

    Notes:
        The authors know norms by "bn" in their names, which misses that of a shortcut; here it
        is the type of the module that counts. The head gets the weights of the model's own
        initializer, or of its pretraining if it has one.
    """

    fit: Fit
    fine: Fit
    noise: float = 0.04
    tensors: int = 9
    share: float = 0.7
    last: float = 5.0

    def __post_init__(self) -> None:
        if not self.noise >= 0.0:
            raise ConfigError(f"noise must be >= 0, got {self.noise}")
        if self.tensors < 1:
            raise ConfigError(f"tensors must be >= 1, got {self.tensors}")
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"share must be in [0, 1], got {self.share}")
        if not self.last > 0.0:
            raise ConfigError(f"last must be > 0, got {self.last}")
        for name in ("fit", "fine"):
            if getattr(self, name).schedule is not None:
                raise ConfigError(f"{name}.schedule must be null: optimizers last one epoch")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        fresh = task.fresh(f"rni {task.generator.initial_seed()}")
        reset_layers(task.model, fresh, [head(task.model)[0]])
        aside, names = branch(task.generator, "rni", "noise"), plain_names(task.model)
        total = self.fit.epochs + self.fine.epochs
        seen: set[str] = set()
        for epoch in range(1, self.fit.epochs + 1):
            picked = _some(names, self.tensors, aside)
            if epoch > 1:
                self._disturb(task.model, picked, seen, aside)
            seen |= set(picked)
            with frozen(task.model, frozenset(names) - frozenset(picked)):
                task.report(epoch, total, loss=_epoch(task, self.fit, 1.0))
        for epoch in range(1, self.fine.epochs + 1):
            factor = self.last if epoch == self.fine.epochs else 1.0
            task.report(self.fit.epochs + epoch, total, loss=_epoch(task, self.fine, factor))
        return task.model

    def _disturb(
        self, model: nn.Module, picked: Sequence[str], seen: set[str], generator: Generator
    ) -> None:
        # Drawn from the picked tensors; those that were picked in an earlier epoch are spared.
        candidates = _some(picked, int(self.share * self.tensors), generator)
        with torch.no_grad():
            # Sorted: the order of a set depends on the hash seed of the process.
            for name in sorted(set(candidates) - seen):
                weight = model.get_parameter(name)
                drawn = torch.randn(weight.shape, generator=generator).to(weight)
                weight.add_(self.noise * drawn)


def plain_names(model: nn.Module) -> list[str]:
    """Return the names of the trained parameters that do not belong to norms."""
    norms = {id(p) for m in model.modules() if is_norm(m) for p in m.parameters(recurse=False)}
    return [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in norms]


def _some(names: Sequence[str], count: int, generator: Generator) -> list[str]:
    order = torch.randperm(len(names), generator=generator)[:count]
    return [names[index] for index in order.tolist()]


def _epoch(task: UnlearningTask, fit: Fit, factor: float) -> float:
    batches = shuffled(task.retain, fit.batch_size, task.generator, augment=fit.augment)
    # A new optimizer every epoch, of the weights that are not frozen in it.
    loop = fit.loop(task.model, batches.steps)
    loop.scale_lr(factor)
    return loop.run(batches, task.objective)
