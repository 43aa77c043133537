"""Any image classifier of torchvision, by name."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.models.image_size import (
    SMALLEST_FOR_IMAGENET,
    Stem,
    chosen_stem,
    image_channels,
    require_size,
)
from erasure.models.pretrained import load_backbone, read_weights

PATCHED = ("vit_", "swin_", "maxvit_", "convnext_")
"""Families whose first layer does not slide."""

POOLINGS = ("maxpool", "maxpool1", "features.pool0")
"""What the pooling after the first convolution is called, in the families that have one there."""

AUXILIARY = ("aux", "AuxLogits")
"""Further heads of the Inception networks, which only help to train them from scratch."""


def torchvision_model(
    input_shape: tuple[int, ...],
    num_classes: int,
    name: str = "resnet18",
    *,
    pretrained: bool | str = False,
    stem: Stem = "auto",
    in_channels: int | None = None,
) -> nn.Module:
    """Build the classifier ``name`` of ``torchvision.models``.

    With pretrained weights, only the last layer depends on the seed: original and gold both start
    from the same backbone.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        name: As torchvision calls it, such as ``mobilenet_v3_small``.
        pretrained: ``true`` takes the weights that torchvision recommends, downloading them
            if need be; text is a file of weights with the names of torchvision.
        stem: ``cifar`` lets the first convolution keep the size of images and leaves out the
            pooling after it; ``imagenet`` is the original; ``auto`` is ``imagenet`` with
            pretrained weights and for families that cut images into patches, otherwise
            ``cifar`` below 64 pixels.
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If samples are not images, or too small for the network.
        ConfigError: If the name or stem cannot be, or weights cannot be found or do not fit.
    """
    build = _builder(name)
    channels = image_channels(input_shape, in_channels, f"torchvision ({name})")
    small = _is_small(name, input_shape, stem, pretrained=pretrained)
    if pretrained is True and channels != 3:
        raise ConfigError(
            f"pretrained must be false for images of {channels} channels, the weights are for 3; "
            f"most image data sets have a setting channels=3"
        )
    settings = _settings(name, input_shape)
    model: nn.Module = build(weights=None, num_classes=num_classes, **settings)
    require_size(input_shape, _smallest(model, name, small=small), name)
    if small or channels != 3:
        _replace_first(model, channels, small=small)
    if pretrained is not False:
        weights = _downloaded(name) if pretrained is True else read_weights(str(pretrained))
        source = name if pretrained is True else str(pretrained)
        load_backbone(model, _resized(weights, name, settings), source, AUXILIARY)
    return model


def _builder(name: str) -> Any:
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(
            f"name must be a classifier of torchvision.models, such as resnet18, "
            f"got {name!r}{hint}"
        )
    return models.get_model_builder(name)


def _is_small(
    name: str, input_shape: tuple[int, ...], stem: Stem, *, pretrained: bool | str
) -> bool:
    """Tell whether the first layers are replaced by those for small images."""
    patched = name.startswith(PATCHED)
    if stem == "cifar" and (patched or pretrained is True):
        reason = "cuts images into patches" if patched else "has pretrained first layers"
        raise ConfigError(f"stem must be imagenet or auto for {name}, which {reason}, got cifar")
    if stem == "auto" and (patched or pretrained is not False):
        return False
    return not patched and chosen_stem(stem, input_shape) == "cifar"


def _settings(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what the builder has to be told besides the number of classes."""
    if name in ("googlenet", "inception_v3"):
        # both networks warn unless they are told how to draw their weights
        return {"aux_logits": False, "init_weights": True}
    if name.startswith("maxvit_"):
        return {"input_size": tuple(input_shape[1:])}
    if name.startswith("vit_"):
        # the side of a patch ends the name, as in vit_b_16
        patch = int(name.rpartition("_")[2])
        if input_shape[1] != input_shape[2] or input_shape[1] % patch:
            raise UnsupportedError(
                f"model {name} needs square images whose side is a multiple of {patch}, the data "
                f"set has {input_shape[1]} x {input_shape[2]}; use model=vit_mini"
            )
        return {"image_size": input_shape[1]}
    return {}


def _smallest(model: nn.Module, name: str, *, small: bool) -> int:
    """Return the side in pixels of the smallest images that leave something to classify."""
    from torchvision.models import get_model_weights

    if name.startswith(PATCHED):  # torchvision names the size of its own images for these
        return 1 if name.startswith("vit_") else SMALLEST_FOR_IMAGENET
    sizes: tuple[int, int] = get_model_weights(name).DEFAULT.meta["min_size"]
    # what the small first layers do not shrink, images need not have
    kept = int(_first(model)[1].stride[0]) * 2 ** len(_poolings(model)) if small else 1
    return math.ceil(min(sizes) / kept)


def _first(model: nn.Module) -> tuple[str, nn.Conv2d]:
    return next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))


def _poolings(model: nn.Module) -> list[str]:
    """Return the names of the pooling that follows the first convolution, where there is any."""
    return [name for name, _ in model.named_modules() if name in POOLINGS]


def _replace_first(model: nn.Module, channels: int, *, small: bool) -> None:
    """Let the first convolution take ``channels``, and keep the size of images if ``small``."""
    name_of_layer, old = _first(model)
    kernel = (min(old.kernel_size[0], 3),) * 2 if small else old.kernel_size
    new = nn.Conv2d(
        channels,
        old.out_channels,
        kernel,  # type: ignore[arg-type]  # two numbers
        stride=1 if small else old.stride,  # type: ignore[arg-type]
        padding=kernel[0] // 2 if small else old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    model.set_submodule(name_of_layer, new)
    for pooling in _poolings(model) if small else ():
        model.set_submodule(pooling, nn.Identity())


def _downloaded(name: str) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"pretrained weights of {name} cannot be downloaded from {weights.url}: {error}. Put "
            f"{Path(weights.url).name} into {folder}, or set pretrained to the path of a file"
        ) from error
    return state


def _resized(
    weights: Mapping[str, Tensor], name: str, settings: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    """Interpolate the positions of a vision transformer to the number of patches there are."""
    from torchvision.models.vision_transformer import interpolate_embeddings

    if not name.startswith("vit_") or "encoder.pos_embedding" not in weights:
        return weights
    patch = int(name.rpartition("_")[2])
    state = dict(weights)
    resized: Mapping[str, Tensor] = interpolate_embeddings(settings["image_size"], patch, state)
    return resized
