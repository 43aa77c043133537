"""From the flattened configuration of a record back to the object it described."""

from ast import literal_eval
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from erasure.config.build import build
from erasure.core.errors import ConfigError


def build_flattened(params: Mapping[str, str], key: str) -> Any:
    """Build the component at ``key`` of a configuration whose settings are dotted keys and text.

    Args:
        params: Settings as the record of a trial has them: ``evaluator.heldout`` to ``test``.
        key: Path of the component: ``evaluator``.

    Raises:
        ConfigError: If there is no such component, or it is none of this version's.
    """
    nested: dict[str, Any] = {}
    for path, text in params.items():
        if path.startswith(f"{key}."):
            *parents, name = path.removeprefix(f"{key}.").split(".")
            node = nested
            for parent in parents:
                node = node.setdefault(parent, {})
            node[name] = _value(text)
    if "_target_" not in nested:
        raise ConfigError(f"{key} must be there with a _target_, got {sorted(nested)}")
    return build(OmegaConf.create(nested), key)


def _value(text: str) -> Any:
    """Return what Python wrote as ``text``: a number, a list, None, True; else the text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text
