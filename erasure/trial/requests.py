"""The requests of a trial: usually one, or several that are made one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.splits import SplitIndices, View
from erasure.core.task import Report
from erasure.data.pools.through import AuditedPool, unaudited
from erasure.training.scoring import accuracy
from erasure.trial.trial import Trial


@dataclass(frozen=True, kw_only=True)
class ForgetRequest:
    """What is to be forgotten at once.

    Args:
        forget: What to forget now.
        retain: What is left of the training set afterwards.
        number: Index of the request, from 0.
        of: How many there are.
        done: All that has been requested up to and including this request.
    """

    forget: View
    retain: View
    number: int
    of: int
    done: View

    @property
    def path(self) -> tuple[str, ...]:
        """Name of its random stream; the first has that of a trial with a single request."""
        return (f"request {self.number}",) if self.number else ()

    def continuing(self, report: Report) -> Report:
        """Return a report whose steps go on where those of the request before it ended."""
        if self.of == 1:
            return report

        def continued(step: int, of: int, **values: float) -> None:
            # as if every request had as many steps as this one
            report(self.number * of + step, self.of * of, **values)

        return continued

    def report_accuracy(self, model: nn.Module, trial: Trial, report: Report) -> None:
        """Report how the model does after this request, if it is one of several."""
        if self.of == 1:
            return
        val = View(trial.data.pool, trial.data.indices.val)
        # these reads are not the method's
        done = View(unaudited(self.done.pool), self.done.index)
        report(
            self.number + 1,
            self.of,
            requested_accuracy=accuracy(model, done),
            val_accuracy=accuracy(model, val),
        )


def forget_requests(
    indices: SplitIndices, audited: AuditedPool, remaining: View
) -> list[ForgetRequest]:
    """Return the requests of a split in order.

    Args:
        indices: The split.
        audited: The data, counted.
        remaining: What is left of the training set after the last request.
    """
    # A split that deletes has another pool for what remains; its reads count in the same tally
    counted = AuditedPool(remaining.pool, audited.reads)
    pool = audited if remaining.pool is audited.pool else counted
    last = View(pool, remaining.index, remaining.labels)
    ids = indices.requests or (indices.forget,)
    return [
        ForgetRequest(
            forget=View(audited, forget_ids),
            retain=_with(last, ids[number + 1 :]),
            number=number,
            of=len(ids),
            done=View(audited, torch.cat(ids[: number + 1])),
        )
        for number, forget_ids in enumerate(ids)
    ]


def _with(last: View, later: Sequence[Tensor]) -> View:
    """Return what is left after the last request and what is asked for later, sorted by id."""
    if not later:
        return last
    both = last + View(last.pool, torch.cat(list(later)))
    return both.take(both.index.argsort())
