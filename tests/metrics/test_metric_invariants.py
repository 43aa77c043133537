"""What holds for every metric of the standard evaluator."""

import random

import numpy as np
import pytest
import torch

from erasure.core.fingerprint import model_fingerprint
from erasure.core.values import NotComputableError
from erasure.evaluation.evaluator import Evaluator
from erasure.metrics.privacy.loss_mia import LossMIA
from erasure.metrics.to_gold.agreement import Agreement
from erasure.metrics.to_gold.gap import Gap
from erasure.metrics.to_gold.js_to_gold import JSToGold
from erasure.metrics.utility.accuracy import Accuracy
from erasure.metrics.utility.loss import Loss

METRICS = {
    "accuracy": Accuracy(),
    "loss": Loss(),
    "loss_mia": LossMIA(),
    "js": JSToGold(),
    "agreement": Agreement(),
    "gap": Gap(of=["forget/accuracy", "retain/accuracy", "heldout/accuracy", "mia/loss/auc"]),
}
PARTS = ("forget", "retain", "val", "test")
SIZES = (30, 40, 20, 35)


def tables(draw, num_classes=3, roles=("original", "unlearned", "gold")):
    generator = torch.Generator().manual_seed(draw)
    return {
        part: (
            torch.randint(num_classes, (n,), generator=generator),
            {who: 3 * torch.randn(n, num_classes, generator=generator) for who in roles},
        )
        for part, n in zip(PARTS, SIZES, strict=True)
    }


def flat(ctx):
    return Evaluator(metrics=METRICS)(ctx).flat()


def test_a_model_equal_to_gold_looks_like_gold(make_ctx):
    parts = tables(0)
    for _, logits in parts.values():
        logits["unlearned"] = logits["gold"].clone()
    values = flat(make_ctx(parts))
    assert {name: v for name, v in values.items() if name.startswith("gap/")} == {
        "gap/forget/accuracy": 0.0,
        "gap/retain/accuracy": 0.0,
        "gap/test/accuracy": 0.0,
        "gap/mia/loss/auc": 0.0,
        "gap/avg": 0.0,
    }
    assert values["forget/js_to_gold"] == values["test/js_to_gold"] == 0.0
    assert {values[f"{part}/agreement"] for part in ("forget", "retain", "test")} == {1.0}
    assert values["mia/loss/auc"] == values["gold/mia/loss/auc"]


def test_the_order_of_samples_does_not_matter(make_ctx):
    parts, mixed = tables(1), {}
    for name, (labels, logits) in parts.items():
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
        mixed[name] = (labels[order], {who: t[order] for who, t in logits.items()})
    assert flat(make_ctx(mixed)) == pytest.approx(flat(make_ctx(parts)), abs=1e-12)


def test_adding_a_constant_to_the_logits_does_not_matter(make_ctx):
    parts = tables(2)
    moved = {
        name: (labels, {who: t + 4.0 for who, t in logits.items()})
        for name, (labels, logits) in parts.items()
    }
    assert flat(make_ctx(moved)) == pytest.approx(flat(make_ctx(parts)), abs=1e-6)


def test_the_batch_size_does_not_matter(make_ctx):
    small, large = (
        Evaluator(metrics=METRICS, batch_size=size)(make_ctx(tables(3))).flat()
        for size in (7, 999)
    )
    assert small == large


def test_renaming_the_classes_does_not_matter(make_ctx):
    parts, renamed = tables(4), {}
    cycle = torch.tensor([1, 2, 0])
    for name, (labels, logits) in parts.items():
        renamed[name] = (cycle[labels], {who: t[:, cycle.argsort()] for who, t in logits.items()})
    assert flat(make_ctx(renamed)) == pytest.approx(flat(make_ctx(parts)), abs=1e-12)


def test_values_lie_in_their_declared_range(make_ctx):
    evaluation = Evaluator(metrics=METRICS)(make_ctx(tables(6)))
    for results in evaluation.results.values():
        for name, measured in results.items():
            meaning = evaluation.meanings[name]
            assert meaning.low <= measured.value <= meaning.high
            if measured.ci_low == measured.ci_low:
                assert meaning.low <= measured.ci_low <= measured.value <= measured.ci_high


def _numpy_state():
    return np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is the point


def test_measuring_leaves_no_trace(make_ctx):
    ctx = make_ctx(tables(7))
    for model in ctx.models.values():
        model.train()
    before = [model_fingerprint(model) for model in ctx.models.values()]
    states = torch.get_rng_state(), _numpy_state(), random.getstate()
    flat(ctx)
    assert [model_fingerprint(model) for model in ctx.models.values()] == before
    assert all(m.training and m.norm.training for m in ctx.models.values())
    assert all(m.table.requires_grad and m.table.grad is None for m in ctx.models.values())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(_numpy_state(), states[1])
    assert random.getstate() == states[2]


def test_every_model_sees_every_sample_once(make_ctx):
    ctx = make_ctx(tables(8))
    flat(ctx)
    assert {who: model.calls for who, model in ctx.models.items()} == {
        "original": 3,
        "unlearned": 3,
        "gold": 3,
    }  # one batch for each of forget, retain, test
    flat(ctx)
    assert all(model.calls == 3 for model in ctx.models.values())


def degenerate(kind):
    parts = tables(9)
    for labels, logits in parts.values():
        if kind == "all_nan":
            logits["unlearned"][:] = torch.nan
        elif kind == "some_inf":
            logits["unlearned"][0, 0] = torch.inf
        elif kind == "one_class":
            labels[:] = 1
        elif kind == "constant":
            logits["unlearned"][:] = 0.0
        elif kind == "huge":
            logits["unlearned"] *= 1e4
    if kind == "one_sample":
        parts["forget"] = tuple(
            cut[:1] if torch.is_tensor(cut) else {w: t[:1] for w, t in cut.items()}
            for cut in parts["forget"]
        )
    return parts


@pytest.mark.parametrize("kind", ["all_nan", "some_inf"])
def test_logits_that_are_not_finite_give_nan_with_a_reason(make_ctx, kind):
    evaluation = Evaluator(metrics=METRICS)(make_ctx(degenerate(kind)))
    assert evaluation.errors == ()
    assert {m.status for m in evaluation.results["unlearned"].values()} == {"degenerate"}
    assert all("nonfinite_logits" in m.reason for m in evaluation.results["unlearned"].values())
    assert {m.status for m in evaluation.results["gold"].values()} == {"ok"}


@pytest.mark.parametrize("kind", ["one_class", "constant", "huge"])
def test_odd_but_measurable_inputs_are_measured(make_ctx, kind):
    evaluation = Evaluator(metrics=METRICS)(make_ctx(degenerate(kind)))
    assert evaluation.errors == ()
    assert {m.status for m in evaluation.results["unlearned"].values()} == {"ok"}


def test_one_forget_sample_is_too_few_for_an_attack_only(make_ctx):
    values = Evaluator(metrics=METRICS)(make_ctx(degenerate("one_sample"))).results["unlearned"]
    assert values["forget/accuracy"].status == values["forget/loss"].status == "ok"
    assert values["mia/loss/auc"].reason == "too_few"
    assert values["gap/avg"].reason == "mia/loss/auc:too_few"
    assert values["gap/retain/accuracy"].status == "ok"


def test_an_empty_part_has_no_values(make_ctx):
    ctx = make_ctx(tables(10))
    object.__setattr__(ctx.splits, "forget", ctx.splits.forget.take(torch.zeros(30).bool()))
    with pytest.raises(NotComputableError, match="empty_split"):
        ctx.logits("forget")
    values = Evaluator(metrics=METRICS)(ctx).results["unlearned"]
    assert values["forget/accuracy"].reason == values["mia/loss/auc"].reason == "empty_split"
    assert values["retain/accuracy"].status == "ok"
