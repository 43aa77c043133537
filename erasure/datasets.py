"""Every source of data, by class: ``erasure.datasets.Digits``."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.data")
