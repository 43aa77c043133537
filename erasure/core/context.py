"""What a metric may see: models, data, and logits that are computed once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from erasure.core.kinds import TaskKind
from erasure.core.metric import Measured, NotComputableError
from erasure.core.splits import DataSplits

Who = Literal["original", "unlearned", "gold"]


@dataclass(frozen=True, kw_only=True)
class EvalContext:
    """The models of a trial, its data, and a cache of every forward pass.

    Args:
        models: The models by role; a role may be missing.
        splits: The data; parts are named ``forget``, ``retain``, ``val`` and ``test``.
        kind: What the labels mean.
        num_classes: Number of classes.
        heldout: The held-out part this evaluation may look at, ``test`` or ``val``. The other
            one is refused, so that tuning cannot touch the test set by accident.
        seed: Seed of metrics that draw; each takes ``stream(ctx.seed, <its name>)``.
        facts: Numbers known about a role without its outputs (seconds, bytes, passes).
        results: What was measured before in this evaluation, by role and name.
        subject: The role being measured.
        batch_size: Samples per forward pass.
    """

    models: Mapping[Who, nn.Module]
    splits: DataSplits
    kind: TaskKind
    num_classes: int
    heldout: Literal["test", "val"]
    seed: int
    facts: Mapping[str, float] = field(default_factory=dict)
    results: dict[Who, dict[str, Measured]] = field(default_factory=dict)
    subject: Who = "unlearned"
    batch_size: int = 1024
    _cache: dict[tuple[str, Who], Tensor] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> tuple[str, str, str]:
        """The parts that may be evaluated: forget, retain and the held-out one."""
        return ("forget", "retain", self.heldout)

    def of(self, who: Who) -> "EvalContext":
        """Return the same context with ``who`` as the subject; the cache is shared."""
        return replace(self, subject=who)

    def targets(self, part: str) -> Tensor:
        """Return the labels ``(n,)`` of a part, on the CPU."""
        return self.splits.part(self._allowed(part)).targets.cpu()

    def ids(self, part: str) -> Tensor:
        """Return the sample ids ``(n,)`` of a part, aligned with :meth:`logits`."""
        return self.splits.part(self._allowed(part)).index.cpu()

    def logits(self, part: str, who: Who | None = None) -> Tensor:
        """Return the logits ``(n, C)`` of a role on a part: float32, CPU, computed once.

        The model runs in eval mode without gradients and keeps its flags.

        Raises:
            NotComputableError: If the role is missing, the part is empty, or a logit is not
                finite.
        """
        who = who or self.subject
        if who not in self.models:
            raise NotComputableError("skipped", f"missing_{who}")
        if len(self.splits.part(self._allowed(part))) == 0:
            raise NotComputableError("degenerate", "empty_split")
        key = (part, who)
        if key not in self._cache:
            self._cache[key] = self._forward(part, self.models[who])
        found = self._cache[key]
        if not found.isfinite().all():
            raise NotComputableError("degenerate", "nonfinite_logits")
        return found

    def losses(self, part: str, who: Who | None = None) -> Tensor:
        """Return the loss ``(n,)`` of each sample of a part under a role."""
        return self.kind.loss(self.logits(part, who), self.targets(part))

    def measured(self, name: str, who: Who | None = None) -> Measured:
        """Return a value measured earlier in this evaluation.

        Raises:
            NotComputableError: If it was not measured, or not measurable.
        """
        found = self.results.get(who or self.subject, {}).get(name)
        if found is None:
            raise NotComputableError("skipped", f"missing_{who or self.subject}:{name}")
        if found.status != "ok":
            raise NotComputableError(found.status, found.reason)
        return found

    def _allowed(self, part: str) -> str:
        if part not in self.parts:
            raise KeyError(f"part {part!r} is not evaluated here, only {', '.join(self.parts)}")
        return part

    def _forward(self, part: str, model: nn.Module) -> Tensor:
        view = self.splits.part(part)
        with evaluating(model), torch.inference_mode():
            chunks = [model(batch.inputs).float() for batch in view.batches(self.batch_size)]
        return torch.cat(chunks).cpu().clone()  # a copy made out here is an ordinary tensor


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into eval mode for a block and give every module its own flag back."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, flag in flags:
            module.training = flag
