"""Plain modules from inputs to logits."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.models")
