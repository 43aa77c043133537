"""What a method shares with the rest of the process: captured, compared, and put back."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers

GENERATORS: Mapping[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch": (torch.get_rng_state, torch.set_rng_state),
    "numpy.random": (np.random.get_state, np.random.set_state),
    "random": (random.getstate, random.setstate),
}
"""How to read and write the state of each global random generator."""

SETTINGS: Mapping[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
}
"""How to read and write each global setting of torch that a method may be tempted to change."""

# torch registers hooks for all modules in private tables, and has no other way to list them
_GLOBAL_HOOKS: Mapping[str, dict[int, Any]] = {
    name: table
    for home in (modules, optimizers)
    for name, table in vars(home).items()
    if name.startswith("_global_") and isinstance(table, dict)
}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The global state of random generators, settings and hooks at one moment."""

    generators: Mapping[str, Any]
    settings: Mapping[str, Any]
    hooks: Mapping[str, dict[int, Any]]

    @classmethod
    def capture(cls) -> "Surroundings":
        """Take everything down."""
        return cls(
            generators={name: read() for name, (read, _) in GENERATORS.items()},
            settings={name: read() for name, (read, _) in SETTINGS.items()},
            hooks={name: dict(table) for name, table in _GLOBAL_HOOKS.items()},
        )

    def restore(self) -> None:
        """Put everything back, so that one faulty method does not spoil the next test."""
        for name, (_, write) in GENERATORS.items():
            write(self.generators[name])
        for name, (read, write) in SETTINGS.items():
            # writing is not free: a default device, even the same, would install a mode of torch
            if read() != self.settings[name]:
                write(self.settings[name])
        for name, table in _GLOBAL_HOOKS.items():
            table.clear()
            table.update(self.hooks[name])

    def drawn(self, later: "Surroundings") -> list[str]:
        """Return the names of the generators whose state differs at a later moment."""
        states = self.generators.items()
        return [n for n, s in states if _plain(s) != _plain(later.generators[n])]

    def changed(self, later: "Surroundings") -> dict[str, tuple[Any, Any]]:
        """Return the settings that differ at a later moment, each before and after."""
        both = {name: (was, later.settings[name]) for name, was in self.settings.items()}
        return {name: (was, now) for name, (was, now) in both.items() if was != now}

    def hooked(self, later: "Surroundings") -> list[str]:
        """Return the names of the global hook tables that differ at a later moment."""
        return [name for name, table in self.hooks.items() if table != later.hooks[name]]


def seed_everything(seed: int) -> None:
    """Seed every global generator; only tests have a reason to, and restore them afterwards."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the legacy generator is what careless code draws from
    random.seed(seed)


def hooks_of(model: nn.Module) -> list[str]:
    """Return where hooks sit on the modules and parameters of ``model``."""
    on_modules = [
        f"{path or 'model'}.{name}"
        for path, module in model.named_modules()
        for name, hooks in vars(module).items()
        if name.endswith("_hooks") and hooks
    ]
    return on_modules + [name for name, weight in model.named_parameters() if _hooked(weight)]


def _hooked(weight: Tensor) -> bool:
    hooks = (getattr(weight, name, None) for name in ("_backward_hooks", _AFTER_ACCUMULATION))
    return any(hooks)


_AFTER_ACCUMULATION = "_post_accumulate_grad_hooks"


def _plain(state: Any) -> Any:
    """Return a generator state as nested tuples, which can be compared."""
    if isinstance(state, Tensor | np.ndarray):
        # == of arrays is an array, and tuples that hold some cannot be compared
        return tuple(state.tolist())
    return tuple(_plain(part) for part in state) if isinstance(state, tuple) else state
