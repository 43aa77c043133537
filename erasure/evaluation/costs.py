"""Numbers that were noted while a trial ran."""

from erasure.core.context import EvalContext
from erasure.core.values import NotComputableError


def fact(ctx: EvalContext, name: str) -> float:
    """Return a noted number.

    Raises:
        NotComputableError: If it was not noted.
    """
    if name not in ctx.costs:
        raise NotComputableError("skipped", f"missing_fact:{name}")
    return ctx.costs[name]
