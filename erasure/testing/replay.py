"""Draws that somebody else made, returned in place of ours."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextmanager
def replayed_draws(draws: Sequence[Tensor]) -> Iterator[None]:
    """Return ``draws``, in order, wherever a generator is drawn from in a block.

    Every call of torch with a ``generator`` counts as a draw, whatever its law: noise by
    ``torch.randn``, labels by ``torch.randint``, choices by ``torch.randperm``, ``tensor.normal_``
    in place. A method on a task of :func:`fixed_task` draws nothing to order its batches.

    Args:
        draws: What to return; each must have the shape of what it stands for.

    Raises:
        ValueError: If a shape differs, there are too few, or some are left at the end.
    """
    replay = _Replay(draws)
    with replay:
        yield
    if replay.count < len(draws):
        raise ValueError(f"the method drew {replay.count} times, and draws has {len(draws)}")


class _Replay(TorchFunctionMode):
    def __init__(self, draws: Sequence[Tensor]) -> None:
        super().__init__()
        self.draws = draws
        self.count = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        # drawn in any case: what comes out has the shape and type that was asked for
        result = func(*args, **(kwargs or {}))
        if (kwargs or {}).get("generator") is None or not isinstance(result, Tensor):
            return result
        name = getattr(func, "__name__", str(func))
        if self.count == len(self.draws):
            raise ValueError(f"the method draws by {name} after the {self.count} in draws")
        draw = self.draws[self.count]
        if draw.shape != result.shape:
            raise ValueError(
                f"draws[{self.count}] must have the shape {tuple(result.shape)}, which {name} "
                f"draws, got {tuple(draw.shape)}"
            )
        self.count += 1
        if name.endswith("_"):
            with torch.no_grad():
                return result.copy_(draw)
        return draw.to(result)
