"""Vision transformers for small images."""

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.models.image_size import image_channels


class ViT(nn.Module):
    """Patches of the image as words of a transformer; a further word is read out at the end.

    Attention is written with plain linear layers and matrix products, so that methods which count
    layers find its projections and ``torch.func`` can transform it. With 3 x 32 x 32 images,
    patches of 4 and ten classes the defaults have 208,074 weights; width 192, depth 12 and three
    heads, the size called tiny, have 5.36 million.

    Args:
        input_shape: Shape of one sample, (channels, height, width).
        num_classes: Number of logits.
        patch: Side of a patch in pixels, a divisor of height and width.
        width: Size of a word, a multiple of ``heads``.
        depth: Number of blocks.
        heads: Number of attention heads of a block.
        dropout: Share of activations dropped after attention and within a block, in [0, 1).
        in_channels: Number of input channels, checked against the data; None takes theirs.

    Raises:
        UnsupportedError: If samples are not images.
        ConfigError: If patches do not tile the image, or another setting is out of range.

    References:
        A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv:2010.11929;
        H. Touvron et al., "Training Data-Efficient Image Transformers", ICML 2021,
        arXiv:2012.12877.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        patch: int = 4,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        channels = image_channels(input_shape, in_channels, "vit")
        height, breadth = input_shape[1:]
        _check(patch=patch, width=width, depth=depth, heads=heads)
        if height % patch or breadth % patch:
            raise ConfigError(
                f"patch must divide height and width of images, {height} x {breadth}, got {patch}"
            )
        if width % heads:
            raise ConfigError(f"width must be a multiple of heads, {heads}, got {width}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout must be in [0, 1), got {dropout}")
        words = (height // patch) * (breadth // patch) + 1
        self.patches = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        self.read_out = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, words, width))
        self.blocks = nn.Sequential(
            *(_AttentionBlock(width, heads, dropout) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)
        self._initialize()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, classes)``."""
        # (B, width, rows, columns) to (B, words, width)
        words = self.patches(inputs).flatten(2).transpose(1, 2)
        read_out = self.read_out.expand(len(inputs), -1, -1)
        words = torch.cat([read_out, words], dim=1) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(words))[:, 0])
        return logits

    def _initialize(self) -> None:
        nn.init.trunc_normal_(self.positions, std=0.02)
        nn.init.trunc_normal_(self.read_out, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)


class _AttentionBlock(nn.Module):
    """Attention and a perceptron, each on normalized words and added to them."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.Sequential(
            nn.LayerNorm(width), _Attention(width, heads), nn.Dropout(dropout)
        )
        self.think = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, words: Tensor) -> Tensor:
        words = words + self.attend(words)
        mixed: Tensor = words + self.think(words)
        return mixed


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)

    def forward(self, words: Tensor) -> Tensor:
        batch, count, width = words.shape
        shape = (batch, count, 3, self.heads, width // self.heads)
        # three of (B, heads, words, width / heads)
        queries, keys, values = self.ask(words).reshape(shape).permute(2, 0, 3, 1, 4)
        scale = (width // self.heads) ** -0.5
        weights = (scale * queries @ keys.transpose(-2, -1)).softmax(dim=-1)
        # the heads lie side by side again
        mixed = (weights @ values).transpose(1, 2).reshape(batch, count, width)
        answer: Tensor = self.answer(mixed)
        return answer


def _check(**settings: int) -> None:
    for name, value in settings.items():
        if value < 1:
            raise ConfigError(f"{name} must be >= 1, got {value}")
