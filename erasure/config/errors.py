"""Errors of a sweep, in the form that Hydra shows as one message."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException

from erasure.core.errors import ErasureError


class SweepError(ErasureError, CompactHydraException):
    """A sweep cannot start, or some of its trials have no result.

    A sweeper runs outside of the task function, and Hydra handles its errors: this kind is
    shown as its message alone, and the program exits with 1.
    """


@contextmanager
def shown_by_hydra() -> Iterator[None]:
    """Turn errors a user can mend into the kind that Hydra shows without a traceback."""
    try:
        yield
    except SweepError:
        raise
    except ErasureError as error:
        raise SweepError(str(error)) from error
