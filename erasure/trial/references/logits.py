"""The pool of reference models of a trial, and their logits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from erasure.core.context import ReferenceRole, evaluating
from erasure.core.errors import StoreError
from erasure.core.fingerprint import RESULTS_VERSION, fingerprint, ids_fingerprint
from erasure.core.splits import SplitIndices, View
from erasure.core.task import Report
from erasure.training.model_store import ModelStore, Trained
from erasure.training.tensor_cache import TensorCache
from erasure.trial.models import obtain_trained
from erasure.trial.progress import Progress
from erasure.trial.references.many import ReferenceRequest, obtain_many, unwatched
from erasure.trial.references.members import members, shadow_half
from erasure.trial.references.settings import FIRST_SEED
from erasure.trial.trial import Trial
from erasure.trial.unlearning import unlearn

TITLES: Mapping[ReferenceRole, str] = {
    "original": "originals",
    "gold": "retrained models",
    "unlearned": "unlearned models",
    "shadow": "shadow models",
    "shadow_unlearned": "unlearned shadows",
}


@dataclass
class TrialReferences:
    """Originals, golds, shadows and what a method makes of them, each model made once, ever.

    Originals, golds and shadows are the same for all trials of one data set, split and recipe,
    whatever their seed and method; a method adds its unlearned models.

    Args:
        parts: The trial.
        store: Where trained models are.
        heldout: The held-out part that shadows may be trained on.
        batch_size: Samples per forward pass.
        keys: Names of the models there are, by role.
        trained: Number of models that had to be trained.
    """

    parts: Trial
    store: ModelStore
    heldout: Literal["val", "test"]
    batch_size: int = 1024
    keys: dict[ReferenceRole, list[str]] = field(default_factory=dict)
    trained: int = 0
    _seconds: dict[ReferenceRole, float] = field(default_factory=dict, repr=False)
    _logits: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def fill(self, size: int, watch: Progress) -> None:
        """Make sure that there are ``size`` originals, golds and unlearned models."""
        wanted = members(self.parts, self.heldout)
        for role in ("original", "gold"):
            self._trained(role, wanted[role][:size], watch)
        self._unlearned("unlearned", "original", [self.parts] * size, watch)

    def add_shadows(self, watch: Progress, *, unlearned: bool) -> None:
        """Make sure that there are shadows and, if asked for, what the method makes of them."""
        self._trained("shadow", members(self.parts, self.heldout)["shadow"], watch)
        if unlearned:
            halves = [self._half(number) for number in range(self.size("shadow"))]
            requests = [
                replace(self.parts, indices=half, remaining=View(self.parts.pool, half.retain))
                for half in halves
            ]
            self._unlearned("shadow_unlearned", "shadow", requests, watch)

    @property
    def seconds(self) -> float:
        """What making all models took, whenever that was."""
        return sum(self._seconds.values())

    def size(self, role: ReferenceRole) -> int:
        """Return how many models there are in a role."""
        return len(self.keys.get(role, []))

    def logits(self, role: ReferenceRole, view: View) -> Tensor:
        """Return the logits ``(N, n, C)`` of all models of a role; computed once, ever."""
        keys = self.keys[role]
        data = [view.pool.fingerprint, fingerprint(view.index.tolist())]
        key = fingerprint({"logits": keys, "data": data, "version": RESULTS_VERSION})
        if key not in self._logits:
            compute = partial(self._forward, role, view)
            self._logits[key] = self._tensors(key, compute)[0]["logits"]
        return self._logits[key]

    def trained_on(self, role: ReferenceRole, view: View) -> Tensor:
        """Return which samples each model was trained on at first, ``(N, n)`` bool."""
        ids = view.index.cpu()
        if role.startswith("shadow"):
            return torch.stack(
                [torch.isin(ids, self._half(k).train) for k in range(self.size(role))]
            )
        gold = role == "gold"
        trained = self.parts.remaining.index.cpu() if gold else self.parts.indices.train
        return torch.isin(ids, trained).expand(self.size(role), -1)

    def forgotten_by(self, role: ReferenceRole, view: View) -> Tensor:
        """Return which samples each model has unlearned since, ``(N, n)`` bool."""
        ids = view.index.cpu()
        if role == "shadow_unlearned":
            return torch.stack(
                [torch.isin(ids, self._half(k).forget) for k in range(self.size(role))]
            )
        forgotten = torch.isin(ids, self.parts.indices.forget)
        if role != "unlearned":
            forgotten = torch.zeros_like(forgotten)
        return forgotten.expand(self.size(role), -1)

    def _trained(
        self, role: ReferenceRole, wanted: Sequence[ReferenceRequest], watch: Progress
    ) -> None:
        with self._stage(role, len(wanted), watch) as report:
            self.keys[role], trained = obtain_many(self.parts, self.store, wanted, report)
        self.trained += trained
        self._seconds[role] = sum(float(self.store.meta(k)["seconds"]) for k in self.keys[role])

    def _unlearned(
        self,
        role: ReferenceRole,
        source: ReferenceRole,
        requests: Sequence[Trial],
        watch: Progress,
    ) -> None:
        keys, spent = [], 0.0
        with self._stage(role, len(requests), watch) as report:
            for number, parts in enumerate(requests):
                seeded = parts.seeded(FIRST_SEED + number)
                original = self.keys[source][number]
                key = _unlearned_key(seeded, original)
                _, seconds, _ = self._tensors(key, partial(self._unlearn, seeded, original))
                spent += seconds
                keys.append(key)
                report(number + 1, len(requests))
        self.keys[role], self._seconds[role] = keys, spent

    def _unlearn(self, parts: Trial, original: str) -> Mapping[str, Tensor]:
        watch, report = unwatched()
        model = parts.fresh()
        model.load_state_dict(dict(self.store.state(original)))

        def obtain(view: View) -> tuple[nn.Module, Trained]:
            model, trained = obtain_trained(parts, self.store, view, watch, "requested")
            self.trained += trained.fresh
            return model, trained

        cache = TensorCache(self.store.root)
        return unlearn(parts, model, obtain, cache, report)[0].state_dict()

    def _forward(self, role: ReferenceRole, view: View) -> Mapping[str, Tensor]:
        model = self.parts.fresh()
        found = []
        for key in self.keys[role]:
            model.load_state_dict(dict(self._state(role, key)))
            with evaluating(model), torch.inference_mode():
                chunks = [model(b.inputs).float() for b in view.batches(self.batch_size)]
            found.append(torch.cat(chunks).cpu())
        return {"logits": torch.stack(found).clone()}

    def _state(self, role: ReferenceRole, key: str) -> Mapping[str, Tensor]:
        if not role.endswith("unlearned"):
            return self.store.state(key)

        def gone() -> Mapping[str, Tensor]:
            raise StoreError(f"the unlearned model {key} is no longer in the store; run again")

        return self._tensors(key, gone)[0]

    def _tensors(
        self, key: str, compute: Callable[[], Mapping[str, Tensor]]
    ) -> tuple[Mapping[str, Tensor], float, bool]:
        return TensorCache(self.store.root).get(key, torch.device("cpu"), compute)

    def _half(self, number: int) -> SplitIndices:
        return shadow_half(self.parts, self.heldout, number)

    @contextmanager
    def _stage(self, role: ReferenceRole, count: int, watch: Progress) -> Iterator[Report]:
        """Time the making of a role's models; what it reports is shown but is no curve."""
        name = f"references_{role}"
        with watch.stage(name, f"reference models: {count} {TITLES[role]}") as report:
            yield report
        for curve in [key for key in watch.curves if key.startswith(f"{name}/")]:
            del watch.curves[curve]


def _unlearned_key(parts: Trial, original: str) -> str:
    """Return the name of what the method makes of an original."""
    split = [ids_fingerprint(parts.indices.forget), ids_fingerprint(parts.remaining.index)]
    data = [parts.pool.fingerprint, parts.remaining.pool.fingerprint, parts.indices.fingerprint]
    how = {key: parts.recipe[key] for key in ("precision", "threads", "device")}
    causes = {**parts.method, **how, "original": original, "split": split, "data": data}
    return fingerprint({**causes, "seed": parts.seeds.unlearn, "version": RESULTS_VERSION})
