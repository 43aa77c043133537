"""The reference models of a trial, and their logits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from erasure.core.errors import StoreError
from erasure.core.fingerprint import RESULTS_VERSION, fingerprint, ids_fingerprint
from erasure.core.modes import evaluating
from erasure.core.references import ReferenceRole
from erasure.core.source import own_hash
from erasure.core.splits import SplitIndices, View
from erasure.core.task import Report, silent
from erasure.training.model_store import ModelStore, Trained
from erasure.training.tensor_cache import TensorCache
from erasure.trial.models import get_or_train
from erasure.trial.progress import Progress, quiet_progress
from erasure.trial.references.settings import FIRST_SEED
from erasure.trial.references.training import (
    ReferenceRequest,
    get_or_train_many,
    reference_requests,
    shadow_half,
)
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
        trial: The trial.
        store: Where trained models are.
        heldout: The held-out part that shadows may be trained on.
        batch_size: Samples per forward pass.
        keys: Names of the models there are, by role.
        trained: Number of models that had to be trained.
    """

    trial: Trial
    store: ModelStore
    heldout: Literal["val", "test"]
    batch_size: int = 1024
    keys: dict[ReferenceRole, list[str]] = field(default_factory=dict)
    trained: int = 0
    _seconds: dict[ReferenceRole, float] = field(default_factory=dict, repr=False)
    _logits: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def fill(self, size: int, progress: Progress) -> None:
        """Make sure that there are ``size`` originals, golds and unlearned models."""
        requests = reference_requests(self.trial, self.heldout)
        # a larger size extends a smaller one, so what is there is used again
        for role in ("original", "gold"):
            self._trained(role, requests[role][:size], progress)
        self._unlearned("unlearned", "original", [self.trial] * size, progress)

    def add_shadows(self, progress: Progress, *, unlearned: bool) -> None:
        """Make sure that there are shadows and, if asked for, what the method makes of them."""
        self._trained("shadow", reference_requests(self.trial, self.heldout)["shadow"], progress)
        if unlearned:
            halves = [self._half(number) for number in range(self.size("shadow"))]
            data = self.trial.data
            shadow_trials = [
                self.trial.on_data(
                    replace(data, indices=half, retain=View(data.pool, half.retain))
                )
                for half in halves
            ]
            self._unlearned("shadow_unlearned", "shadow", shadow_trials, progress)

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
        causes = {"logits": keys, "data": data, "code": own_hash(__name__)}
        key = fingerprint({**causes, "version": RESULTS_VERSION})
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
        trained = self.trial.data.retain.index.cpu() if gold else self.trial.data.indices.train
        # all of them on the same samples; expand makes no copies
        return torch.isin(ids, trained).expand(self.size(role), -1)

    def forgotten_by(self, role: ReferenceRole, view: View) -> Tensor:
        """Return which samples each model has unlearned since, ``(N, n)`` bool."""
        ids = view.index.cpu()
        if role == "shadow_unlearned":
            return torch.stack(
                [torch.isin(ids, self._half(k).forget) for k in range(self.size(role))]
            )
        forgotten = torch.isin(ids, self.trial.data.indices.forget)
        if role != "unlearned":
            forgotten = torch.zeros_like(forgotten)
        return forgotten.expand(self.size(role), -1)

    def _trained(
        self, role: ReferenceRole, requests: Sequence[ReferenceRequest], progress: Progress
    ) -> None:
        with self._stage(role, len(requests), progress) as report:
            self.keys[role], trained = get_or_train_many(self.trial, self.store, requests, report)
        self.trained += trained
        self._seconds[role] = sum(float(self.store.meta(k)["seconds"]) for k in self.keys[role])

    def _unlearned(
        self,
        role: ReferenceRole,
        source: ReferenceRole,
        trials: Sequence[Trial],
        progress: Progress,
    ) -> None:
        keys, spent = [], 0.0
        with self._stage(role, len(trials), progress) as report:
            for number, trial in enumerate(trials):
                seeded = trial.seeded(FIRST_SEED + number)
                original = self.keys[source][number]
                key = _unlearned_key(seeded, original)
                _, seconds, _ = self._tensors(key, partial(self._unlearn, seeded, original))
                spent += seconds
                keys.append(key)
                report(number + 1, len(trials))
        self.keys[role], self._seconds[role] = keys, spent

    def _unlearn(self, trial: Trial, original: str) -> Mapping[str, Tensor]:
        model = trial.fresh()
        model.load_state_dict(dict(self.store.state(original)))

        def get_requested(view: View) -> tuple[nn.Module, Trained]:
            model, trained = get_or_train(trial, self.store, view, quiet_progress(), "requested")
            self.trained += trained.fresh
            return model, trained

        cache = TensorCache(self.store.root)
        return unlearn(trial, model, get_requested, cache, silent)[0].state_dict()

    def _forward(self, role: ReferenceRole, view: View) -> Mapping[str, Tensor]:
        model = self.trial.fresh()
        logits = []
        # one model for all: its own weights are replaced every time
        for key in self.keys[role]:
            model.load_state_dict(dict(self._state(role, key)))
            with evaluating(model), torch.inference_mode():
                chunks = [model(b.inputs).float() for b in view.batches(self.batch_size)]
            logits.append(torch.cat(chunks).cpu())
        return {"logits": torch.stack(logits).clone()}

    def _state(self, role: ReferenceRole, key: str) -> Mapping[str, Tensor]:
        if not role.endswith("unlearned"):
            return self.store.state(key)

        def refuse() -> Mapping[str, Tensor]:
            raise StoreError(f"the unlearned model {key} is no longer in the store; run again")

        return self._tensors(key, refuse)[0]

    def _tensors(
        self, key: str, compute: Callable[[], Mapping[str, Tensor]]
    ) -> tuple[Mapping[str, Tensor], float, bool]:
        return TensorCache(self.store.root).get(key, torch.device("cpu"), compute)

    def _half(self, number: int) -> SplitIndices:
        return shadow_half(self.trial, self.heldout, number)

    @contextmanager
    def _stage(self, role: ReferenceRole, count: int, progress: Progress) -> Iterator[Report]:
        """Time the making of a role's models; what it reports is shown but is no curve."""
        name = f"references_{role}"
        with progress.stage(name, f"reference models: {count} {TITLES[role]}") as report:
            yield report
        for curve in [key for key in progress.curves if key.startswith(f"{name}/")]:
            del progress.curves[curve]


def _unlearned_key(trial: Trial, original: str) -> str:
    """Return the name of what the method makes of an original."""
    pool, indices, retain = trial.data.pool, trial.data.indices, trial.data.retain
    split = [ids_fingerprint(indices.forget), ids_fingerprint(retain.index)]
    data = [pool.fingerprint, retain.pool.fingerprint, indices.fingerprint]
    how = {key: trial.recipe[key] for key in ("precision", "threads", "device")}
    causes = {**trial.method, **how, "original": original, "split": split, "data": data}
    return fingerprint({**causes, "seed": trial.seeds.unlearn, "version": RESULTS_VERSION})
