"""The errors a user can cause and mend."""


class ErasureError(Exception):
    """Base of every error that is shown as one message instead of a traceback."""


class ConfigError(ErasureError):
    """A setting is wrong.

    The message starts with the name of the setting, so that the caller can put the path of its
    owner in front: ``alpha must be in [0, 1], got 2`` becomes ``unlearner.alpha must be ...``.
    """


class UnsupportedError(ErasureError):
    """A method, model and data set do not go together; the message says what would."""


class DataError(ErasureError):
    """A data set cannot be loaded or is not what it should be."""


class StoreError(ErasureError):
    """The model store cannot be read or written."""


class TrackingError(ErasureError):
    """The tracking server or database cannot be used."""


class DivergedError(ErasureError):
    """A loss or a weight is no longer finite; the trial has no result."""


class PrunedError(ErasureError):
    """A study has seen enough of a trial; it was stopped and has no result."""


class NoOpError(ErasureError):
    """An unlearner returned the original model."""
