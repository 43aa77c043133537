"""Checks that image models share."""

from erasure.core.errors import ConfigError, UnsupportedError


def image_channels(input_shape: tuple[int, ...], in_channels: int | None, model: str) -> int:
    """Return the number of channels of images of ``input_shape`` (C, H, W).

    Args:
        input_shape: Shape of one sample.
        in_channels: What the configuration says, or None to take it from the data.
        model: Name for messages.

    Raises:
        UnsupportedError: If the samples are not images.
        ConfigError: If the configuration contradicts the data.
    """
    input_shape = tuple(input_shape)
    if len(input_shape) != 3:
        raise UnsupportedError(
            f"model {model} needs images (channels, height, width), the data set has samples of "
            f"shape {input_shape}; use model=mlp"
        )
    channels = input_shape[0]
    if in_channels is not None and in_channels != channels:
        raise ConfigError(
            f"in_channels must be {channels}, the number of channels of the data set "
            f"(samples of shape {input_shape}), got {in_channels}; null takes it from the data"
        )
    return channels
