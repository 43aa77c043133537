"""The command line: Hydra applied to a task, with options of outside packages on its path."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasure.config.folders import conf_folder, outside_configs
from erasure.core.errors import ErasureError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def launch(task: "Callable[[DictConfig], Any]") -> int:
    """Run ``task`` under Hydra with the arguments of this process and return the exit code."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        from erasure.cli.help import show_help

        show_help(conf_folder(), outside_configs())
        return 0
    if "--multirun" in arguments or "-m" in arguments:
        return reported(lambda: _under_hydra(task), arguments)
    return reported(lambda: _single_run(task), arguments)


def import_from_here() -> None:
    """Let a configuration name a class in a file of the folder where the command is typed."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # last: no file here stands in for an installed package


def _single_run(task: "Callable[[DictConfig], Any]") -> None:
    """Run ``task`` once; its error reaches us past Hydra, which would announce it as well."""
    caught: list[ErasureError] = []

    def guarded(cfg: "DictConfig") -> Any:
        try:
            return task(cfg)
        except ErasureError as error:
            caught.append(error)
            return None

    _under_hydra(guarded)
    if caught:
        raise caught[0]


def _under_hydra(task: "Callable[[DictConfig], Any]") -> None:
    import hydra

    from erasure.config.schema import register_schema, register_search_path

    register_schema()
    register_search_path(outside_configs())
    hydra.main(config_path=str(conf_folder()), config_name="config", **_version_arguments())(
        task
    )()


def _version_arguments() -> dict[str, Any]:
    """Return what hydra.main wants to hear about versions, which depends on its own."""
    import hydra

    if "execution_whitelist" not in inspect.signature(hydra.main).parameters:
        return {"version_base": "1.3"}
    # of packages such as mine.conf the name at the top, below which their classes are
    outside = [value.split(".", 1)[0] + ".*" for value in outside_configs()]
    packages = [
        "erasure.*",
        "hydra_plugins.*",
        "torch.*",
        "torchvision.*",
        "torch_geometric.*",
        "optuna.*",
    ]
    return {"execution_whitelist": [*packages, *outside]}


def reported(action: Callable[[], None], arguments: Sequence[str]) -> int:
    """Run ``action``; an error a user can mend is one message, any other a traceback.

    Hydra shortens tracebacks and exits by itself unless told not to, so it is told not to.
    """
    from erasure.config.explain import explain

    full_error = os.environ.get("HYDRA_FULL_ERROR")
    shown_in_full = full_error not in (None, "", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        action()
    except KeyboardInterrupt:
        _print_error("interrupted; the same command continues where it stopped")
        return 130
    except ErasureError as error:
        _print_error(str(error))
        if shown_in_full:
            raise
        return 1
    except Exception as error:
        message = explain(error, arguments, conf_folder())
        if message is None or shown_in_full:
            raise
        _print_error(message)
        return 1
    finally:
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error
    return 0


def _print_error(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble(("error  ", "bold red"), message), soft_wrap=True)
