"""Where results are shown: MLflow, or nowhere; results themselves live in the ledger."""

from erasure.tracking.protocol import RunLostError, Sweep, Tracker

__all__ = ["RunLostError", "Sweep", "Tracker"]
