"""Views that are visited in batches that somebody chose, pass by pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Generator, Tensor

from erasure.core.pool import Batch, Pool
from erasure.core.splits import View

Order: TypeAlias = Sequence[Sequence[int]]
"""One pass: for each batch the numbers of its samples."""


@dataclass(eq=False)
class PassOrders:
    """The batches of every pass over some samples.

    Args:
        name: What is visited, for messages.
        plain: Ids ``(B,)`` of each batch, wherever ``passes`` says nothing: in every pass if it
            is empty, and in passes that are not shuffled, as teachers and importances make them.
        passes: Ids of each batch of the first shuffled pass, of the second, and so on.
        visits: How many of ``passes`` are over.
    """

    name: str
    plain: Sequence[Tensor]
    passes: Sequence[Sequence[Tensor]] = ()
    visits: int = 0

    def next(self) -> Sequence[Tensor]:
        """Return the batches of the next shuffled pass.

        Raises:
            ValueError: If there is none left.
        """
        if not self.passes:
            return self.plain
        if self.visits == len(self.passes):
            raise ValueError(
                f"the method makes more passes over {self.name} than the {self.visits} in orders"
            )
        self.visits += 1
        return self.passes[self.visits - 1]

    def upcoming(self) -> Sequence[Tensor]:
        """Return the same and leave it for later; after the last pass, that one."""
        return self.passes[min(self.visits, len(self.passes) - 1)] if self.passes else self.plain


@dataclass(frozen=True)
class GivenView(View):
    """A view that is visited in given batches, whatever size and order are asked for.

    Part of it is visited in the same batches less the samples that are not in the part. Samples
    are in the order in which a pass visits them that is not shuffled.

    Args:
        orders: The orders of what it is made of, one after the other.
        joint: The order of forget and retain together, if that has one of its own.
    """

    orders: tuple[PassOrders, ...] = ()
    joint: PassOrders | None = None

    def __add__(self, other: View) -> View:
        """Concatenate; visited in the joint order, or else in one part's after the other's."""
        both = super().__add__(other)
        if not isinstance(other, GivenView):
            return both
        orders = tuple(dict.fromkeys((*self.orders, *other.orders)))
        joint = self.joint if self.joint is other.joint else None
        return GivenView(both.pool, both.index, both.labels, orders, joint)._sorted()

    def take(self, which: Tensor) -> View:
        """Return some samples, which stay in their batches."""
        part = super().take(which)
        return replace(self, index=part.index, labels=part.labels)._sorted()

    def batches(
        self,
        size: int,
        *,
        generator: Generator | None = None,
        augment: bool = False,
        equal: bool = False,
    ) -> Iterator[Batch]:
        """Visit the given batches; a pass that is to be shuffled takes the next order."""
        del size, augment, equal  # what makes this view fixed
        if generator is None:
            chosen = [ids for orders in self.orders for ids in orders.plain]
        else:
            chosen = [ids for orders in self._shuffled for ids in orders.next()]
        targets = self.targets
        for ids, rows in self._rows(chosen):
            yield Batch(self.pool.fetch(ids), targets[rows], ids)

    def num_batches(self, size: int) -> int:
        """Return how many batches the next shuffled pass makes."""
        del size
        upcoming = [ids for orders in self._shuffled for ids in orders.upcoming()]
        return sum(1 for _ in self._rows(upcoming))

    @property
    def _shuffled(self) -> tuple[PassOrders, ...]:
        if self.joint is None or len(self.orders) == 1:
            return self.orders
        return (self.joint,)

    def _sorted(self) -> "GivenView":
        """Return the same samples in the order in which they are visited."""
        plain = torch.cat([ids for orders in self.orders for ids in orders.plain])
        rank = torch.zeros(len(self.pool.targets), dtype=torch.int64)
        rank[plain] = torch.arange(len(plain))
        order = rank[self.index].argsort(stable=True)
        labels = None if self.labels is None else self.labels[order]
        return replace(self, index=self.index[order], labels=labels)

    def _rows(self, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ids and rows of the samples of each batch that are in the view.

        Raises:
            ValueError: If the view has a sample twice, of which a batch cannot tell which it is.
        """
        if len(self.index.unique()) < len(self.index):
            raise ValueError("a view with given batches cannot have a sample twice")
        row = torch.full((len(self.pool.targets),), -1)
        row[self.index] = torch.arange(len(self.index))
        for ids in batches:
            rows = row[ids]
            if bool((rows >= 0).any()):
                yield ids[rows >= 0], rows[rows >= 0]


def given_views(
    pool: Pool,
    lengths: Mapping[str, Sequence[int]],
    orders: Mapping[str, Sequence[Order]],
) -> dict[str, GivenView]:
    """Return the parts of ``pool``, which has them one after the other.

    Args:
        pool: All samples.
        lengths: Of each part, how many samples its batches have.
        orders: Of a part, or of ``joint``, the passes over it; see :func:`fixed_task`.

    Raises:
        ValueError: If there is no such part, or a number is none of its samples.
    """
    allowed = [*lengths, "joint"]
    unknown = sorted(set(orders) - set(allowed))
    if unknown:
        raise ValueError(f"orders must be of {', '.join(allowed)}, got {', '.join(unknown)}")
    ids = dict(zip(lengths, _consecutive(sum(each) for each in lengths.values()), strict=True))
    plain = {name: list(ids[name].split(list(lengths[name]))) for name in lengths}
    joint = None
    if orders.get("joint"):
        both = torch.cat([ids["forget"], ids["retain"]])
        joint = PassOrders("forget and retain", (), _passes("joint", both, orders["joint"]))
    return {
        name: GivenView(
            pool,
            ids[name],
            orders=(
                PassOrders(name, plain[name], _passes(name, ids[name], orders.get(name, ()))),
            ),
            joint=None if name == "val" else joint,
        )
        for name in lengths
    }


def _consecutive(sizes: Iterator[int]) -> list[Tensor]:
    bounds = [0]
    for size in sizes:
        bounds.append(bounds[-1] + size)
    return [torch.arange(start, stop) for start, stop in pairwise(bounds)]


def _passes(name: str, ids: Tensor, orders: Sequence[Order]) -> list[list[Tensor]]:
    """Return numbers within a part as ids of the pool."""
    passes = []
    for number, order in enumerate(orders, start=1):
        batches = [torch.as_tensor(list(batch), dtype=torch.int64) for batch in order]
        flat = torch.cat(batches) if batches else torch.empty(0, dtype=torch.int64)
        wrong = flat[(flat < 0) | (flat >= len(ids))].tolist()
        if wrong or len(flat.unique()) < len(flat):
            what = f"{wrong[0]} is no number of" if wrong else "a number occurs twice among"
            raise ValueError(
                f"orders[{name!r}], pass {number}: {what} its {len(ids)} samples, 0 to "
                f"{len(ids) - 1}"
            )
        passes.append([ids[batch] for batch in batches])
    return passes
