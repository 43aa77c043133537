"""Train again without the forget set: the definition of what all others approximate."""

from dataclasses import dataclass

from torch import nn

from erasure.core.task import UnlearningTask


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """Train fresh weights on the retain set with the original's recipe and seed.

    The model comes through the store, so it is the gold model itself and is trained once. The
    time that is reported is that of the training, also when the weights were there already.

    Passes:
        0 over forget, the epochs of training over retain.

    Deviations:
        Builds a new network; code that resets only direct children keeps trained weights inside
        blocks.

    Notes:
        Starts from the same initial weights as the original, so that an empty forget set would
        give the original bit for bit. Code that only resets direct children of a network keeps
        the trained weights inside its blocks; here a new network is built.
    """

    def __call__(self, task: UnlearningTask) -> nn.Module:
        return task.train(task.retain)
