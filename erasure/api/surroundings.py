"""Keeping the rest of the process as it is while something of ours works in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from erasure.core.seeding import isolated
from erasure.testing.surroundings import Surroundings, seed_everything


@contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Put global generators and settings of torch back after a block.

    What draws from the global generators inside, as data sets of other people do that crop and
    mirror, depends on ``seed`` alone.
    """
    before = Surroundings.capture()
    try:
        # isolated as well, for the generators of GPUs, which torch seeds with its own
        with (
            isolated(seed, "python"),
            torch.inference_mode(mode=False),
            torch.enable_grad(),
        ):
            seed_everything(seed % 2**32)  # numpy takes no more
            yield
    finally:
        before.restore()
