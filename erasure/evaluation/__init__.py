"""The machinery of metrics: the evaluator, cached outputs, per-sample tables, pictures."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.evaluation")
