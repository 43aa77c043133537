"""Index sets over one pool, and the views that look through them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import combine, ids_fingerprint
from erasure.core.pool import Batch, Pool

PARTS = ("forget", "retain", "val", "test")
"""Names of the parts of a split."""


@dataclass(frozen=True, kw_only=True)
class SplitIndices:
    """Sample ids of the four parts of a trial, each ``(n,)`` int64 and kept sorted.

    ``forget`` and ``retain`` together are the training set of the original model.

    Args:
        forget: Training samples to forget.
        retain: The rest of the training set.
        val: Held out for tuning.
        test: Held out for reporting.
        same_population: Held-out samples of the population that is forgotten: of the same class,
            the same person. None where the forget set is a sample of everything.
        requests: The forget set in the order in which it is asked for, if in more than one
            request.
        scenario: What a metric may need to know about the choice, such as the two classes whose
            labels were swapped.

    Raises:
        ConfigError: If a part is empty, an id occurs twice, or two parts overlap.
        ValueError: If the requests are not a partition of the forget set.
    """

    forget: Tensor
    retain: Tensor
    val: Tensor
    test: Tensor
    same_population: Tensor | None = None
    requests: tuple[Tensor, ...] = ()
    scenario: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in PARTS:
            ids = getattr(self, name).long().cpu().sort().values
            # the class is frozen for others; this is how a field is put into its normal form
            object.__setattr__(self, name, ids)
            if len(ids) == 0:
                raise ConfigError(f"the {name} set of this split is empty")
        if self.requests and not torch.equal(torch.cat(self.requests).sort().values, self.forget):
            raise ValueError("the requests are not a partition of the forget set")
        all_ids = torch.cat([self.forget, self.retain, self.val, self.test])
        # one look for both: an id twice in one part, or in two parts
        values, counts = all_ids.unique(return_counts=True)
        if len(values) != len(all_ids):
            shared = values[counts > 1][:5].tolist()
            raise ConfigError(f"the parts of this split overlap, for example in ids {shared}")

    @property
    def train(self) -> Tensor:
        """Sorted ids of forget and retain: one original serves every choice of forget set."""
        return torch.cat([self.forget, self.retain]).sort().values

    @property
    def fingerprint(self) -> str:
        """Hash of the four parts, and of the order of requests if there are several."""
        parts = [getattr(self, name) for name in PARTS]
        return combine(ids_fingerprint(ids) for ids in [*parts, *self.requests])


@dataclass(frozen=True)
class View:
    """Some samples of a pool, in a fixed order, perhaps under other labels.

    Args:
        pool: Where the samples live.
        index: Their ids, ``(n,)`` int64.
        labels: Labels ``(n,)`` to use instead of the pool's, aligned with ``index``.
    """

    pool: Pool
    index: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self.index):
            raise ValueError(f"{len(self.labels)} labels for {len(self.index)} samples")
        device = self.pool.targets.device
        object.__setattr__(self, "index", self.index.to(device))
        if self.labels is not None:
            object.__setattr__(self, "labels", self.labels.to(device))

    def __len__(self) -> int:
        return len(self.index)

    def __add__(self, other: "View") -> "View":
        """Concatenate two views of one pool."""
        if self.pool is not other.pool:
            raise UnsupportedError(
                "samples to forget and samples that stay cannot share a batch here, because what "
                "stays looks different once the rest is gone; use another unlearner, such as "
                "scrub, or split.unit=label"
            )
        index = torch.cat([self.index, other.index])
        if self.labels is None and other.labels is None:
            return View(self.pool, index)
        return View(self.pool, index, torch.cat([self.targets, other.targets]))

    @property
    def targets(self) -> Tensor:
        """Labels ``(n,)`` in the order of the view."""
        return self.pool.targets[self.index] if self.labels is None else self.labels

    def take(self, which: Tensor) -> "View":
        """Return the samples at a boolean mask ``(n,)`` or at positions ``(m,)``."""
        which = which.to(self.index.device)
        labels = None if self.labels is None else self.labels[which]
        return View(self.pool, self.index[which], labels)

    def relabel(self, labels: Tensor) -> "View":
        """Return the same samples under ``labels`` (n,)."""
        return replace(self, labels=labels)

    def batches(
        self,
        size: int,
        *,
        generator: Generator | None = None,
        augment: bool = False,
        equal: bool = False,
    ) -> Iterator[Batch]:
        """Visit every sample once, in batches of ``size``; the last may be smaller.

        Args:
            size: Samples per batch.
            generator: Shuffle with this generator; without it the order is that of the view.
            augment: Apply the pool's augmentation, drawn from ``generator``.
            equal: As many batches, of sizes that differ by at most one: for what averages over
                batches, where a short last one would weigh each of its samples more.

        A shuffled pass is a training pass: there a tail of a single sample joins the batch
        before it, because batch normalization cannot normalize one sample. It is never dropped.
        """
        if augment and generator is None:
            raise ValueError("augmentation needs a generator")
        index, labels = self.index, self.targets
        if generator is not None:
            order = torch.randperm(len(self), generator=generator).to(index.device)
            index, labels = index[order], labels[order]
        # (start, stop) of each batch in the order of this pass
        cuts = (
            equal_bounds(len(self), size)
            if equal
            else bounds(len(self), size, merge_tail=generator is not None)
        )
        chosen = [index[start:stop] for start, stop in cuts]
        inputs = self.pool.stream(chosen, augment=generator if augment else None)
        for (start, stop), ids, batch_inputs in zip(cuts, chosen, inputs, strict=True):
            yield Batch(batch_inputs, labels[start:stop], ids)

    def num_batches(self, size: int) -> int:
        """Return how many batches one shuffled pass makes."""
        return len(bounds(len(self), size, merge_tail=True))


def bounds(length: int, size: int, *, merge_tail: bool) -> list[tuple[int, int]]:
    """Return where the batches of a pass begin and end.

    Args:
        length: Number of samples.
        size: Samples per batch; the last may have fewer.
        merge_tail: Let a tail of a single sample join the batch before it.
    """
    starts = list(range(0, length, size))
    if merge_tail and size > 1 and len(starts) > 1 and length - starts[-1] == 1:
        starts.pop()
    return list(pairwise([*starts, length]))


def equal_bounds(length: int, size: int) -> list[tuple[int, int]]:
    """Return the bounds of the fewest batches of at most ``size``, as equal as they can be.

    Their sizes differ by at most one, the larger ones first.
    """
    count = -(-length // size)
    if count == 0:
        return []
    least, larger = divmod(length, count)
    return list(pairwise(least * i + min(i, larger) for i in range(count + 1)))


@dataclass(frozen=True, kw_only=True)
class DataSplits:
    """The four parts of a trial as views of one pool, and what else a metric may look at.

    Args:
        forget: Training samples to forget.
        retain: The rest of the training set.
        val: Held out for tuning.
        test: Held out for reporting.
        same_population: Ids of held-out samples of the forgotten population, or None, as in
            :class:`SplitIndices`.
        probes: Further samples by name, such as held-out ones with a trigger.
        scenario: What a metric may need to know about the choice of the forget set.
    """

    forget: View
    retain: View
    val: View
    test: View
    same_population: Tensor | None = None
    probes: Mapping[str, View] = field(default_factory=dict)
    scenario: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, pool: Pool, indices: SplitIndices, probes: Mapping[str, View] | None = None
    ) -> "DataSplits":
        """Look at ``pool`` through ``indices``."""
        parts = {name: View(pool, getattr(indices, name)) for name in PARTS}
        return cls(
            **parts,
            same_population=indices.same_population,
            probes=probes or {},
            scenario=dict(indices.scenario),
        )

    @property
    def train(self) -> View:
        """Forget and retain together, sorted by id whatever the forget set is."""
        # only the ids are taken: the training set has the labels of the pool
        both = self.forget + self.retain
        return View(both.pool, both.index.sort().values)

    def part(self, name: str) -> View:
        """Return a part or a probe by name.

        Of the held-out parts there are also the samples of the forgotten population and the
        others: ``test_forget`` and ``test_retain``, where the split tells them apart.
        """
        if name in self.probes:
            return self.probes[name]
        # "test_forget" is a side of "test"; names of whole parts have no underscore
        whole, _, side = name.partition("_")
        view: View = getattr(self, whole)
        return view.take(self.of_same_population(whole) == (side == "forget")) if side else view

    def of_same_population(self, name: str) -> Tensor:
        """Return which samples ``(n,)`` bool of a held-out part are of the forgotten population.

        Raises:
            KeyError: If the split does not tell them apart.
        """
        if self.same_population is None:
            raise KeyError(f"{name} is not divided: forgotten samples are a sample of everything")
        view: View = getattr(self, name)
        return torch.isin(view.index, self.same_population.to(view.index.device))
