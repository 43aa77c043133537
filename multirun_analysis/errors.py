"""The one kind of error that is shown to people as one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class AnalysisError(Exception):
    """Nothing can be reported, and the message says why and what to do."""


def near(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: names like ``name``, or those there are."""
    names = sorted(set(known))
    folded = {known_name.casefold(): known_name for known_name in names}
    close = [folded[found] for found in get_close_matches(name.casefold(), folded, n=3)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return f"there are {shown}" if names else "there are none"
