"""Finding the parts of a network that methods speak of: layers in order, norms, the head."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from erasure.core.errors import UnsupportedError

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


def is_norm(module: nn.Module) -> bool:
    """Tell whether ``module`` normalizes activations."""
    return isinstance(module, NORMS)


def weighted_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that own a weight of two or more dimensions, in module order.

    These are the layers one counts: convolutions, linear maps, embeddings. Containers and norms
    are not among them; nested ones are found. What a module does not call ``weight``, such as the
    packed projections of ``nn.MultiheadAttention``, is not counted.
    """
    return [
        (name, module)
        for name, module in model.named_modules()
        if own_weight(module).ndim >= 2 and not is_norm(module)
    ]


def tail(model: nn.Module, k: int) -> list[tuple[str, nn.Module]]:
    """Return the last ``k`` layers that one counts, and every module that comes after the first.

    Modules are in module order, so that a norm between two of the layers is among them, and one
    in front of all of them is not. With as many layers as there are, or more, it is all modules.

    Raises:
        UnsupportedError: If the model has no layer that could be counted, or is an ensemble.
    """
    _require_one_network(model)
    modules = list(model.named_modules())
    counted = {name for name, _ in weighted_layers(model)}
    indices = [index for index, (name, _) in enumerate(modules) if name in counted]
    if not indices:
        raise UnsupportedError(
            f"{type(model).__name__} has no layer with a weight of two or more dimensions; use a "
            f"method that does not count layers, such as finetune"
        )
    # from the k-th of the counted layers, seen from the end, to the last module of any kind
    return modules[indices[-k] :] if k < len(indices) else modules


def own_weight(module: nn.Module) -> Tensor:
    """Return the parameter called ``weight`` of ``module`` itself, or an empty vector."""
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    # of one dimension and without elements, so that it counts neither as a layer nor as weights
    return nn.Parameter().detach() if weight is None else weight


def linear_maps(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers that multiply by their weight: all weighted ones but embeddings."""
    return [(n, m) for n, m in weighted_layers(model) if not isinstance(m, nn.Embedding)]


def kernels(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the convolutions or, in a model without any, all linear maps."""
    maps = linear_maps(model)
    return [(n, m) for n, m in maps if isinstance(m, _ConvNd)] or maps


def reset_layers(model: nn.Module, fresh: nn.Module, names: Collection[str]) -> None:
    """Give the modules ``names`` of ``model`` the values they have in ``fresh``."""
    for name in names:
        # buffers as well, such as the running statistics of a norm
        model.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())


def head(model: nn.Module) -> tuple[str, nn.Linear]:
    """Return the last linear layer and its name.

    Raises:
        UnsupportedError: If there is none, or one per member of an ensemble.
    """
    _require_one_network(model)
    linear_layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not linear_layers:
        raise UnsupportedError(
            f"{type(model).__name__} has no linear layer that could be its head; use a method "
            f"that does not need one, such as finetune"
        )
    return linear_layers[-1]


def _require_one_network(model: nn.Module) -> None:
    if isinstance(getattr(model, "members", None), nn.ModuleList):
        raise UnsupportedError(
            f"{type(model).__name__} is an ensemble, whose last layer would be that of its last "
            f"member; use unlearner=sisa, or another trainer than sharded"
        )


@dataclass
class Features:
    """The last input of a network's head, ``(B, features)``."""

    value: Tensor = field(default_factory=lambda: nn.Parameter().detach())


@contextmanager
def recorded_features(model: nn.Module) -> Iterator[Features]:
    """Record, at each forward pass inside the block, what goes into the head of ``model``."""
    features = Features()

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # a hook gets the positional inputs as a tuple; a head has one
        features.value = inputs[0]

    hook = head(model)[1].register_forward_pre_hook(keep)
    try:
        yield features
    finally:
        hook.remove()
