"""What was measured, as a mapping from names to numbers."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from erasure.core.context import Who
from erasure.core.values import MetricValue
from erasure.evaluation.evaluation import Evaluation

if TYPE_CHECKING:
    import pandas as pd

NEEDS_ORIGINAL = "needs the model before it forgot: pass original="

REMEDIES = {
    "missing_gold": "needs the model that was trained without the forget set: pass gold=",
    "missing_original": NEEDS_ORIGINAL,
    "missing_cost:relative_weight_change": NEEDS_ORIGINAL,
    "missing_cost:forget_output_change": NEEDS_ORIGINAL,
    "missing_fresh": "needs networks with untrained weights: pass fresh=",
    "missing_references": "needs many models of one recipe: a trial with references.size has them",
}
"""What to pass, by the reason for which a metric could not be computed."""


class EvaluationResult(Mapping[str, float]):
    """The numbers of an unlearned model by the names of metrics, and what they compare with.

    What could not be computed is not among the numbers.

    Args:
        evaluation: Everything that was measured, with intervals and meanings.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    def __getitem__(self, name: str) -> float:
        value = self._values("unlearned").get(name)
        if value is None:
            raise KeyError(f"{name} was not measured")
        if value.status != "ok":
            raise KeyError(f"{name} was not computed: {_reason(value)}")
        return value.value

    def __iter__(self) -> Iterator[str]:
        return iter(_numbers(self._values("unlearned")))

    def __len__(self) -> int:
        return len(_numbers(self._values("unlearned")))

    def __repr__(self) -> str:
        return f"EvaluationResult({_numbers(self._values('unlearned'))})"

    @property
    def original(self) -> dict[str, float]:
        """The same numbers of the model before it forgot; empty without one."""
        return _numbers(self._values("original"))

    @property
    def gold(self) -> dict[str, float]:
        """The same numbers of the retrained model; empty without one."""
        return _numbers(self._values("gold"))

    @property
    def not_computed(self) -> dict[str, str]:
        """Why there is no number, by the name of the metric."""
        values = self._values("unlearned").items()
        return {name: _reason(value) for name, value in values if value.status != "ok"}

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with a row per metric and, of each model, a column.

        Further columns are the interval of the unlearned model's number, the ``direction`` in
        which it is better, the ``description``, and why it was ``not_computed``.
        """
        import pandas as pd

        values = self._values("unlearned")
        meanings = self.evaluation.meanings
        table = {
            "unlearned": pd.Series(_numbers(values), dtype=float),
            "original": pd.Series(self.original, dtype=float),
            "gold": pd.Series(self.gold, dtype=float),
            "ci_low": pd.Series({name: value.ci_low for name, value in values.items()}),
            "ci_high": pd.Series({name: value.ci_high for name, value in values.items()}),
            "direction": pd.Series({name: meanings[name].direction for name in values}),
            "description": pd.Series({name: meanings[name].description for name in values}),
            "not_computed": pd.Series(self.not_computed, dtype=object),
        }
        frame = pd.DataFrame(table, index=pd.Index(list(values), name="metric"))
        return frame.fillna({"not_computed": ""})

    def _values(self, who: Who) -> Mapping[str, MetricValue]:
        return self.evaluation.results.get(who, {})


def _numbers(values: Mapping[str, MetricValue]) -> dict[str, float]:
    return {name: value.value for name, value in values.items() if value.status == "ok"}


def _reason(value: MetricValue) -> str:
    return REMEDIES.get(value.reason, value.reason)
