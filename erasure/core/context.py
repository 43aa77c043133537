"""What a metric may see: models, data, and logits that are computed once."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from erasure.core.modes import evaluating
from erasure.core.references import ReferenceModels, ReferenceRole
from erasure.core.seeding import stream
from erasure.core.splits import DataSplits, View
from erasure.core.task import Fresh
from erasure.core.task_types import TaskType
from erasure.core.values import MetricValue, NotComputableError

Who = Literal["original", "unlearned", "gold"]

RETAIN_SAMPLE = 2000
"""Retain samples on which many reference models are compared."""


class Recorded(Protocol):
    """Receives what goes into a network's head at each forward pass, ``(B, features)``."""

    value: Tensor


Recorder = Callable[[nn.Module], AbstractContextManager[Recorded | None]]


@dataclass(frozen=True, kw_only=True)
class EvalContext:
    """The models of a trial, its data, and a cache of every forward pass.

    Args:
        models: The models by role; a role may be missing.
        splits: The data; parts are named ``forget``, ``retain``, ``val`` and ``test``.
        task_type: What the labels mean.
        num_classes: Number of classes.
        heldout: The held-out part this evaluation may look at, ``test`` or ``val``. The other
            one is refused, so that tuning cannot touch the test set by accident.
        seed: Seed of metrics that draw; each takes ``stream(ctx.seed, <its name>)``.
        costs: Numbers that were noted while the trial ran (seconds, bytes, passes).
        results: What was measured before in this evaluation, by role and name.
        subject: The role being measured.
        batch_size: Samples per forward pass.
        fresh: Builds the network with weights that never saw data, if a metric may need it.
        references: Further models of the same recipe, if the trial has them.
        recorder: Records features during the one forward pass, if a metric needs them.
    """

    models: Mapping[Who, nn.Module]
    splits: DataSplits
    task_type: TaskType
    num_classes: int
    heldout: Literal["test", "val"]
    seed: int
    costs: Mapping[str, float] = field(default_factory=dict)
    results: dict[Who, dict[str, MetricValue]] = field(default_factory=dict)
    subject: Who = "unlearned"
    batch_size: int = 1024
    fresh: Fresh | None = None
    references: ReferenceModels | None = None
    recorder: Recorder | None = None
    _features: dict[tuple[str, Who], Tensor] = field(default_factory=dict, repr=False)
    _cache: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> tuple[str, str, str]:
        """The parts that are evaluated: forget, retain and the held-out one."""
        return ("forget", "retain", self.heldout)

    @property
    def population_parts(self) -> tuple[str, ...]:
        """The two sides of the held-out part, where the split tells them apart.

        ``test_forget`` has the samples of the forgotten population, ``test_retain`` the others.
        A side may be empty.
        """
        if self.splits.same_population is None:
            return ()
        return (f"{self.heldout}_forget", f"{self.heldout}_retain")

    def of(self, who: Who) -> "EvalContext":
        """Return the same context with ``who`` as the subject; the cache is shared."""
        # replace passes the dictionaries on, private ones too: both contexts fill the same cache
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
            raise NotComputableError("degenerate", "empty_split", f"{part} has no samples")
        return _finite(self._whole(part, who))

    def features(self, part: str, who: Who | None = None) -> Tensor:
        """Return what goes into the head of a role's network, ``(n, D)`` float32, on the CPU.

        It is recorded during the forward pass that gives the logits.

        Raises:
            NotComputableError: If the network has no head or no metric asked for features.
        """
        who = who or self.subject
        self.logits(part, who)
        if part in self.population_parts:
            # A side has no forward pass of its own: its rows are among the held-out part's.
            features = self._features.get((self.heldout, who))
            features = None if features is None else features[self._side(part)]
        else:
            features = self._features.get((part, who))
        if features is None:
            raise NotComputableError("skipped", "no_features")
        return features

    def random_logits(self, part: str, number: int) -> Tensor:
        """Return the logits ``(n, C)`` of a network that never saw data: float32, CPU, once.

        Args:
            part: The samples.
            number: Which of the networks, from 0; each has initial weights of its own.

        Raises:
            NotComputableError: If no network can be built, the part is empty, or a logit is not
                finite.
        """
        if self.fresh is None:
            raise NotComputableError("skipped", "missing_fresh")
        if len(self.splits.part(self._allowed(part))) == 0:
            raise NotComputableError("degenerate", "empty_split")
        # no role has a space in its name, so these never take the key of a model of the trial
        key = (part, f"random {number}")
        if key not in self._cache:
            self._cache[key], _ = self._forward(part, self.fresh(key[1]), nullcontext())
        return _finite(self._cache[key])

    def stack(self, role: ReferenceRole, part: str) -> Tensor:
        """Return the logits ``(N, n, C)`` of all reference models of a role, stacked.

        The samples are those of :meth:`sampled`. Without reference models of the role it is the
        one model of the trial, N = 1; shadows have none.

        Raises:
            NotComputableError: If there is no such model, or a logit is not finite.
        """
        if self.references is not None and self.references.size(role):
            view = self.sampled(part)
            if len(view) == 0:
                raise NotComputableError("degenerate", "empty_split")
            return _finite(self.references.logits(role, view))
        if role == "shadow" or role == "shadow_unlearned":
            raise NotComputableError("skipped", f"missing_{role}")
        logits = self.logits(part, role)
        if part == "retain":
            logits = logits[self._retain_sample()]
        return logits.unsqueeze(0)

    def sampled(self, part: str) -> View:
        """Return the samples of a part on which many models are compared.

        That is the whole part, or of a large retain set a subset drawn by the evaluation seed.
        """
        view = self.splits.part(self._allowed(part))
        return view.take(self._retain_sample()) if part == "retain" else view

    def _retain_sample(self) -> Tensor:
        size = len(self.splits.retain)
        if size <= RETAIN_SAMPLE:
            return torch.arange(size)
        order = torch.randperm(size, generator=stream(self.seed, "evaluate", "stack"))
        # sorted, so that the samples keep the order they have in the part
        return order[:RETAIN_SAMPLE].sort().values

    def losses(self, part: str, who: Who | None = None) -> Tensor:
        """Return the loss ``(n,)`` of each sample of a part under a role."""
        return self.task_type.loss(self.logits(part, who), self.targets(part))

    def cost(self, name: str) -> float:
        """Return a number that was noted while the trial ran, see ``costs``.

        Raises:
            NotComputableError: If it was not noted.
        """
        if name not in self.costs:
            raise NotComputableError("skipped", f"missing_cost:{name}")
        return self.costs[name]

    def measured(self, name: str, who: Who | None = None) -> MetricValue:
        """Return a value measured earlier in this evaluation.

        Raises:
            NotComputableError: If it was not measured, or not measurable.
        """
        value = self.results.get(who or self.subject, {}).get(name)
        if value is None:
            raise NotComputableError("skipped", f"missing_{who or self.subject}:{name}")
        if value.status != "ok":
            raise NotComputableError(value.status, value.reason, value.counts)
        return value

    def _allowed(self, part: str) -> str:
        allowed = (*self.parts, *self.population_parts, *self.splits.probes)
        if part not in allowed:
            raise KeyError(f"part {part!r} is not evaluated here, only {', '.join(allowed)}")
        return part

    def _side(self, part: str) -> Tensor:
        same_population = self.splits.of_same_population(self.heldout).cpu()
        return same_population if part.endswith("_forget") else ~same_population

    def _whole(self, part: str, who: Who) -> Tensor:
        """Return the logits of a part; those of a side are among those of the held-out part."""
        if part in self.population_parts:
            return self._whole(self.heldout, who)[self._side(part)]
        key = (part, who)
        if key not in self._cache:
            model = self.models[who]
            self._cache[key], features = self._forward(part, model, self._recording(model))
            if features is not None:
                self._features[key] = features
        return self._cache[key]

    def _forward(
        self, part: str, model: nn.Module, recording: AbstractContextManager[Recorded | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Return logits and, if they are recorded, features of a part."""
        outputs, features = [], []
        with evaluating(model), torch.inference_mode(), recording as recorded:
            for batch in self.splits.part(part).batches(self.batch_size):
                outputs.append(model(batch.inputs).float())
                if recorded is not None:
                    # a head may flatten by itself: features are vectors in any case
                    features.append(recorded.value.float().flatten(1))
        # Copies made out here are ordinary tensors; those of inference mode refuse autograd.
        recorded_features = torch.cat(features).cpu().clone() if features else None
        return torch.cat(outputs).cpu().clone(), recorded_features

    def _recording(self, model: nn.Module) -> AbstractContextManager[Recorded | None]:
        return nullcontext() if self.recorder is None else self.recorder(model)


def _finite(logits: Tensor) -> Tensor:
    if not logits.isfinite().all():
        raise NotComputableError("degenerate", "nonfinite_logits")
    return logits
