"""Backbones that were trained elsewhere, below a head that was not."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.models.layers import weighted_layers

SHOWN = 3
"""How many names of a long list a message shows."""


def read_weights(path: str) -> dict[str, Tensor]:
    """Return the tensors by name in a file, of safetensors or of ``torch.save``.

    Nothing but tensors is ever unpickled.

    Raises:
        ConfigError: If the file cannot be read, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = Path(path).expanduser()
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"pretrained must be true, false or a readable file of weights, got {path}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(
            f"pretrained must be a file of tensors by name, as model.state_dict() returns them, "
            f"got {path}"
        )
    return dict(state)


def load_backbone(
    model: nn.Module, weights: Mapping[str, Tensor], source: str, ignored: Sequence[str] = ()
) -> None:
    """Give ``model`` the ``weights`` of all layers but the last, which keeps what it has.

    Whoever builds the model twice from different seeds gets the same backbone and two heads: a
    model retrained without the forget set starts where the original did.

    Args:
        model: With a last layer for the classes of the data.
        weights: Tensors by name, with or without those of the last layer.
        source: Where they are from, for messages.
        ignored: First parts of further names to leave out.

    Raises:
        ConfigError: If the backbone is not complete, or of another shape.
    """
    # with the dot, so that a layer whose name only begins like it is not left out
    head = weighted_layers(model)[-1][0] + "."
    left_out = (head, *ignored)
    kept = {name: value for name, value in weights.items() if not name.startswith(left_out)}
    model_state = model.state_dict()
    missing = [
        name
        for name in model_state
        # whole numbers are counters, such as num_batches_tracked, which older files do not have
        if name not in kept and not name.startswith(head) and model_state[name].is_floating_point()
    ]
    unknown = [name for name in kept if name not in model_state]
    other = [
        name
        for name in kept
        if name in model_state and kept[name].shape != model_state[name].shape
    ]
    for trouble, names in (("lacks", missing), ("has besides", unknown), ("resizes", other)):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise ConfigError(
                f"pretrained weights of {source} do not fit this model: the file {trouble} "
                f"{', '.join(names[:SHOWN])}{more}"
            )
    model.load_state_dict(kept, strict=False)
