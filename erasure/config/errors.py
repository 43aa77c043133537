"""Errors of a sweep, in the form that Hydra shows as one message."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException

from erasure.core.errors import ErasureError


class CompactError(ErasureError, CompactHydraException):
    """An error of a sweep, which Hydra shows as its message alone, and exits with 1.

    A sweeper runs outside of the task function, and Hydra handles its errors.
    """


@contextmanager
def shown_by_hydra() -> Iterator[None]:
    """Turn errors a user can mend into the kind that Hydra shows without a traceback."""
    try:
        yield
    except ErasureError as error:
        raise CompactError(str(error)) from error
