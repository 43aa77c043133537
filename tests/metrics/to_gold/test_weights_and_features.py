"""Distances of weights and similarity of features."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import directed_hausdorff
from torch import nn

from erasure.core.seeding import isolated
from erasure.core.values import NotComputableError
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.weights import distance, hausdorff
from erasure.metrics.to_gold.cka import CKA, linear_cka, procrustes
from erasure.metrics.to_gold.weight_distance import WeightDistance
from erasure.testing.toy import toy_context

A = torch.tensor([[1.0, 2], [3, 4]], dtype=torch.float64)
B = torch.tensor([[1.0, 0], [3, 1]], dtype=torch.float64)
X = torch.tensor([[1.0, 0], [0, 1], [1, 1], [2, 0]], dtype=torch.float64)
Y = torch.tensor([[0.0, 1], [1, 0], [1, 2], [0, 2]], dtype=torch.float64)


def centered(features):
    return features - features.mean(dim=0)


def test_worked_distance():
    found = distance({"layer.weight": A}, {"layer.weight": B})
    assert found.l2 == pytest.approx(3.605551, abs=1e-6)
    assert found.l2 / found.own_norm == pytest.approx(0.658281, abs=1e-6)
    assert found.cosine == pytest.approx(0.770675, abs=1e-6)
    assert found.per_layer == {"layer": pytest.approx(3.605551, abs=1e-6)}


def test_layers_add_up_to_the_whole():
    own = {"a.weight": A, "a.bias": A[0], "b.weight": B}
    other = {"a.weight": B, "a.bias": B[1], "b.weight": A}
    found = distance(own, other)
    assert set(found.per_layer) == {"a", "b"}
    assert math.hypot(*found.per_layer.values()) == pytest.approx(found.l2)


def test_worked_row_distance_is_the_same_in_both_directions():
    two, one = torch.tensor([[0.0, 0], [10, 0]]).double(), torch.zeros(1, 2).double()
    assert hausdorff(two, one) == hausdorff(one, two) == 10.0


def test_row_distance_agrees_with_scipy_and_is_zero_for_a_permutation():
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(30, 5, generator=generator).double()
    other = own[:20] + 0.1 * torch.randn(20, 5, generator=generator).double()
    pairs = ((own, other), (other, own))
    expected = max(directed_hausdorff(a.numpy(), b.numpy())[0] for a, b in pairs)
    assert hausdorff(own, other) == pytest.approx(expected, abs=1e-12)
    assert hausdorff(own, own[torch.randperm(30, generator=generator)]) == 0.0


@pytest.fixture(scope="module")
def measured():
    ctx = toy_context("cnn")
    return {who: WeightDistance()(ctx.of(who)) for who in ctx.models}


def test_halfway_between_original_and_gold_the_ratio_is_a_half(measured):
    ratios = {who: found["weight_distance/to_gold_ratio"].value for who, found in measured.items()}
    assert ratios == {"original": 1.0, "unlearned": pytest.approx(0.5, abs=1e-6), "gold": 0.0}


def test_no_model_is_at_a_distance_from_itself(measured):
    for who, other in (("gold", "gold"), ("original", "original")):
        found = {n.split("/")[-1]: m for n, m in measured[who].items() if f"to_{other}/" in n}
        values = {name: m.value for name, m in found.items()}
        assert values.pop("cosine") == pytest.approx(1.0, abs=1e-12)
        assert set(values.values()) == {0.0}


def test_original_and_gold_are_as_far_apart_as_gold_and_original(measured):
    one = measured["original"]["weight_distance/to_gold/l2"]
    other = measured["gold"]["weight_distance/to_original/l2"]
    assert one.value == pytest.approx(other.value)
    assert one.value > 0
    assert one.extras["per_layer"] == pytest.approx(other.extras["per_layer"])


def test_running_statistics_are_counted_apart(measured):
    ctx = toy_context("cnn")
    gold, original = ctx.models["gold"], ctx.models["original"]
    pairs = zip(gold.named_buffers(), original.named_buffers(), strict=True)
    moved = [(a - b).double() for (_, a), (_, b) in pairs if a.is_floating_point()]
    squares = [change.square().sum().item() for change in moved]
    expected = math.sqrt(sum(squares))
    found = measured["gold"]["weight_distance/to_original/buffers_l2"].value
    assert found == pytest.approx(expected, rel=1e-6)
    assert found > 0


def test_models_of_other_shapes_cannot_be_compared():
    ctx = toy_context()
    with isolated(0, "other"):
        other = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    found = WeightDistance()(replace(ctx, models={**ctx.models, "unlearned": other}))
    reasons = {m.reason for n, m in found.items() if not n.endswith("buffers_l2")}
    assert reasons == {"different_architecture"}
    alone = {"original": ctx.models["original"], "unlearned": ctx.models["unlearned"]}
    found = WeightDistance()(replace(ctx, models=alone))
    reasons = {m.reason for n, m in found.items() if "gold" in n}
    assert reasons == {"missing_gold"}
    assert found["weight_distance/to_original/l2"].status == "ok"


def test_without_statistics_or_finite_weights_there_is_a_reason():
    ctx = toy_context()
    found = WeightDistance()(ctx)
    assert found["weight_distance/to_gold/buffers_l2"].reason == "no_statistics"
    with torch.no_grad():
        next(ctx.models["unlearned"].parameters()).fill_(math.nan)
    assert WeightDistance()(ctx)["weight_distance/to_gold/l2"].reason == "nonfinite_weights"


def test_large_matrices_are_named_where_they_are_left_out(monkeypatch):
    monkeypatch.setattr("erasure.metrics.to_gold.weight_distance.MANY_ROWS", 10)
    found = WeightDistance()(toy_context())["weight_distance/to_gold/hausdorff"]
    assert len(found.extras["left_out"]) == len(found.extras["per_matrix"]) == 1


def test_the_rows_of_two_million_weights_are_compared():
    with isolated(0, "wide"):
        wide, other = (nn.Sequential(nn.Linear(1024, 2048)) for _ in range(2))
    ctx = replace(toy_context(), models={"unlearned": wide, "gold": other})
    assert WeightDistance()(ctx)["weight_distance/to_gold/hausdorff"].value > 0


def test_worked_alignment():
    found = linear_cka(centered(X), centered(Y), unbiased=False)
    assert found == pytest.approx(0.784706, abs=1e-6)


@pytest.mark.parametrize("unbiased", [False, True])
def test_alignment_ignores_rotation_shift_and_scale(unbiased):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(30, 6, generator=generator).double()
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator).double()).Q
    for other in (features @ rotation, 3 * features + 5, features):
        found = linear_cka(centered(features), centered(other), unbiased=unbiased)
        assert found == pytest.approx(1.0, abs=1e-12)
        assert procrustes(centered(features), centered(other)) == pytest.approx(0.0, abs=1e-9)


def kernels_unbiased(x, y):
    """The estimate from kernel matrices, as it is written in the paper."""
    n = len(x)
    k, m = ((side @ side.T).fill_diagonal_(0.0) for side in (x, y))
    one = torch.ones(n, dtype=torch.float64)
    found = torch.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (found - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def test_alignment_agrees_with_kernel_matrices():
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(20, 7, generator=generator), torch.randn(20, 3, generator=generator)
    x, y = centered(x.double()), centered(y.double())
    size = kernels_unbiased(x, x) * kernels_unbiased(y, y)
    expected = (kernels_unbiased(x, y) / size.sqrt()).item()
    assert linear_cka(x, y, unbiased=True) == pytest.approx(expected, abs=1e-12)


def test_the_unbiased_estimate_is_around_zero_where_the_biased_one_is_not():
    generator = torch.Generator().manual_seed(3)
    draws = torch.randn(100, 2, 30, 40, dtype=torch.float64, generator=generator)
    pairs = [(centered(x), centered(y)) for x, y in draws]
    unbiased, biased = (
        np.mean([linear_cka(x, y, unbiased=way) for x, y in pairs]) for way in (True, False)
    )
    assert abs(unbiased) < 0.01
    assert biased > 0.5


def test_procrustes_agrees_with_scipy_also_for_more_features_than_samples():
    generator = torch.Generator().manual_seed(4)
    for n, width in ((40, 5), (6, 20)):
        x, y = torch.randn(2, n, width, dtype=torch.float64, generator=generator)
        x, y = centered(x), centered(y)
        shared = np.linalg.svd((x / x.norm()).numpy().T @ (y / y.norm()).numpy())[1].sum()
        assert procrustes(x, y) == pytest.approx(2 - 2 * shared, abs=1e-12)
        # scipy scales one of the two once more, by the overlap itself
        assert scipy_procrustes(x.numpy(), y.numpy())[2] == pytest.approx(1 - shared**2, abs=1e-9)


def test_features_are_recorded_with_the_logits():
    ctx = toy_context()
    counts = []
    ctx.models["gold"].register_forward_hook(lambda m, i, out: counts.append(len(out)))
    found = Evaluator(metrics={"cka": CKA()})(ctx)
    assert found.errors == ()
    values = found.flat()
    assert values["gold/cka/test/linear"] == pytest.approx(1.0, abs=1e-9)
    assert values["gold/cka/test/procrustes"] == pytest.approx(0.0, abs=1e-9)
    assert 0 < values["original/cka/test/linear"] < values["cka/test/linear"] < 1
    assert sum(counts) == len(ctx.splits.forget) + len(ctx.splits.test)


def test_constant_and_few_features_have_no_alignment(random_ctx):
    ctx = replace(random_ctx(), recorder=lambda model: pytest.fail("never called"))
    for features, reason in ((torch.ones(40, 3), "constant_features"), (X[:3], "too_few")):
        recorded = {("forget", who): features for who in ctx.models}
        for who in ctx.models:
            ctx._cache[("forget", who)] = torch.zeros(len(features), 4)
        ctx._features.update(recorded)
        found = CKA()(ctx_of_forget(ctx))["cka/forget/linear"]
        assert (found.status, found.reason) == ("degenerate", reason)


def ctx_of_forget(ctx):
    """The same context with the held-out part cached as well, so that no model is called."""
    for who in ctx.models:
        ctx._cache[("test", who)] = torch.zeros(60, 4)
    return ctx


def test_a_model_without_a_head_has_no_features(random_ctx):
    ctx = random_ctx()
    with pytest.raises(NotComputableError, match="no_features"):
        ctx.features("forget")
    found = CKA()(ctx)
    assert {(m.status, m.reason) for m in found.values()} == {("skipped", "no_features")}
