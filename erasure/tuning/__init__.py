"""Optuna: search spaces, studies, pruning, and the recipes they lead to."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.tuning")
