"""Any image classifier of timm, by name."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.models.image_size import image_channels
from erasure.models.pretrained import load_backbone, read_weights


def timm_model(
    input_shape: tuple[int, ...],
    num_classes: int,
    name: str = "resnet18",
    *,
    pretrained: bool | str = False,
    settings: Mapping[str, Any] | None = None,
    in_channels: int | None = None,
) -> nn.Module:
    """Build the classifier ``name`` of the package timm, which is an extra of this one.

    With pretrained weights, only the last layer depends on the seed: original and gold both start
    from the same backbone. Networks that are made for one size of images are made for that of the
    data.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        name: As timm calls it, with or without the tag of its weights, such as
            ``vit_tiny_patch16_224``.
        pretrained: ``true`` takes the weights of that name, downloading them if need be; text is
            a file of weights with the names of timm.
        settings: Further arguments of ``timm.create_model``, such as ``patch_size: 4``.
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If timm is not installed, or samples are not images.
        ConfigError: If the name is unknown, or weights cannot be found or do not fit.

    References:
        R. Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models.
    """
    timm = _timm()
    channels = image_channels(input_shape, in_channels, f"timm ({name})")
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"name must be a model of timm, such as resnet18, got {name!r}{hint}")
    arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": channels}
    # other networks do not take the argument
    if timm.get_pretrained_cfg(name).fixed_input_size:
        arguments["img_size"] = tuple(input_shape[1:])
    arguments.update(settings or {})
    if pretrained is True:
        return _downloaded(timm, name, arguments)
    model: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    if pretrained is not False:
        load_backbone(model, read_weights(str(pretrained)), str(pretrained))
    return model


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            'model timm needs the package timm: pip install "erasure-unlearning[timm]"; '
            "model=torchvision does without"
        ) from error
    return timm


def _downloaded(timm: Any, name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return the pretrained network with a new last layer."""
    try:
        model: Any = timm.create_model(name, pretrained=True, **arguments)
    except OSError as error:
        weights = timm.get_pretrained_cfg(name)
        raise ConfigError(
            f"pretrained weights of {name} cannot be downloaded from "
            f"{weights.hf_hub_id or weights.url} ({str(error).splitlines()[0]}). Download its "
            f"model.safetensors elsewhere and set pretrained to the path of the file"
        ) from error
    # timm keeps the old one if the number is equal
    model.reset_classifier(arguments["num_classes"])
    built: nn.Module = model
    return built
