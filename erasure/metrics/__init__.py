"""One file per metric."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.metrics")
