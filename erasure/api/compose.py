"""``erasure.compose``: the trial that a command line asks for."""

from collections.abc import Sequence
from threading import Lock

from erasure.config.compose import hydra_sees
from erasure.config.explain import explain
from erasure.config.folders import conf_folder
from erasure.config.loading import load_config
from erasure.config.settings import Composed
from erasure.core.errors import ConfigError, ErasureError
from erasure.trial.task import trial_of
from erasure.trial.trial import Trial

# Meanwhile what Hydra keeps for the whole process is ours: what ``${hydra:...}`` is, and a version
_ONE_AT_A_TIME = Lock()


def compose(*overrides: str) -> Trial:
    """Return the trial that ``python run.py OVERRIDES`` would carry out; nothing is run.

    The trial has the fingerprint, the models and the results of the command line's. Hydra's
    global state is neither used nor changed.

    Args:
        overrides: As on the command line, such as ``unlearner=scrub`` and ``seed=1``. A folder
            with groups of one's own is ``hydra.searchpath=[file:///folder]``.

    Raises:
        ConfigError: If they name what is not there, or a value is of the wrong type.

    Example:
        >>> import erasure
        >>> trial = erasure.compose("unlearner=ssd", "seed=1")
        >>> trial.unlearner.alpha
        10.0
        >>> trial.fingerprint == trial.replace(unlearner=erasure.unlearners.SSD()).fingerprint
        True
    """
    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(f"overrides must be text such as 'seed=1', got {override!r}")
    cfg = composed(overrides)
    with _ONE_AT_A_TIME, hydra_sees(cfg):
        return trial_of(cfg)


def composed(overrides: Sequence[str]) -> Composed:
    """Return the configuration that overrides compose, with the errors of the command line.

    Raises:
        ConfigError: If they name what is not there, or a value is of the wrong type.
    """
    with _ONE_AT_A_TIME:
        try:
            return load_config("config", overrides)
        except ErasureError:
            raise
        except Exception as error:
            message = explain(error, overrides, conf_folder())
            if message is None:
                raise
            raise ConfigError(message) from error
