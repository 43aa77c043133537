"""What the features of a model say about attributes of forgotten samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, distance, share
from erasure.core.seeding import stream
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.measure import measure_value
from erasure.evaluation.statistics.cross_validation import auc_by_fold
from erasure.training.logistic import fit_logistic, log_odds

FOLDS = 10


@dataclass(frozen=True, kw_only=True)
class AttributeInference:
    """How well a probe reads an attribute of forget samples from the features of a model.

    The features are those that go into the head, reduced to their main directions; the probe is a
    logistic regression for each value of the attribute against the others, and scores only
    samples it has not seen. ``auroc`` is the mean over all such questions of the area under the
    ROC curve; ``gap_to_gold`` is its distance from that of the retrained model. A column of
    numbers asks whether a sample is above the median, a column of sets whether it has each name.

    Args:
        attribute: Name of the column; None takes all columns that have questions to ask.
        components: Number of main directions of the features.
        min_per_class: Fewest samples on each side of a question, at least ten.

    References:
        C. Song and V. Shmatikov, "Overlearning Reveals Sensitive Attributes", ICLR 2020,
        arXiv:1905.11742.
    """

    needs_features = True

    attribute: str | None = None
    components: int = 64
    min_per_class: int = 50

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ConfigError(f"components must be >= 1, got {self.components}")
        if self.min_per_class < FOLDS:
            raise ConfigError(f"min_per_class must be >= {FOLDS}, got {self.min_per_class}")

    def values(self, parts: Parts) -> Values:
        meanings = {
            "attribute_inference/auroc": share(
                "closer_to_gold",
                "Mean area under the ROC curve with which attributes of forget samples are read "
                "from the features.",
            ),
            "attribute_inference/gap_to_gold": distance(
                "Distance of this area from that of the retrained model.", high=1.0
            ),
        }
        return Values(meanings, self._probed)

    def _probed(self, ctx: EvalContext) -> dict[str, MetricValue]:
        auroc = self._auroc(ctx, ctx.subject)
        gap = measure_value(partial(self._gap, auroc=auroc), ctx)
        return {"attribute_inference/auroc": auroc, "attribute_inference/gap_to_gold": gap}

    def _gap(self, ctx: EvalContext, auroc: MetricValue) -> MetricValue:
        signed = auroc.value - self._auroc(ctx, "gold").value
        return MetricValue(value=abs(signed), n=auroc.n, extras={"signed": signed})

    def _auroc(self, ctx: EvalContext, who: Who) -> MetricValue:
        questions = self._questions(ctx)
        reduced = main_directions(ctx.features("forget", who).double(), self.components)
        by_question = {
            question.name: probe(
                reduced[question.answered],
                question.answer[question.answered],
                stream(ctx.seed, "attribute_inference", question.name),
            )
            for question in questions
        }
        value = sum(by_question.values()) / len(by_question)
        return MetricValue(value=value, n=len(reduced), extras={"by_question": by_question})

    def _questions(self, ctx: EvalContext) -> list["_Question"]:
        columns = ctx.splits.forget.pool.attributes
        if not columns:
            raise NotComputableError("skipped", "no_attributes")
        if self.attribute is not None and self.attribute not in columns:
            raise NotComputableError("skipped", f"no_attribute:{self.attribute}")
        names = sorted(columns) if self.attribute is None else [self.attribute]
        ids = ctx.ids("forget")
        askable = [q for name in names for q in _questions_of(name, columns[name], ids)]
        questions = [q for q in askable if q.smaller_side >= self.min_per_class]
        if not questions:
            raise NotComputableError("degenerate", "too_few")
        return questions


class _Question(NamedTuple):
    """A yes-or-no question about n samples.

    Args:
        name: The column and what is asked of it.
        answer: ``(n,)`` bool; means nothing where ``answered`` is false.
        answered: Samples whose value is not missing, ``(n,)`` bool.
    """

    name: str
    answer: Tensor
    answered: Tensor

    @property
    def smaller_side(self) -> int:
        yes = int(self.answer[self.answered].sum().item())
        return min(yes, int(self.answered.sum().item()) - yes)


def main_directions(features: Tensor, components: int) -> Tensor:
    """Return centred features ``(n, D)`` in their main directions, ``(n, min(components, D))``.

    Labels are not looked at, so this may see all samples.
    """
    centred = features - features.mean(dim=0)
    if centred.shape[1] <= components:
        return centred
    directions: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors
    return centred @ directions[:, -components:]  # eigenvalues rise


def probe(features: Tensor, answer: Tensor, generator: Generator) -> float:
    """Return the mean area under the ROC curve of a logistic regression within left-out folds.

    Args:
        features: ``(n, d)``.
        answer: ``(n,)`` bool, at least ten on each side.
        generator: Draws the folds, each with its share of both sides.
    """
    fold = torch.empty(len(answer), dtype=torch.int64)
    for side in (answer, ~answer):
        samples = side.nonzero().flatten()
        order = torch.randperm(len(samples), generator=generator)
        fold[samples[order]] = torch.arange(len(samples)) % FOLDS
    outside = ~F.one_hot(fold, FOLDS).T.bool()
    fitted = fit_logistic(features, answer, outside.double())
    # Row k is fitted without fold k: each sample is scored by the row of its own fold.
    scores = log_odds(features, fitted).gather(0, fold.unsqueeze(0)).squeeze(0)
    return auc_by_fold(scores, answer, fold, FOLDS).mean().item()


def _questions_of(name: str, column: Column, ids: Tensor) -> Iterator[_Question]:
    values = column.values.cpu()[ids]
    if column.kind == "number":
        answered = ~values.isnan()
        middle = values[answered].median() if bool(answered.any()) else values.new_zeros(())
        yield _Question(f"{name}>median", values > middle, answered)
        return
    if column.kind == "set":
        answered = torch.ones(len(values), dtype=torch.bool)
        for index, label in enumerate(column.names):
            yield _Question(f"{name}={label}", values[:, index], answered)
        return
    present = values[values >= 0].unique().tolist()  # a negative code is a missing value
    for code in present[1:] if len(present) == 2 else present:  # two values are one question
        yield _Question(f"{name}={column.names[code]}", values == code, values >= 0)
