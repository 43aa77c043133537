"""Many networks of one architecture as one: dense layers batched, convolutions grouped."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from erasure.core.errors import UnsupportedError

POINTWISE = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.LeakyReLU, nn.Identity)
SPATIAL = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
BY_SAMPLE = (operator.add, torch.add, F.relu, torch.relu)
"""What does the same to every channel of every sample, whosever they are."""


class Stacked(nn.Module):
    """K networks of one architecture, run and trained at once.

    Activations are ``(B, K * C, H, W)`` in front of a flattening layer, so that one grouped
    convolution serves all networks, and ``(K, B, F)`` behind it, for one batched product. The
    parameters are those of the networks, stacked; an optimizer that treats every number alike
    (SGD, Adam and their kin) does with them what it would do with each network alone.

    Args:
        models: The networks; they are not changed.

    Raises:
        UnsupportedError: If there is a layer that cannot be stacked.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.count = len(models)
        self.graph = traced(models[0])
        states = [model.state_dict() for model in models]
        parameters = {name for name, _ in models[0].named_parameters()}
        self.names = list(states[0])
        # buffers too: running statistics are those of each network alone
        for name in self.names:
            value = torch.stack([state[name] for state in states])
            if name in parameters:
                self.register_parameter(_flat(name), nn.Parameter(value))
            else:
                self.register_buffer(_flat(name), value)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map a batch per network, ``(K, B, ...)``, to logits ``(K, B, classes)``."""
        logits: Tensor = _Run(self).run(_spread(inputs))
        return logits

    def state_of(self, number: int) -> dict[str, Tensor]:
        """Return the weights of one of the networks under their own names."""
        stacked_state = self.state_dict()
        return {name: stacked_state[_flat(name)][number].detach().clone() for name in self.names}

    def tensor(self, name: str) -> Tensor | None:
        """Return the stacked tensor ``(K, ...)`` of a name in the networks, if there is one."""
        return cast("Tensor | None", getattr(self, _flat(name), None))


def traced(model: nn.Module) -> fx.GraphModule:
    """Return the layers of ``model`` in order.

    Raises:
        UnsupportedError: If one of them cannot be stacked, naming it.
    """
    if any(
        True for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd)
    ):
        raise UnsupportedError("dropout draws from one generator for all networks")
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # whatever foreign code raises when it is traced
        raise UnsupportedError(f"{type(model).__name__} cannot be traced: {error}") from error
    for node in graph.graph.nodes:
        _refuse_unknown(graph, node)
    return graph


def _refuse_unknown(graph: fx.GraphModule, node: fx.Node) -> None:
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        stackable: tuple[type, ...] = (*POINTWISE, *SPATIAL, *_LAYERS)
        # Groups are what stacking itself uses, and F.conv2d pads with zeros only.
        plain_conv = not isinstance(module, nn.Conv2d) or (
            module.groups == 1 and module.padding_mode == "zeros"
        )
        # Without a momentum the module takes a cumulative mean, which F.batch_norm cannot.
        keeps_statistics = not isinstance(module, nn.BatchNorm2d) or (
            module.track_running_stats and module.momentum is not None and module.affine
        )
        # By exact type: a subclass may compute something else.
        if type(module) in stackable and plain_conv and keeps_statistics:
            return
        raise UnsupportedError(f"{type(module).__name__} cannot be stacked")
    flattens = (
        node.op == "call_function" and node.target is torch.flatten and node.args[1:] == (1,)
    )
    if node.op == "call_function" and (node.target in BY_SAMPLE or flattens):
        return
    if node.op not in ("placeholder", "output"):
        raise UnsupportedError(f"{node.op} {node.target} cannot be stacked")


class _Run(fx.Interpreter):
    """Interprets the graph of one network with the layers of all of them."""

    def __init__(self, stacked: Stacked) -> None:
        super().__init__(stacked.graph)
        self.stacked = stacked

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        module = self.stacked.graph.get_submodule(target)
        if isinstance(module, (*POINTWISE, *SPATIAL)):
            activations: Tensor = module(*args, **kwargs)
            return activations
        layer = _LAYERS[type(module)]
        return layer(self.stacked, f"{target}.", module, args[0])

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        if target is torch.flatten:
            return _dense(args[0], self.stacked.count)
        activations: Tensor = target(*args, **kwargs)
        return activations


def _spread(inputs: Tensor) -> Tensor:
    """Images ``(K, B, C, H, W)`` to ``(B, K * C, H, W)``; anything else as it is."""
    if inputs.ndim != 5:
        return inputs
    many, batch, channels, height, width = inputs.shape
    # channels of one network lie side by side: that is what groups of a convolution are
    return inputs.transpose(0, 1).reshape(batch, many * channels, height, width)


def _dense(values: Tensor, count: int) -> Tensor:
    """Activations in either layout to ``(K, B, F)``."""
    if values.ndim == 4:
        batch, channels, height, width = values.shape
        # channels of (K * C) split into (K, C): the order in which _spread joined them
        features = channels // count * height * width
        return values.reshape(batch, count, features).transpose(0, 1)
    return values.flatten(2)


def _flatten(stacked: Stacked, _: str, __: nn.Module, values: Tensor) -> Tensor:
    return _dense(values, stacked.count)


def _linear(stacked: Stacked, name: str, _: nn.Module, values: Tensor) -> Tensor:
    weight, bias = stacked.tensor(f"{name}weight"), stacked.tensor(f"{name}bias")
    assert weight is not None  # noqa: S101  # a linear layer has one
    if bias is None:
        return values @ weight.mT
    # (K, 1, F) is added to every row of the batch
    return torch.baddbmm(bias.unsqueeze(1), values, weight.mT)


def _conv(stacked: Stacked, name: str, module: nn.Module, values: Tensor) -> Tensor:
    conv = cast("nn.Conv2d", module)
    weight, bias = stacked.tensor(f"{name}weight"), stacked.tensor(f"{name}bias")
    assert weight is not None  # noqa: S101  # a convolution has one
    return F.conv2d(
        values,
        weight.flatten(0, 1),
        None if bias is None else bias.flatten(),
        conv.stride,
        conv.padding,
        conv.dilation,
        groups=stacked.count,
    )


def _batch_norm(stacked: Stacked, name: str, module: nn.Module, values: Tensor) -> Tensor:
    norm = cast("nn.BatchNorm2d", module)
    mean, variance, weight, bias = (
        cast("Tensor", stacked.tensor(f"{name}{part}"))
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    if stacked.training:
        cast("Tensor", stacked.tensor(f"{name}num_batches_tracked")).add_(1)
    return F.batch_norm(
        values,
        mean.view(-1),  # a view: torch updates it in place, and so the stacked buffer
        variance.view(-1),
        weight.flatten(),
        bias.flatten(),
        stacked.training,
        cast("float", norm.momentum),
        norm.eps,
    )


_Layer = Callable[[Stacked, str, nn.Module, Tensor], Tensor]
_LAYERS: Mapping[type[nn.Module], _Layer] = {
    nn.Flatten: _flatten,
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _batch_norm,
}


def _flat(name: str) -> str:
    """Return a name without dots, which names of parameters must not have."""
    return name.replace(".", "/")
