"""SISA training: networks that each see one shard of the data, grown slice by slice.

A sample influences one network, from the slice on in which it enters. To forget it exactly, only
that network is trained again, from its checkpoint before that slice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch, Inputs
from erasure.core.seeding import branch, isolated
from erasure.core.splits import View
from erasure.core.task import Cached, Fresh, Report, computed, silent
from erasure.core.task_types import TaskType
from erasure.training.fit import Fit
from erasure.training.passes import shuffled

Vote = Literal["mean", "majority"]

SHARP = 1e6
"""Factor on logits that turns a prediction into a decision."""


class Ensemble(nn.Module):
    """Networks whose predictions are averaged.

    Args:
        members: The networks, from the same inputs to logits ``(B, C)``.
        kind: What the labels mean.
        vote: ``mean`` averages probabilities; ``majority`` averages decisions, where no class
            gets less than half a vote, so that losses stay finite.
    """

    def __init__(self, members: list[nn.Module], kind: TaskType, vote: Vote = "mean") -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.kind = kind
        self.vote = vote

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits ``(B, C)`` of the averaged prediction."""
        logits = torch.stack([member(inputs) for member in self.members])
        if self.vote == "mean":
            return self.kind.average(logits)
        # Log-shares of votes: a class that nobody votes for gets 1 / (2 K), half a vote.
        half = math.log(2 * len(self.members))
        return self.kind.average(SHARP * logits).clamp(-half, half)


@dataclass(frozen=True, kw_only=True)
class Sharded:
    r"""Train one network per shard, each on growing prefixes of the slices of its shard.

    A sample's shard and slice come from a random permutation of all sample ids, drawn from the
    seed of the training: they do not depend on which other samples are trained on. With R slices
    the network of a shard is trained, for k from 1 to R, on the slices 1 to k for
    :math:`\lfloor k e \rfloor - \lfloor (k-1) e \rfloor` epochs, :math:`e = 2E / (R + 1)`, which
    are about as many sample visits as E plain epochs. Every such stage has an optimizer and
    random numbers of its own and is kept, so that training on fewer samples repeats only the
    stages that saw those that are gone. The curve has one value for every visit of as many
    samples as there are.

    Args:
        fit: Optimizer, batch size, and E epochs in all.
        shards: Number of networks, at least 1.
        slices: Number R of slices of each shard, at least 1.
        vote: How predictions are combined, ``mean`` or ``majority``.
        kept: Remembers the state after each stage.

    References:
        L. Bourtoule et al., "Machine Unlearning", IEEE S&P 2021, arXiv:1912.03817.

    Notes:
        The authors cut the data in its order; a permutation gives every shard all classes.
    """

    fit: Fit
    shards: int = 5
    slices: int = 4
    vote: Vote = "mean"
    kept: Cached = field(default=computed, repr=False)

    def __post_init__(self) -> None:
        for name in ("shards", "slices"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.vote not in ("mean", "majority"):
            raise ConfigError(f"vote must be mean or majority, got {self.vote!r}")

    def compose(self, fresh: Fresh, kind: TaskType) -> Fresh:
        """Return what builds an ensemble, each member by ``fresh`` with a salt of its own."""

        def ensemble(salt: str = "") -> nn.Module:
            salts = [f"{salt} shard {shard}".strip() for shard in range(self.shards)]
            return Ensemble([fresh(name) for name in salts], kind, self.vote)

        return ensemble

    def resuming(self, kept: Cached) -> "Sharded":
        """Return the same trainer with a memory for what its stages have done."""
        return replace(self, kept=kept)

    def __call__(
        self, model: nn.Module, data: View, generator: Generator, report: Report = silent
    ) -> nn.Module:
        """Train the members of an ensemble."""
        if not isinstance(model, Ensemble):
            raise TypeError(f"Sharded trains what its compose builds, got {type(model).__name__}")
        # by id: the models must not depend on the order in which a split lists its samples
        data = data.take(data.index.argsort())
        pace = _Pace(report, size=len(data), of=self.fit.epochs)
        shard, part = place(data, self.shards, self.slices, generator)
        for number, member in enumerate(model.members):
            for stage, epochs in enumerate(slice_epochs(self.fit.epochs, self.slices)):
                view = data.take((shard == number) & (part <= stage))
                slice_generator = branch(generator, "shard", str(number), "slice", str(stage))
                if len(view) and epochs:
                    self._advance(
                        member, replace(self.fit, epochs=epochs), view, slice_generator, pace
                    )
        pace.finish()
        return model

    def _advance(
        self, member: nn.Module, fit: Fit, view: View, generator: Generator, pace: "_Pace"
    ) -> None:
        """Train ``member`` for one stage, or take over what that gave before."""
        loss, seed = view.pool.task_type.loss, generator.initial_seed()

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            return loss(model(batch.inputs), batch.targets).mean()

        def noted(step: int, of: int, **values: float) -> None:
            del step, of  # they are about the stage
            pace.visit(len(view), values["loss"])

        def train() -> Mapping[str, Tensor]:
            batches = shuffled(view, fit.batch_size, generator, augment=fit.augment)
            with isolated(seed, "sharded", "layers"):
                fit(member, batches, objective, report=noted)
            return member.state_dict()

        # The seed is derived from shard and slice, so that it names the stage.
        state = self.kept("sharded", view, train, stage=seed, epochs=fit.epochs)
        member.load_state_dict(dict(state))


def place(data: View, shards: int, slices: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return shard and slice of each sample ``(n,)``, both random functions of its id alone."""
    count = len(data.pool.targets)
    order = torch.randperm(count, generator=branch(generator, "shards")).to(data.index.device)
    rank = order[data.index]
    # the remainder picks the shard and the quotient the slice, so that the two are independent
    return rank % shards, rank // shards % slices


def slice_epochs(epochs: int, slices: int) -> list[int]:
    """Return the epochs of each slice: increments of ``floor(2 k E / (R + 1))``."""
    # In integers: the floor of a float product could be one too low.
    total = [2 * number * epochs // (slices + 1) for number in range(slices + 1)]
    return [total[number + 1] - total[number] for number in range(slices)]


@dataclass
class _Pace:
    """Reports a loss whenever as many samples were visited as there are."""

    report: Report
    size: int
    of: int
    step: int = 0
    visits: int = 0
    loss: float = 0.0

    def visit(self, count: int, loss: float) -> None:
        self.visits += count
        self.loss += count * loss
        if self.visits >= self.size:
            self._emit()

    def finish(self) -> None:
        """Report what is left if it is at least half a pass, or all there is."""
        if 2 * self.visits >= self.size or (self.visits and not self.step):
            self._emit()

    def _emit(self) -> None:
        self.step += 1
        mean = self.loss / self.visits
        # Visits beyond a pass count towards the next, with the mean loss that they had.
        self.visits = max(self.visits - self.size, 0)
        self.loss = mean * self.visits
        self.report(self.step, max(self.of, self.step), loss=mean)
