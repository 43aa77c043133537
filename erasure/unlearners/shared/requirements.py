"""What a method asks of the data, checked before it starts."""

from torch import Tensor

from erasure.core.errors import UnsupportedError
from erasure.core.splits import View


def require_one_label(view: View, method: str, instead: str) -> None:
    """Refuse samples with several labels.

    Raises:
        UnsupportedError: If labels are not one class per sample; says what to use ``instead``.
    """
    if view.targets.ndim != 1:
        raise UnsupportedError(
            f"{method} needs one class per sample, and these samples have several labels each; "
            f"use unlearner={instead}"
        )


def require_continuous(view: View, method: str, instead: str) -> None:
    """Refuse inputs that are not one tensor of floating-point numbers; reads a sample.

    Raises:
        UnsupportedError: If inputs cannot be changed by a little, as token ids and graphs cannot;
            says what to use ``instead``.
    """
    inputs = view.pool.fetch(view.index[:1])
    if not (isinstance(inputs, Tensor) and inputs.is_floating_point()):
        kind = str(inputs.dtype) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise UnsupportedError(
            f"{method} changes inputs by small amounts, which needs one tensor of floating-point "
            f"numbers per sample, and these are of type {kind}; use unlearner={instead}"
        )
