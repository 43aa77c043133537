"""Results: the record of a trial, the results on disk, and where they are shown."""

from erasure.core.lazy import lazy_names

__getattr__, __dir__ = lazy_names("erasure.results")
