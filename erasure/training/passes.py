"""One epoch's worth of batches, made anew for every epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Generator

from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.splits import View

T = TypeVar("T")


@dataclass(frozen=True)
class Pass(Generic[T]):
    """What one epoch visits.

    Args:
        steps: Number of items.
        start: Returns a new iterator over them; draws a new order each time.
    """

    steps: int
    start: Callable[[], Iterator[T]]


def shuffled(view: View, size: int, generator: Generator, *, augment: bool) -> Pass[Batch]:
    """Visit ``view`` once per epoch, in a new order each time."""
    return Pass(
        view.num_batches(size),
        lambda: view.batches(size, generator=generator, augment=augment),
    )


def paired(
    main: View,
    other: View,
    size: int,
    generator: Generator,
    *,
    augment: bool,
    other_size: int | None = None,
) -> Pass[tuple[Batch, Batch]]:
    """Visit ``main`` once per epoch, each batch together with one of ``other``.

    ``other`` starts again in a new order when it runs out, and at every epoch. No pair is
    skipped when sizes differ. ``main`` is visited in the order that :func:`shuffled` would give
    it: ``other`` draws from a generator of its own.

    Raises:
        ValueError: If ``other`` is empty, which could not be repeated.
    """
    if len(other) == 0:
        raise ValueError("other must hold at least one sample")
    aside = branch(generator, "paired", "other")
    width = other_size or size

    def start() -> Iterator[tuple[Batch, Batch]]:
        others = _repeat(lambda: other.batches(width, generator=aside, augment=augment))
        keep = main.batches(size, generator=generator, augment=augment)
        # In this order zip stops at the end of `keep` without drawing one more of the others.
        return zip(keep, others, strict=False)

    return Pass(main.num_batches(size), start)


def _repeat(start: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
    while True:
        yield from start()
