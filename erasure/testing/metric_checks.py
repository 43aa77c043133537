"""The contract of a metric, and ``check_metric`` that runs all of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from erasure.core.context import EvalContext, Who
from erasure.core.fingerprint import model_fingerprint
from erasure.core.metric import Metric
from erasure.core.values import Meaning, MetricValue
from erasure.evaluation.measure import UndeclaredNamesError, meanings, measure
from erasure.testing.surroundings import Surroundings, hooks_of, seed_everything
from erasure.testing.toy import toy_context

HELDOUT: tuple[Literal["test", "val"], ...] = ("test", "val")


def check_metric(metric: Metric, *, after: Sequence[Metric] = ()) -> None:
    """Check that a metric keeps to the contract of a metric.

    Args:
        metric: The metric.
        after: Metrics it builds upon; they are measured first.

    Raises:
        AssertionError: If a check fails; the message has one line for each that does.
    """
    checks = metric_checks(after=after)
    failures = [f"  {check}: {reason}" for check in checks if (reason := check.reason(metric))]
    if failures:
        head = f"{metric!r} fails {len(failures)} of {len(checks)} checks"
        raise AssertionError("\n".join([head, *failures]))


def metric_checks(*, after: Sequence[Metric] = ()) -> list["MetricCheck"]:
    """Return the checks one by one, as for ``pytest.mark.parametrize(..., ids=str)``."""
    return [MetricCheck(body, tuple(after)) for body in _CLAUSES]


@dataclass(frozen=True)
class MetricCheck:
    """One check, to be called with a metric that builds upon the metrics ``after``."""

    body: Callable[["MetricCase"], None]
    after: tuple[Metric, ...]

    def __call__(self, metric: Metric) -> None:
        """Check ``metric``.

        Raises:
            AssertionError: If the check fails.
        """
        try:
            self.body(MetricCase(metric, self.after))
        except Exception as error:
            error.add_note(f"in the check {self} of erasure.testing")
            raise

    def __str__(self) -> str:
        return self.body.__name__

    def reason(self, metric: Metric) -> str:
        """Return why ``metric`` fails, or nothing; what it raises itself is passed on."""
        try:
            self(metric)
        except AssertionError as error:
            return str(error) or "an assertion of the metric failed"
        return ""


@dataclass(frozen=True)
class MetricCase:
    """A metric, and those it builds upon."""

    metric: Metric
    after: tuple[Metric, ...]

    def measured(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        """Measure the subject of ``ctx``, after what the metric builds upon for every role."""
        return self.observed(ctx)[0]

    def observed(
        self, ctx: EvalContext, *, global_seed: int = 20_231
    ) -> tuple[Mapping[str, MetricValue], Surroundings, Surroundings]:
        """Measure, and return the global state before and after as well; it is restored."""
        outside = Surroundings.capture()
        try:
            seed_everything(global_seed)
            # empty for every role: a metric must not find what an earlier measurement left
            ctx.results.update({who: {} for who in ctx.models})
            for metric in self.after:
                for who in ctx.models:
                    ctx.results[who].update(measure(metric, ctx.of(who)))
            before = Surroundings.capture()
            return measure(self.metric, ctx), before, Surroundings.capture()
        except UndeclaredNamesError as error:
            raise AssertionError(str(error)) from error
        finally:
            outside.restore()


def describes_its_values(case: MetricCase) -> None:
    """Each name has a sentence, and a range that contains its ideal."""
    for heldout in HELDOUT:
        declared = meanings(case.metric, heldout)
        assert declared, "no value is declared"
        for name, meaning in declared.items():
            assert "/" in name, f"{name} must be named <part>/<metric>"
            assert meaning.description, f"{name} has no description"
            assert meaning.low < meaning.high, f"{name} has no range"
            inside = meaning.ideal is None or meaning.low <= meaning.ideal <= meaning.high
            assert inside, f"the ideal of {name} is out of its range"


def measures_what_it_declares(case: MetricCase) -> None:
    """Every declared number is measured; only other subjects than the unlearned may have none."""
    for heldout in HELDOUT:
        ctx = toy_context(heldout=heldout)
        declared = set(meanings(case.metric, heldout))
        for who in ctx.models:
            measured = set(case.measured(ctx.of(who)))
            silent = who != "unlearned" and not measured
            assert silent or measured == declared, (
                f"measured {sorted(measured)} for the {who} model on {heldout}, but declares "
                f"{sorted(declared)}"
            )


def stays_in_range(case: MetricCase) -> None:
    """Values and intervals are in the range of their meaning, or there is a reason for none."""
    for ctx in _contexts():
        declared = meanings(case.metric, ctx.heldout)
        for who in ctx.models:
            for name, value in case.measured(ctx.of(who)).items():
                _assert_in_range(name, value, declared[name])


def is_reproducible(case: MetricCase) -> None:
    """Two measurements agree, whatever the global seed."""
    first, second = (case.observed(toy_context(), global_seed=seed)[0] for seed in (1, 2))
    differ = [n for n, m in first.items() if not _same(m, second.get(n))]
    assert not differ, (
        f"two measurements differ in {', '.join(differ)}; draw from a stream(ctx.seed)"
    )


def leaves_models(case: MetricCase) -> None:
    """Weights, flags and hooks of every model are as before."""
    ctx = toy_context("cnn")
    # the cnn has batch normalization, whose statistics any pass in train mode would move
    before = {who: _state(model) for who, model in ctx.models.items()}
    case.measured(ctx)
    for who, model in ctx.models.items():
        changed = [k for k, now in _state(model).items() if now != before[who][k]]
        assert not changed, f"changed {', '.join(changed)} of the {who} model"


def leaves_surroundings(case: MetricCase) -> None:
    """No global generator is drawn from, no setting changed, no global hook left."""
    _, before, after = case.observed(toy_context())
    drawn = before.drawn(after)
    assert not drawn, f"drew from or seeded the global generator of {', '.join(drawn)}"
    changed = [*before.changed(after), *before.hooked(after)]
    assert not changed, f"changed {', '.join(changed)}"


def runs_models_once(case: MetricCase) -> None:
    """Each sample passes each model at most once; a second measurement runs no model.

    A metric with ``runs_models = True`` is by definition exempt.
    """
    if getattr(case.metric, "runs_models", False):
        return
    ctx = toy_context()
    seen = {who: _watched(model) for who, model in ctx.models.items()}
    case.measured(ctx)
    size = sum(len(ctx.splits.part(part)) for part in ctx.parts)
    first = {who: sum(counts) for who, counts in seen.items()}
    for who, count in first.items():
        assert count <= size, (
            f"ran {count} samples through the {who} model for {size} to evaluate; take "
            f"ctx.logits, which is computed once"
        )
    case.measured(ctx)
    again = [who for who, counts in seen.items() if sum(counts) > first[who]]
    assert not again, f"ran the {', '.join(again)} model again although its logits are cached"


_CLAUSES: tuple[Callable[[MetricCase], None], ...] = (
    describes_its_values,
    measures_what_it_declares,
    stays_in_range,
    is_reproducible,
    leaves_models,
    leaves_surroundings,
    runs_models_once,
)


def _contexts() -> list[EvalContext]:
    """Return an ordinary context, one without gold, one of a broken model, one without costs."""
    usual, broken = toy_context(), toy_context("cnn")
    with torch.no_grad():
        next(broken.models["unlearned"].parameters()).fill_(math.nan)
    without: dict[Who, nn.Module] = {
        who: model for who, model in usual.models.items() if who != "gold"
    }
    alone = replace(usual, models=without, costs={}, results={})
    return [usual, replace(usual, heldout="val", results={}), broken, alone]


def _assert_in_range(name: str, measured: MetricValue, meaning: Meaning) -> None:
    if measured.status != "ok":
        assert measured.reason, f"{name} has status {measured.status} without a reason"
        return
    inside = meaning.low <= measured.value <= meaning.high
    assert inside, f"{name} is {measured.value}, out of [{meaning.low}, {meaning.high}]"
    if not math.isnan(measured.ci_low):
        low, high = measured.ci_low, measured.ci_high
        ordered = meaning.low <= low <= high <= meaning.high
        assert ordered, f"the interval [{low}, {high}] of {name} is impossible"


def _same(first: MetricValue, second: MetricValue | None) -> bool:
    if second is None or first.status != second.status:
        return False
    names = ("value", "ci_low", "ci_high")
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    # NaN, which stands for no value or no interval, differs from itself
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def _state(model: nn.Module) -> dict[str, Any]:
    return {
        "weights": model_fingerprint(model),
        "modes": [module.training for module in model.modules()],
        "requires_grad": [weight.requires_grad for weight in model.parameters()],
        "hooks": hooks_of(model),
    }


def _watched(model: nn.Module) -> list[int]:
    """Return a list that gets the number of samples of each forward pass of ``model``."""
    counts: list[int] = []
    model.register_forward_hook(lambda _model, _inputs, logits: counts.append(len(logits)))
    return counts
