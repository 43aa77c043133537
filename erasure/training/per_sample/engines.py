"""Three ways to the gradient of every single sample, from the fastest to the most general.

All of them expect the model in eval mode, where samples do not see each other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.func import functional_call, grad, vmap

from erasure.core.pool import Batch
from erasure.training.per_sample.layers import has_rule, layer_gradients, layer_squares

Objectives = Callable[[Tensor, Tensor], Iterable[Tensor]]
"""Logits ``(n, C)`` and targets to objectives of one value per sample, ``(n,)`` each."""

AT_ONCE = 16
"""Objectives whose slopes are kept together; they share what is prepared of the inputs."""


class Engine(Protocol):
    """Knows the gradients of a model for single samples."""

    @property
    def model(self) -> nn.Module:
        """The model."""

    def gradients(self, batch: Batch, objectives: Objectives) -> Iterator[dict[str, Tensor]]:
        """Yield, for each objective, ``(n, *shape)`` by name of each trained parameter."""

    def squares(self, batch: Batch, objectives: Objectives) -> dict[str, Tensor]:
        """Return the sum over samples and objectives of squared gradients."""


class _Visit(NamedTuple):
    module: nn.Module
    inputs: Tensor
    outputs: GradientEdge


@dataclass(frozen=True)
class ByLayers:
    """One backward pass to the outputs of all layers, then a closed form for each layer."""

    model: nn.Module

    def fits(self, batch: Batch, objectives: Objectives) -> bool:
        """Tell whether closed forms give all of the gradients, judged by one sample.

        Every trained parameter must belong to a layer that has one, that layer must run once,
        and nothing else may use the parameter: the graph of the loss shows how often it is used.
        """
        owners = [module for module in self.model.modules() if _trained(module)]
        if not all(has_rule(module) for module in owners):
            return False
        with _visits(self.model) as visits:
            losses = list(objectives(self.model(batch.inputs), batch.targets))
        seen = [visit.module for visit in visits]
        # Compared with repetitions: a layer that ran twice has been seen twice.
        if sorted(map(id, seen)) != sorted(map(id, owners)) or not _aligned(visits, batch):
            return False
        # One graph for all objectives: what they share of it is counted once.
        uses = _uses(torch.stack([loss.sum() for loss in losses]).sum())
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return all(uses.get(id(parameter), 0) == 1 for parameter in trained)

    def gradients(self, batch: Batch, objectives: Objectives) -> Iterator[dict[str, Tensor]]:
        """Yield, for each objective, ``(n, *shape)`` by name of each trained parameter."""
        names = _names(self.model)
        for visits, slopes in self._backward(batch, objectives, at_once=1):
            by_name: dict[str, Tensor] = {}
            for visit, (slope,) in zip(visits, slopes, strict=True):
                parts = layer_gradients(visit.module, visit.inputs, slope)
                for key, value in parts.items():
                    # None for a frozen parameter of a layer that has a trained one as well.
                    name = names.get(getattr(visit.module, key))
                    if name is not None:
                        by_name[name] = value
            yield by_name

    def squares(self, batch: Batch, objectives: Objectives) -> dict[str, Tensor]:
        """Return the sum over samples and objectives of squared gradients."""
        names = _names(self.model)
        total = {name: torch.zeros_like(p) for p, name in names.items()}
        for visits, slopes in self._backward(batch, objectives, at_once=AT_ONCE):
            for visit, several in zip(visits, slopes, strict=True):
                parts = layer_squares(visit.module, visit.inputs, several)
                for key, value in parts.items():
                    name = names.get(getattr(visit.module, key))
                    if name is not None:
                        total[name] += value
        return total

    def _backward(
        self, batch: Batch, objectives: Objectives, at_once: int
    ) -> Iterator[tuple[list[_Visit], list[list[Tensor]]]]:
        """Yield the visits of one forward pass with the slopes of some of the objectives."""
        with _visits(self.model) as visits:
            losses = list(objectives(self.model(batch.inputs), batch.targets))
        if not _aligned(visits, batch):
            raise ValueError("a layer of the model does not keep samples in the first dimension")
        edges = [visit.outputs for visit in visits]
        for start in range(0, len(losses), at_once):
            slopes = [_slopes(loss, edges) for loss in losses[start : start + at_once]]
            per_layer = [list(several) for several in zip(*slopes, strict=True)]
            yield _in_precision(visits, per_layer)


@dataclass(frozen=True)
class ByVmap:
    """The gradient of one sample, vectorized over samples by ``torch.func``."""

    model: nn.Module

    def fits(self, batch: Batch, objectives: Objectives) -> bool:
        """Tell whether ``torch.func`` can transform the model, by doing it."""
        try:
            self.squares(batch, objectives)
        except (RuntimeError, TypeError, ValueError):  # what it raises for what it cannot do
            return False
        return True

    def gradients(self, batch: Batch, objectives: Objectives) -> Iterator[dict[str, Tensor]]:
        """Yield, for each objective, ``(n, *shape)`` by name of each trained parameter."""
        trained = {name: p.detach() for p, name in _names(self.model).items()}
        for number in range(self._count(batch, objectives)):
            # a default is bound here and now; a closure would read the variable when it is called
            def objective(
                weights: Mapping[str, Tensor], inputs: Any, target: Tensor, number: int = number
            ) -> Tensor:
                logits = functional_call(self.model, dict(weights), (_alone(inputs),))
                # All are computed and one is used: torch.func differentiates a function.
                return list(objectives(logits, target[None]))[number].sum()

            each = vmap(grad(objective), in_dims=(None, 0, 0))
            yield each(trained, batch.inputs, batch.targets)

    def squares(self, batch: Batch, objectives: Objectives) -> dict[str, Tensor]:
        """Return the sum over samples and objectives of squared gradients."""
        return _summed_squares(self.model, self.gradients(batch, objectives))

    def _count(self, batch: Batch, objectives: Objectives) -> int:
        with torch.no_grad():
            return len(list(objectives(self.model(batch.inputs), batch.targets)))


@dataclass(frozen=True)
class OneByOne:
    """A backward pass per sample; for models and inputs that nothing else can handle."""

    model: nn.Module

    def gradients(self, batch: Batch, objectives: Objectives) -> Iterator[dict[str, Tensor]]:
        """Yield, for each objective, ``(1, *shape)`` by name; the batch must hold one sample."""
        names = _names(self.model)
        for loss in objectives(self.model(batch.inputs), batch.targets):
            gradients = torch.autograd.grad(
                loss.sum(), list(names), retain_graph=True, materialize_grads=True
            )  # the graph is kept for the other objectives
            yield {name: g[None] for name, g in zip(names.values(), gradients, strict=True)}

    def squares(self, batch: Batch, objectives: Objectives) -> dict[str, Tensor]:
        """Return the squared gradients of the sample, summed over objectives."""
        return _summed_squares(self.model, self.gradients(batch, objectives))


def _names(model: nn.Module) -> dict[Tensor, str]:
    return {p: name for name, p in model.named_parameters() if p.requires_grad}


def _trained(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters(recurse=False))


@contextmanager
def _visits(model: nn.Module) -> Iterator[list[_Visit]]:
    """Record, inside the block, the layers with trained parameters that run, in order.

    The place in the graph is kept instead of the output, which a following activation may
    overwrite in place.
    """
    visits: list[_Visit] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(outputs, Tensor):
            visits.append(_Visit(module, inputs[0].detach(), get_gradient_edge(outputs)))

    hooks = [m.register_forward_hook(keep) for m in model.modules() if _trained(m)]
    try:
        yield visits
    finally:
        for hook in hooks:
            hook.remove()


def _aligned(visits: list[_Visit], batch: Batch) -> bool:
    return all(len(visit.inputs) == len(batch.targets) for visit in visits)


def _uses(loss: Tensor) -> dict[int, int]:
    """Return how many edges of the graph of ``loss`` lead to each leaf, by id."""
    uses: dict[int, int] = {}
    pending: list[Node] = [loss.grad_fn] if loss.grad_fn is not None else []
    seen = set(pending)
    while pending:
        for node, _ in pending.pop().next_functions:
            leaf = getattr(node, "variable", None)
            if leaf is not None:  # the node that accumulates the gradient of a parameter
                uses[id(leaf)] = uses.get(id(leaf), 0) + 1
            elif node is not None and node not in seen:
                seen.add(node)
                pending.append(node)
    return uses


def _slopes(loss: Tensor, edges: list[GradientEdge]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(loss.sum(), edges, retain_graph=True, allow_unused=True)


def _in_precision(
    visits: list[_Visit], slopes: list[list[Tensor | None]]
) -> tuple[list[_Visit], list[list[Tensor]]]:
    """Leave out layers that no loss depends on, and compute in the precision of the weights."""
    kept: list[_Visit] = []
    values: list[list[Tensor]] = []
    for visit, several in zip(visits, slopes, strict=True):
        dtype = next(visit.module.parameters(recurse=False)).dtype
        # None: this objective does not reach the layer, its gradient is zero
        present = [slope.to(dtype) for slope in several if slope is not None]
        if present:
            inputs = visit.inputs.to(dtype) if visit.inputs.is_floating_point() else visit.inputs
            kept.append(visit._replace(inputs=inputs))
            values.append(present)
    return kept, values


def _alone(inputs: Any) -> Any:
    """Give one sample the batch dimension that the model expects."""
    if isinstance(inputs, Mapping):
        return {name: value[None] for name, value in inputs.items()}
    return inputs[None]


def _summed_squares(model: nn.Module, gradients: Iterator[dict[str, Tensor]]) -> dict[str, Tensor]:
    total = {name: torch.zeros_like(p) for p, name in _names(model).items()}
    for by_name in gradients:
        for name, value in by_name.items():
            total[name] += value.square().sum(dim=0)
    return total
