"""Reference models on the samples of an attack, and which of them saw each sample."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.task_types import TaskType
from erasure.core.values import NotComputableError
from erasure.evaluation.attacks.nonmembers import NonMembers
from erasure.evaluation.reference_margins import CHUNK
from erasure.evaluation.signals import PHI_LIMIT, phi

Role = Literal["gold", "shadow"]
"""``gold`` for models that saw neither forget nor held-out samples, ``shadow`` for models that
saw a random half of all."""

Mode = Literal["offline", "online"]
"""Whether an attack uses only models that did not see a sample, or also those that did."""


@dataclass(frozen=True)
class ReferenceLogits:
    """What N reference models make of n samples: the forget set, then the non-members.

    Args:
        logits: ``(N, n, C)`` float32.
        seen: Which samples each model was trained on, ``(N, n)`` bool.
        targets: Labels, ``(n,)`` or for several of them ``(n, C)``.
        num_forget: How many of the samples are of the forget set.
    """

    logits: Tensor
    seen: Tensor
    targets: Tensor
    num_forget: int

    def losses(self, kind: TaskType) -> Tensor:
        """Return the loss of each sample under each model, ``(N, n)`` float64."""
        return torch.cat([self._losses(kind, chunk) for chunk in self._chunks()])

    def phi(self, kind: TaskType) -> Tensor:
        """Return logit-scaled confidences, ``(N, n)`` float64, cut off at 100."""
        confidences = torch.cat([phi(kind, chunk, self.targets) for chunk in self._chunks()])
        return confidences.clamp(-PHI_LIMIT, PHI_LIMIT)

    def _chunks(self) -> tuple[Tensor, ...]:
        """Return the logits a few models at a time, since float64 takes twice the memory."""
        chunks: tuple[Tensor, ...] = self.logits.split(max(1, CHUNK // self.logits[0].numel()))
        return chunks

    def _losses(self, kind: TaskType, logits: Tensor) -> Tensor:
        # A loss takes one row per sample: the models are put below one another.
        repeated = self.targets.expand(len(logits), *self.targets.shape).flatten(0, 1)
        return kind.loss(logits.double().flatten(0, 1), repeated).view(logits.shape[:2])


def check_references(role: str, mode: str) -> None:
    """Check the settings ``references`` and ``mode`` of an attack.

    Raises:
        ConfigError: If one is unknown, or they do not go together.
    """
    if role not in get_args(Role):
        raise ConfigError(f"references must be gold or shadow, got {role!r}")
    if mode not in get_args(Mode):
        raise ConfigError(f"mode must be offline or online, got {mode!r}")
    if (role, mode) == ("gold", "online"):
        raise ConfigError("mode must be offline for references=gold, which saw no sample")


def reference_models(ctx: EvalContext, role: Role, nonmembers: NonMembers) -> ReferenceLogits:
    """Return the reference models of an attack on the subject of ``ctx``.

    Reference models are never the subject itself. Without any the retrained model of the trial
    is the only reference; as the subject it has none, because an attack that is calibrated on the
    very model it attacks measures nothing.

    Args:
        ctx: The evaluation.
        role: Which models.
        nonmembers: The non-members.

    Raises:
        NotComputableError: If there are no such models, or logits are not finite.
    """
    references, chosen = ctx.references, nonmembers.chosen
    many = references is not None and references.size(role) > 0
    if role == "gold" and ctx.subject == "gold" and not many:
        raise NotComputableError("skipped", "missing_second_gold")
    logits = [ctx.stack(role, "forget"), ctx.stack(role, ctx.heldout)[:, chosen]]
    # The one retrained model of a trial saw neither the forget set nor held-out samples.
    seen = [torch.zeros(side.shape[:2], dtype=torch.bool) for side in logits]
    if references is not None and many:
        views = (ctx.sampled(part) for part in ("forget", ctx.heldout))
        seen = [references.trained_on(role, view).cpu() for view in views]
        seen[1] = seen[1][:, chosen]
    targets = torch.cat([ctx.targets("forget"), ctx.targets(ctx.heldout)[chosen]])
    return ReferenceLogits(
        torch.cat(logits, dim=1), torch.cat(seen, dim=1), targets, logits[0].shape[1]
    )
