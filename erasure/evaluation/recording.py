"""Features, recorded during the forward pass that gives the logits."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from erasure.core.context import Recorded
from erasure.core.errors import UnsupportedError
from erasure.models.layers import head, recorded_features


@contextmanager
def recording(model: nn.Module) -> Iterator[Recorded | None]:
    """Record what goes into the head of ``model``, or nothing if it has no single head."""
    try:
        head(model)
    except UnsupportedError:
        yield None
        return
    with recorded_features(model) as found:
        yield found
