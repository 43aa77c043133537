"""Every way to choose what is forgotten, by class: ``erasure.splits.ClassForget``."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.data.splits")
