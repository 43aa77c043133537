"""Run the contract of an unlearner, as a whole or clause by clause."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from erasure.core.task import Unlearner
from erasure.testing.contract import CLAUSES, PARTS, Case
from erasure.testing.toy import TOY_MODELS, ToyModel


def check_unlearner(
    unlearner: Unlearner,
    *,
    changes_weights: bool | None = True,
    reads: Sequence[str] | None = None,
    models: Iterable[ToyModel] = TOY_MODELS,
    whole_class: bool = False,
) -> None:
    """Check that a method keeps to the contract of an unlearner.

    Args:
        unlearner: The method.
        changes_weights: Whether it is meant to change parameters; True for all but controls, None
            for a method that may find nothing to change in some data.
        reads: The parts it reads, among ``forget``, ``retain`` and ``val``: these it must read,
            others it must not. None declares nothing; the test set is forbidden anyway.
        models: The toy networks to run it on.
        whole_class: Whether it forgets whole classes only; the forget set is then one.

    Raises:
        AssertionError: If a check fails; the message has one line for each that does.
        ValueError: If ``reads`` names something else.
    """
    checks = unlearner_checks(
        changes_weights=changes_weights, reads=reads, models=models, whole_class=whole_class
    )
    failures = [f"  {check}: {reason}" for check in checks if (reason := check.reason(unlearner))]
    if failures:
        head = f"{unlearner!r} fails {len(failures)} of {len(checks)} checks"
        raise AssertionError("\n".join([head, *failures]))


def unlearner_checks(
    *,
    changes_weights: bool | None = True,
    reads: Sequence[str] | None = None,
    models: Iterable[ToyModel] = TOY_MODELS,
    whole_class: bool = False,
) -> list["UnlearnerCheck"]:
    """Return the checks one by one, as for ``pytest.mark.parametrize(..., ids=str)``.

    The arguments are those of :func:`check_unlearner`.
    """
    if reads is not None and (isinstance(reads, str) or not set(reads) <= set(PARTS)):
        raise ValueError(f"reads must be None or a sequence of {', '.join(PARTS)}, got {reads!r}")
    return [
        UnlearnerCheck(
            body, model, changes_weights, None if reads is None else tuple(reads), whole_class
        )
        for model in models
        for body in CLAUSES
    ]


@dataclass(frozen=True)
class UnlearnerCheck:
    """One check on one toy network, to be called with a method.

    Args:
        body: The check.
        model: The toy network.
        changes_weights: Whether the method is meant to change parameters; None if it depends.
        reads: The parts it is meant to read, if declared.
        whole_class: Whether the forget set is a class of its own.
    """

    body: Callable[[Case], None]
    model: ToyModel
    changes_weights: bool | None
    reads: tuple[str, ...] | None
    whole_class: bool = False

    def __call__(self, unlearner: Unlearner) -> None:
        """Check ``unlearner``.

        Raises:
            AssertionError: If the check fails.
        """
        case = Case(unlearner, self.model, self.changes_weights, self.reads, self.whole_class)
        try:
            self.body(case)
        except Exception as error:
            error.add_note(f"in the check {self} of erasure.testing")
            raise

    def __str__(self) -> str:
        return f"{self.name}-{self.model}"

    @property
    def name(self) -> str:
        """What the check is called."""
        return self.body.__name__

    def reason(self, unlearner: Unlearner) -> str:
        """Return why ``unlearner`` fails, or nothing; what it raises itself is passed on."""
        try:
            self(unlearner)
        except AssertionError as error:
            return str(error) or "an assertion of the method failed"
        return ""
