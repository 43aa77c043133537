"""From a recipe to a trained model: the gradient loop, trainers, and the store of models."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.training")
