"""Why a metric has no values."""

from erasure.evaluation.measure import measure


def reasons(metric, ctx):
    """Return the reasons of all values of a metric; ``{""}`` if it could compute them."""
    return {value.reason for value in measure(metric, ctx).values()}
