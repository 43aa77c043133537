"""One trial: its parts, its checks, its run, its record."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.trial")
