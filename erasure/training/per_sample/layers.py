"""Per-sample gradients of single layers, from what goes in and the slopes of what comes out.

The gradient of a layer's weight for one sample is a product of the layer's input and the gradient
of the loss with respect to its output ("slopes"). Both are known for a whole batch after one
backward pass, so the gradients of all samples are one batched product away.

References:
    I. Goodfellow, "Efficient Per-Example Gradient Computations", 2015, arXiv:1510.01799;
    G. Rochette et al., "Efficient Per-Example Gradient Computations in Convolutional Neural
    Networks", 2019, arXiv:1912.06015.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORKSPACE = {"cpu": 2**18}
"""How many numbers of per-sample gradients are held at once: what fits into a cache."""

GPU_WORKSPACE = 2**28
"""The same for other devices: what keeps them busy."""

Gradients = dict[str, Tensor]
"""``weight`` and ``bias``, each ``(n, *shape)``."""


class _Rule(NamedTuple):
    applies: Callable[[nn.Module], bool]
    prepare: Callable[[nn.Module, Tensor], Tensor]
    combine: Callable[[nn.Module, Tensor, Tensor], Gradients]


def has_rule(module: nn.Module) -> bool:
    """Tell whether per-sample gradients of ``module`` itself are known in closed form.

    A subclass may compute something else and has no rule.
    """
    rule = _RULES.get(type(module))
    return rule is not None and rule.applies(module)


@torch.no_grad()
def layer_gradients(module: nn.Module, inputs: Tensor, slopes: Tensor) -> Gradients:
    """Return the gradient of each parameter of ``module`` for each sample.

    Args:
        module: A layer that :func:`has_rule`.
        inputs: What it was given, ``(n, ...)``.
        slopes: Gradient of the summed losses with respect to its output, ``(n, ...)``.
    """
    rule = _RULES[type(module)]
    return _present(module, rule.combine(module, rule.prepare(module, inputs), slopes))


@torch.no_grad()
def layer_squares(module: nn.Module, inputs: Tensor, slopes: Sequence[Tensor]) -> Gradients:
    """Return the sum, over samples and over ``slopes``, of squared per-sample gradients.

    Of the gradients themselves no more than a fixed number is held at once.
    """
    if isinstance(module, nn.Linear) and inputs.ndim == 2:
        return _present(module, _linear_squares(inputs, slopes))
    rule = _RULES[type(module)]
    total = {name: torch.zeros_like(p) for name, p in module.named_parameters(recurse=False)}
    rows = _rows(module, inputs.device)
    for start in range(0, len(inputs), rows):
        prepared = rule.prepare(module, inputs[start : start + rows])
        for slope in slopes:
            by_name = rule.combine(module, prepared, slope[start : start + rows])
            for name, values in _present(module, by_name).items():
                _add_squares(total[name], values)
    return total


def _present(module: nn.Module, gradients: Gradients) -> Gradients:
    """Leave out what the layer does not have, such as a bias."""
    return {name: value for name, value in gradients.items() if getattr(module, name) is not None}


def _rows(module: nn.Module, device: torch.device) -> int:
    largest = max(p.numel() for p in module.parameters(recurse=False))
    return max(1, WORKSPACE.get(device.type, GPU_WORKSPACE) // largest)


def _add_squares(total: Tensor, gradients: Tensor) -> None:
    if len(gradients) == 1:
        total.addcmul_(gradients[0], gradients[0])  # one pass over memory instead of three
    else:
        total.add_(gradients.square_().sum(dim=0))


def _linear_squares(inputs: Tensor, slopes: Sequence[Tensor]) -> Gradients:
    """With one row per sample ``(s a)^2 = s^2 a^2``: no gradient is ever written down."""
    squared = torch.zeros_like(slopes[0])
    for slope in slopes:
        squared.addcmul_(slope, slope)
    return {"weight": squared.mT @ inputs.square(), "bias": squared.sum(dim=0)}


def _linear(_: nn.Module, inputs: Tensor, slopes: Tensor) -> Gradients:
    # Dimensions between the first and the last share the weight: the product sums over them.
    rows, slopes = (value.reshape(len(value), -1, value.shape[-1]) for value in (inputs, slopes))
    return {"weight": torch.bmm(slopes.mT, rows), "bias": slopes.sum(dim=1)}


def _patches(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return what each group of kernels sees, ``(n * groups, inputs per kernel, positions)``."""
    conv = cast("nn.Conv2d", module)
    padding = cast("tuple[int, int]", conv.padding)
    # unfold orders rows by channel, then position in the kernel: a group is a run of rows
    unfolded: Tensor = F.unfold(inputs, conv.kernel_size, conv.dilation, padding, conv.stride)
    grouped: Tensor = unfolded.unflatten(1, (conv.groups, -1)).flatten(0, 1)
    return grouped


def _conv2d(module: nn.Module, patches: Tensor, slopes: Tensor) -> Gradients:
    conv = cast("nn.Conv2d", module)
    flat = slopes.flatten(2)
    grouped = flat.unflatten(1, (conv.groups, -1)).flatten(0, 1)
    # a kernel is applied at every position, so its gradient is the sum over them: one product
    weight = torch.bmm(grouped, patches.mT)
    return {"weight": weight.view(-1, *conv.weight.shape), "bias": flat.sum(dim=2)}


def _by_statistics(module: nn.Module, inputs: Tensor) -> Tensor:
    norm = cast("nn.BatchNorm2d", module)
    shape = (1, -1, *[1] * (inputs.ndim - 2))
    # in eval mode these are constants, so that the norm is affine and samples stay apart
    mean, variance = (
        cast("Tensor", value).view(shape) for value in (norm.running_mean, norm.running_var)
    )
    return (inputs - mean) * (variance + norm.eps).rsqrt()


def _by_group(module: nn.Module, inputs: Tensor) -> Tensor:
    norm = cast("nn.GroupNorm", module)
    return F.group_norm(inputs, norm.num_groups, eps=norm.eps)


def _by_layer(module: nn.Module, inputs: Tensor) -> Tensor:
    norm = cast("nn.LayerNorm", module)
    return F.layer_norm(inputs, norm.normalized_shape, eps=norm.eps)


def _channels(_: nn.Module, normal: Tensor, slopes: Tensor) -> Gradients:
    product, slopes = (value.reshape(*value.shape[:2], -1) for value in (normal * slopes, slopes))
    return {"weight": product.sum(dim=2), "bias": slopes.sum(dim=2)}


def _elements(module: nn.Module, normal: Tensor, slopes: Tensor) -> Gradients:
    shape = cast("nn.LayerNorm", module).normalized_shape
    product, slopes = (v.reshape(len(v), -1, *shape) for v in (normal * slopes, slopes))
    return {"weight": product.sum(dim=1), "bias": slopes.sum(dim=1)}


def _rows_of(module: nn.Module, tokens: Tensor, slopes: Tensor) -> Gradients:
    table = cast("nn.Embedding", module)
    # one table per sample, all in one: row of sample i and token t is i * num_embeddings + t
    offsets = torch.arange(len(tokens), device=tokens.device) * table.num_embeddings
    flat_rows = (tokens.flatten(1) + offsets[:, None]).flatten()
    gradients = slopes.new_zeros(len(tokens) * table.num_embeddings, table.embedding_dim)
    gradients.index_add_(0, flat_rows, slopes.reshape(-1, table.embedding_dim))
    gradients = gradients.view(len(tokens), *table.weight.shape)
    if table.padding_idx is not None:  # torch never moves this row
        gradients[:, table.padding_idx] = 0.0
    return {"weight": gradients}


def _as_is(_: nn.Module, inputs: Tensor) -> Tensor:
    return inputs


def _always(_: nn.Module) -> bool:
    return True


def _zero_padded(module: nn.Module) -> bool:
    conv = cast("nn.Conv2d", module)
    # unfold pads with zeros, by numbers.
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _has_statistics(module: nn.Module) -> bool:
    # Without them it normalizes by the batch, in eval mode too, and samples see each other.
    return cast("nn.BatchNorm2d", module).running_mean is not None


def _plain_table(module: nn.Module) -> bool:
    table = cast("nn.Embedding", module)
    # max_norm changes rows as they are read, and frequencies are those of a whole batch.
    return table.max_norm is None and not (table.scale_grad_by_freq or table.sparse)


_BATCH_NORM = _Rule(_has_statistics, _by_statistics, _channels)
_RULES: dict[type[nn.Module], _Rule] = {
    nn.Linear: _Rule(_always, _as_is, _linear),
    nn.Conv2d: _Rule(_zero_padded, _patches, _conv2d),
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.BatchNorm3d: _BATCH_NORM,
    nn.GroupNorm: _Rule(_always, _by_group, _channels),
    nn.LayerNorm: _Rule(_always, _by_layer, _elements),
    nn.Embedding: _Rule(_plain_table, _as_is, _rows_of),
}
