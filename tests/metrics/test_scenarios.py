"""Metrics of particular choices of the forget set, and those that describe the choice."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.seeding import isolated
from erasure.core.splits import DataSplits, SplitIndices, View
from erasure.core.task_types import Multiclass, Multilabel
from erasure.core.values import NotComputableError
from erasure.data.pools.tensor import TensorPool
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.backdoor_verify import BackdoorVerify, at_least, deletion_test
from erasure.metrics.privacy.entanglement import entanglement
from erasure.metrics.privacy.epistemic_efficacy import EpistemicEfficacy
from erasure.metrics.privacy.interclass_confusion import (
    InterclassConfusion,
    confusion_matrix,
    errors_of_pair,
)

MATRIX = [[80, 15, 5], [20, 70, 10], [1, 2, 97]]


def said(ctx, scenario, **probes):
    return replace(ctx, splits=replace(ctx.splits, scenario=scenario, probes=probes))


def of_matrix(matrix):
    """Return labels and predictions that are counted in ``matrix``."""
    counts = torch.tensor(matrix)
    labels, predicted = counts.nonzero().repeat_interleave(counts[counts > 0], dim=0).T
    return labels, predicted


@pytest.fixture
def confused(make_ctx):
    """A context whose test predictions have a given confusion matrix."""

    def make(matrix=MATRIX):
        labels, predicted = of_matrix(matrix)
        logits = 5.0 * nn.functional.one_hot(predicted, len(matrix)).float()
        ctx = make_ctx({"test": (labels, {"unlearned": logits})})
        return said(ctx, {"kind": "confusion", "classes": [0, 1]})

    return make


def test_the_confusion_of_the_example(confused):
    values = measure(InterclassConfusion(), confused())
    assert values["interclass_confusion/test/ic_err"].value == pytest.approx(0.25, abs=1e-6)
    assert values["interclass_confusion/test/ic_err"].n == 200
    assert values["interclass_confusion/test/fgt_err"].value == 35
    assert values["interclass_confusion/test/fgt_err"].extras == {"share": 0.175}


def test_a_confusion_matrix_agrees_with_sklearn():
    from sklearn.metrics import confusion_matrix as oracle

    generator = torch.Generator().manual_seed(0)
    labels, predicted = torch.randint(7, (2, 500), generator=generator)
    ours = confusion_matrix(labels, predicted, 7)
    assert ours.tolist() == oracle(labels, predicted, labels=range(7)).tolist()
    assert errors_of_pair(torch.tensor(MATRIX), 0, 2) == (23, 6, 200)


def test_confusion_needs_swapped_classes_and_samples_of_them(confused):
    ctx = confused([[0, 0, 0], [0, 0, 0], [0, 0, 9]])
    values = measure(InterclassConfusion(), ctx)
    assert values["interclass_confusion/test/ic_err"].reason == "no_samples_of_classes"
    assert values["interclass_confusion/retain/ic_err"].status == "ok"
    values = measure(InterclassConfusion(), said(ctx, {}))
    assert {m.reason for m in values.values()} == {"needs_confusion"}
    values = measure(InterclassConfusion(), replace(ctx, task_type=Multilabel()))
    assert {m.reason for m in values.values()} == {"needs_multiclass"}


@pytest.mark.parametrize(
    ("kept", "beta"), [(0.95, 4.4e-21), (0.7, 7.3e-6), (0.5, 0.0214), (0.3, 0.589)]
)
def test_the_deletion_test_of_the_example(kept, beta):
    test = deletion_test(30, 0.1, kept, 1e-3)
    assert test.threshold == 10
    assert test.size == pytest.approx(4.54e-4, rel=1e-3)
    assert test.beta == pytest.approx(beta, rel=2e-2)


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.5, 1.0])
def test_the_threshold_is_the_smallest_that_keeps_the_error(rate):
    test = deletion_test(40, rate, None, 0.01)
    assert test.size <= 0.01
    assert test.beta is None
    assert test.threshold == 0 or at_least(test.threshold - 1, 40, rate) > 0.01


@pytest.fixture
def poisoned(make_ctx):
    """Twenty test samples with a trigger for class 2, of which a given number gets it."""

    def make(n=20, **hits):
        labels = torch.arange(n) % 2
        tables = {}
        for who, count in hits.items():
            predicted = torch.where(torch.arange(n) < count, 2, labels)
            tables[who] = nn.functional.one_hot(predicted, 4).float()
        ctx = make_ctx({"test": (labels, tables)})
        view = View(ctx.splits.test.pool, ctx.splits.test.index)
        return said(ctx, {"kind": "poison", "target": 2}, triggered=view)

    return make


def test_hits_of_the_trigger_are_counted_and_tested(poisoned):
    ctx = poisoned(original=20, unlearned=13, gold=1)
    values = measure(BackdoorVerify(), ctx)
    assert values["backdoor_verify/asr"].value == 0.65
    assert values["backdoor_verify/clean_accuracy"].value == 0.35
    p_value = values["backdoor_verify/p_value"]
    assert p_value.value == pytest.approx(at_least(13, 20, 0.25), abs=1e-12)
    assert p_value.extras["deleted_rate"] == 0.25  # one in four; gold has less
    assert p_value.extras["beta"] == 0.0
    assert p_value.extras["refuted"]
    assert not measure(BackdoorVerify(), ctx.of("gold"))["backdoor_verify/p_value"].extras[
        "refuted"
    ]


def test_a_backdoor_is_tested_without_other_models_too(poisoned):
    p_value = measure(BackdoorVerify(), poisoned(unlearned=2))["backdoor_verify/p_value"]
    assert p_value.extras["beta"] is p_value.extras["kept_rate"] is None
    assert not p_value.extras["refuted"]


def test_a_backdoor_needs_poison_and_enough_queries(poisoned):
    values = measure(BackdoorVerify(), poisoned(n=9, unlearned=1))
    assert values["backdoor_verify/asr"].reason == "too_few"
    assert values["backdoor_verify/p_value"].reason == "too_few"
    ctx = said(poisoned(unlearned=1), {})
    assert {m.reason for m in measure(BackdoorVerify(), ctx).values()} == {"needs_poison"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BackdoorVerify(alpha=0.0), r"alpha must be in \(0, 1\), got 0.0"),
        (lambda: BackdoorVerify(min_n=0), "min_n must be >= 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_the_entanglement_of_the_example():
    retain, forget = torch.tensor([[0.0, 0], [2, 0]]), torch.tensor([[4.0, 0], [6, 0]])
    assert entanglement(retain, forget) == pytest.approx(0.5, abs=1e-6)
    assert entanglement(10 + 3 * retain, 10 + 3 * forget) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(NotComputableError, match="equal_means"):
        entanglement(retain, retain)


def linear_ctx(weight, inputs, targets):
    """A context of one linear model whose forget set has the given samples."""
    with isolated(0, "linear"):
        model = nn.Linear(*reversed(weight.shape), bias=False)
    with torch.no_grad():
        model.weight.copy_(weight)
    filler = torch.zeros(3, weight.shape[1])
    pool = TensorPool(
        inputs=torch.cat([inputs, filler]),
        targets=torch.cat([targets, torch.zeros(3, dtype=torch.int64)]),
        class_names=tuple("abcdefgh"[: len(weight)]),
    )
    ids = torch.arange(len(inputs) + 3)
    parts = zip(("forget", "retain", "val", "test"), (ids[:-3], *ids[-3:].split(1)), strict=True)
    return EvalContext(
        models={"unlearned": model},
        splits=DataSplits.of(pool, SplitIndices(**dict(parts))),
        task_type=Multiclass(),
        num_classes=len(weight),
        heldout="test",
        seed=0,
    )


def test_the_trace_of_the_example():
    inputs, targets = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([0, 2])
    values = measure(EpistemicEfficacy(), linear_ctx(torch.zeros(3, 2), inputs, targets))
    assert values["epistemic_efficacy/trace"].value == pytest.approx(2.0, abs=1e-6)
    assert values["epistemic_efficacy/efficacy"].value == pytest.approx(0.5, abs=1e-6)


def test_the_trace_of_a_linear_model_is_known_in_closed_form():
    generator = torch.Generator().manual_seed(0)
    weight, inputs = (torch.randn(size, generator=generator) for size in ((4, 6), (50, 6)))
    targets = torch.randint(4, (50,), generator=generator)
    ctx = linear_ctx(weight, inputs, targets)
    slopes = (inputs @ weight.T).double().softmax(1) - nn.functional.one_hot(targets, 4)
    norms = inputs.double().square().sum(1) * slopes.square().sum(1)
    trace = measure(EpistemicEfficacy(), ctx)["epistemic_efficacy/trace"]
    assert trace.value == pytest.approx(norms.mean().item(), rel=1e-5)
    assert trace.n == 50


def test_a_model_without_gradients_is_infinitely_efficient():
    values = measure(
        EpistemicEfficacy(), linear_ctx(torch.zeros(3, 2), torch.zeros(2, 2), torch.tensor([0, 2]))
    )
    assert values["epistemic_efficacy/efficacy"].value == float("inf")


def test_frozen_weights_hold_no_information_that_could_be_read():
    ctx = linear_ctx(torch.zeros(3, 2), torch.ones(2, 2), torch.tensor([0, 2]))
    ctx.models["unlearned"].requires_grad_(requires_grad=False)
    values = Evaluator(metrics={"e": EpistemicEfficacy()})(ctx).results["unlearned"]
    assert {m.reason for m in values.values()} == {"no_trainable_parameters"}
