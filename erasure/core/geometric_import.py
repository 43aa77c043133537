"""Importing PyTorch Geometric: late, because it takes seconds, and without its warnings."""

import importlib
import warnings
from types import ModuleType


def geometric(part: str) -> ModuleType:
    """Import a part of PyTorch Geometric, such as ``nn``.

    Its own import asks torch for what torch calls deprecated; nobody who reads the warning could
    mend that. Only runs that need graphs come here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import torch_geometric  # noqa: F401  # says, to who reads imports, which library is used

        return importlib.import_module(f"torch_geometric.{part}")
