"""The one kind of error that is shown to people as one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class AnalysisError(Exception):
    """Nothing can be reported, and the message says why and what to do."""


def near(name: str, names: Iterable[str]) -> str:
    """Return the end of an error message: names like ``name``, or those there are."""
    candidates = sorted(set(names))
    folded = {name.casefold(): name for name in candidates}
    close = [folded[match] for match in get_close_matches(name.casefold(), folded, n=3)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = ", ".join(candidates[:10]) + (", ..." if len(candidates) > 10 else "")
    return f"there are {shown}" if candidates else "there are none"
