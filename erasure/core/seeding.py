"""Named random streams; the global generator is never read or left changed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


def stream(seed: int, *path: str) -> Generator:
    """Return the CPU generator that belongs to ``path``, a function of its arguments alone.

    Adding a consumer under another name never shifts the numbers of an existing one.
    """
    return Generator().manual_seed(_entropy(seed, path))


def branch(generator: Generator, *path: str) -> Generator:
    """Return a generator of its own for a second consumer, without drawing from the first.

    A method that reads a further part of the data then visits the parts it shares with a simpler
    method in exactly the same order.
    """
    return stream(generator.initial_seed(), *path)


@contextmanager
def isolated(seed: int, *path: str) -> Iterator[None]:
    """Run a block with the global generators seeded for ``path``, and restore them after it.

    Layer initializers and dropout offer no generator argument; inside this block what they draw
    is a function of ``seed`` and ``path``, and nobody outside notices that they drew.
    """
    # without devices fork_rng saves all GPUs, and saving those that nobody uses would start CUDA
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(_entropy(seed, path))
        yield


def _entropy(seed: int, path: tuple[str, ...]) -> int:
    # a byte that no name has stands between them: ("a", "bc") and ("ab", "c") are different paths
    digest = hashlib.blake2b("\0".join((str(seed), *path)).encode(), digest_size=8).digest()
    # 63 bits: a seed that also fits a signed integer
    return int.from_bytes(digest, "big") >> 1
