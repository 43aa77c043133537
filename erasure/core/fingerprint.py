"""Content hashes of configurations and tensors."""

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # who hashes plain data, such as the store of results, needs no torch
    from torch import Tensor, nn

RESULTS_VERSION = 1
"""Raised whenever a change of ours moves numbers: it retires stored models and finished trials."""


def fingerprint(value: Any) -> str:
    """Return 32 hex digits that depend on the content of a JSON-like ``value`` alone.

    The order of mapping keys does not matter, the order of lists does.

    Raises:
        TypeError: If ``value`` holds something JSON cannot express.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def tensor_fingerprint(*tensors: "Tensor") -> str:
    """Return 32 hex digits over the dtypes, shapes and bytes of ``tensors``, in order."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        # flat, because a tensor without dimensions cannot be viewed as bytes; as bytes, because
        # numpy has no bfloat16
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()


def ids_fingerprint(ids: "Tensor") -> str:
    """Return a hash of a set of sample ids; the order of ``ids`` (N,) does not matter."""
    return tensor_fingerprint(ids.long().cpu().sort().values)


def model_fingerprint(model: "nn.Module") -> str:
    """Return a hash of every parameter and buffer of ``model``, names included."""
    state = model.state_dict()
    return fingerprint([list(state), tensor_fingerprint(*state.values())])


def combine(parts: Iterable[str]) -> str:
    """Return one fingerprint for an ordered series of fingerprints."""
    return fingerprint(list(parts))
