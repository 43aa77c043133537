"""Counting optimizer steps, whoever takes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook


@dataclass
class Steps:
    """A number of optimizer steps, still counting."""

    count: int = 0


@contextmanager
def counted_steps() -> Iterator[Steps]:
    """Count the steps of every optimizer in a block."""
    steps = Steps()

    def count(_: Optimizer, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        del args, kwargs  # the hook's signature has them
        steps.count += 1

    hook = register_optimizer_step_post_hook(count)
    try:
        yield steps
    finally:
        hook.remove()
