"""Names under which a study and its trials keep what is ours, as user attributes in Optuna."""

FACTS = "erasure.facts"
"""Of a study: what must be the same when it goes on, as JSON."""

NOTES = "erasure.notes"
"""Of a study: how it was asked for the last time, as JSON."""

OWNER = "erasure.owner"
"""Of a trial: the process that works on it; empty when it was given back."""

SEEN = "erasure.seen"
"""Of a trial: Unix time at which its process was heard of."""

REASON = "erasure.reason"
"""Of a trial: why it has no values."""

SECONDS = "erasure.seconds"
"""Of a trial: wall time of the method, mean over the seeds."""

CONSTRAINTS = "erasure.constraints"
"""Of a trial: constraint to violation, at most 0 when it holds."""
