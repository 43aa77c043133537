"""Confining any optimizer, inside any method, to some of the weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook


@contextmanager
def only(model: nn.Module, masks: Mapping[str, Tensor]) -> Iterator[None]:
    """Let optimizers change the entries of ``model`` where a mask is true, and no others.

    Gradients are masked where they arise, so that clipping and momentum see masked ones. That
    alone does not hold weights in place: weight decay moves them all the same, and so does
    momentum gathered earlier. After each step protected entries therefore get the values they
    had on entry, and the optimizer's memory of them is emptied.

    Args:
        model: The model.
        masks: Masks by parameter name, each shaped like its parameter; a parameter without one
            is protected as a whole.

    Notes:
        Buffers, such as the statistics of batch normalization, are not covered.
    """
    kept: dict[Tensor, tuple[Tensor, Tensor]] = {}
    for name, parameter in model.named_parameters():
        mask = masks.get(name, torch.zeros_like(parameter)).bool()
        kept[parameter] = (mask, parameter.detach().clone())

    def restore(optimizer: Optimizer, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        del args, kwargs  # the hook's signature has them
        with torch.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter in kept:
                        _restore(parameter, *kept[parameter], optimizer)

    with ExitStack() as stack:
        for held, (mask, _) in kept.items():
            if held.requires_grad:
                _scale_gradient(stack, held, mask)
        # A hook on every optimizer of the process: a method builds its own inside the block.
        stack.callback(register_optimizer_step_post_hook(restore).remove)
        yield


@contextmanager
def scaled_gradients(model: nn.Module, scales: Mapping[str, Tensor]) -> Iterator[None]:
    """Multiply gradients by ``scales`` (by parameter name, broadcast) inside a block."""
    with ExitStack() as stack:
        for name, parameter in model.named_parameters():
            if name in scales:
                _scale_gradient(stack, parameter, scales[name])
        yield


@contextmanager
def frozen(model: nn.Module, names: frozenset[str]) -> Iterator[None]:
    """Switch off gradients of the parameters ``names`` for a block, then restore every flag."""
    flags = {parameter: parameter.requires_grad for parameter in model.parameters()}
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)


@contextmanager
def frozen_statistics(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let batch normalization among ``modules`` use and keep its running statistics.

    Each is put into eval mode in front of every forward pass, so that it does not matter when the
    model as a whole is put into train mode.
    """

    def rest(module: nn.Module, inputs: object) -> None:
        del inputs  # the hook's signature has them
        module.eval()

    with ExitStack() as stack:
        for module in modules:
            if isinstance(module, _NormBase):
                stack.callback(module.register_forward_pre_hook(rest).remove)
        yield


def _scale_gradient(stack: ExitStack, parameter: Tensor, scale: Tensor) -> None:
    # A mask is bool, and a gradient keeps its dtype.
    factor = scale.to(parameter.dtype)

    def multiply(gradient: Tensor) -> Tensor:
        return gradient * factor

    stack.callback(parameter.register_hook(multiply).remove)


def _restore(parameter: Tensor, mask: Tensor, before: Tensor, optimizer: Optimizer) -> None:
    parameter.copy_(torch.where(mask, parameter, before))
    # momentum and second moments of held weights would push them once they are free again
    for name, memory in optimizer.state.get(parameter, {}).items():
        if isinstance(memory, Tensor) and memory.shape == parameter.shape:
            optimizer.state[parameter][name] = memory.mul_(mask)
