"""Let torchvision import beside a torch build that its compiled operators do not fit.

The torchvision wheels of the registry are linked against CUDA. Beside a CPU build of torch their
library cannot be opened, and torchvision then fails on import because it describes two operators
(``nms`` and ``qnms``) that nobody declared. No unlearning method calls them, so declaring them
is enough. With wheels that fit, nothing here has an effect.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_declared: list[Any] = []  # torch forgets the declaration when its Library object dies


def install() -> None:
    """Act on the first import of torchvision by anybody; imports nothing itself."""
    hooked = any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path)
    if "torchvision" not in sys.modules and not hooked:
        sys.meta_path.insert(0, _BeforeTorchvision())


class _BeforeTorchvision(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        # it has to act once only
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            _declare_missing_operators(Path(spec.origin).parent)
        return None  # the usual finders load it


def _declare_missing_operators(package: Path) -> None:
    import torch

    library = next(package.glob("_C*.so"), None)
    try:
        if library is not None:
            torch.ops.load_library(str(library))
            return
    except OSError:
        pass  # linked against another torch: exactly the case this module is for
    # a fragment adds to the namespace, whether or not somebody else has declared it
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(declared)
