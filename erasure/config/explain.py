"""Errors of Hydra in the words of a user: what was wrong, which key, what is allowed."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir, version
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException


def explain(error: BaseException, arguments: Sequence[str], conf: Path) -> str | None:
    """Return one message for an error of composing a configuration, or None if it is another.

    Args:
        error: What was raised.
        arguments: The command line.
        conf: The folder of the YAML groups.
    """
    if isinstance(error, ValueError) and str(error).startswith("Config group override"):
        return f"{error}, in: {' '.join(arguments)}"  # unlearner=3; Hydra does not say which
    if isinstance(error, ValueError) and str(error).startswith(("Only one of --", "The --")):
        return str(error)  # flags of Hydra that exclude each other
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    text = str(error)
    if isinstance(error, OverrideParseException) and error.override not in text:
        return f"{error.override} cannot be read: {text}"
    missing = re.search(r"Could not find '([\w/]+)/([^/']+)'", text)
    if missing and isinstance(error, MissingConfigException):
        return _no_such_option(missing.group(1), missing.group(2), error.options)
    unknown = re.search(r"(?:Could not override '([^']+)'|Key '([^']+)' is not in struct)", text)
    if unknown:
        return _no_such_key(unknown.group(1) or unknown.group(2), arguments, conf)
    return _wrong_value(error, text)


def _no_such_option(group: str, option: str, options: Sequence[str] | None) -> str:
    allowed = [name for name in options or [] if not name.startswith("_")]
    hint = _did_you_mean(option, allowed)
    return f"{group}={option} does not exist{hint}; allowed: {', '.join(allowed)}"


def _no_such_key(key: str, arguments: Sequence[str], conf: Path) -> str:
    all_keys = _all_keys(key, arguments, conf)
    last = key.rpartition(".")[2]
    owner = key.split(".", 1)[0]
    inside = [name for name in all_keys if name.split(".", 1)[0] == owner]
    same = [name for name in inside if name.rpartition(".")[2] == last]
    if any(name.startswith(f"{key}.") for name in all_keys):
        below = ", ".join(name for name in all_keys if name.startswith(f"{key}."))
        return (
            f"{key} has only the keys {below}; "
            f"to give it others, replace it: '~{key}' '+{key}={{...}}'"
        )
    tops = sorted({name.split(".", 1)[0] for name in all_keys})
    hint = f"; did you mean {same[0]}?" if same else _did_you_mean(key, inside or tops)
    allowed = inside or tops
    listed = f"; allowed: {', '.join(allowed)}" if allowed else ""
    return f"{key} is not a setting{hint}{listed}"


def _all_keys(key: str, arguments: Sequence[str], conf: Path) -> list[str]:
    """Compose once more without the unknown key, to learn which keys there are."""
    pattern = rf"[+~]*{re.escape(key)}="
    overrides = [a for a in arguments if "=" in a and not re.match(pattern, a)]
    kept = [a for a in overrides if not a.startswith(("-", "hydra")) and not _is_sweep(a)]
    # the command that failed is still open, and Hydra opens no second one
    before, version_before = GlobalHydra.instance().hydra, version.getbase()
    GlobalHydra.instance().hydra = None
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            cfg = compose("config", kept)
    except (HydraException, OmegaConfBaseException):
        return []  # something else is wrong as well; the key is named all the same
    finally:  # what is open may be another program, which only asked for a trial
        GlobalHydra.instance().hydra = before  # another instance by now
        version.VersionBase.instance().version_base = version_before
    flat = OmegaConf.to_container(cfg, resolve=False)
    return sorted(_paths(flat))


def _is_sweep(argument: str) -> bool:
    value = argument.partition("=")[2]
    return "," in value and not value.startswith(("[", "{", "'", '"'))


def _paths(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        inner = [_paths(v, f"{path}.{k}" if path else str(k)) for k, v in value.items()]
        # _target_ and the like are nothing to set
        return [leaf for paths in inner for leaf in paths if not leaf.endswith("_")]
    return [path]


def _wrong_value(error: BaseException, text: str) -> str:
    first = text.splitlines()[0]
    key = re.search(r"full_key: (\S+)", text)
    cause = error.__cause__
    if key is None and cause is not None:
        key = re.search(r"full_key: (\S+)", str(cause))
        first = str(cause).splitlines()[0]
    return f"{key.group(1)}: {first}" if key else text.strip()


def _did_you_mean(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
