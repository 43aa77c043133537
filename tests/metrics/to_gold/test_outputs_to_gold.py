"""Predictions against those of the retrained model: divergence and agreement."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from erasure.evaluation.measure import meanings, measure
from erasure.evaluation.statistics.divergences import LN2, jensen_shannon
from erasure.metrics.to_gold.agreement import Agreement
from erasure.metrics.to_gold.js_to_gold import JSToGold

P = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64)
UNIFORM = torch.full((1, 3), 1 / 3, dtype=torch.float64)
ONE_HOT = torch.eye(2, dtype=torch.float64)


def test_worked_divergence():
    nats = jensen_shannon(P.log(), UNIFORM.log()).item()
    assert nats == pytest.approx(0.074806, abs=1e-6)
    assert nats / LN2 == pytest.approx(0.107923, abs=1e-6)
    assert pytest.approx(0.693147, abs=1e-6) == LN2


def test_divergence_agrees_with_scipy_and_is_symmetric():
    generator = torch.Generator().manual_seed(0)
    p, q = torch.randn(2, 50, 7, dtype=torch.float64, generator=generator).mul(3).softmax(-1)
    divergences = jensen_shannon(p.log(), q.log())
    assert divergences.tolist() == pytest.approx(
        (jensenshannon(p, q, axis=-1) ** 2).tolist(), abs=1e-12
    )
    assert torch.equal(divergences, jensen_shannon(q.log(), p.log()))


def test_disjoint_certainties_are_as_far_apart_as_can_be():
    assert jensen_shannon(ONE_HOT.log(), ONE_HOT.flip(0).log()).tolist() == [LN2, LN2]
    assert jensen_shannon(ONE_HOT.log(), ONE_HOT.log()).tolist() == [0.0, 0.0]


def test_logits_far_apart_stay_finite(make_ctx):
    tables = {"unlearned": torch.tensor([[1e4, -1e4]]), "gold": torch.tensor([[-1e4, 1e4]])}
    ctx = make_ctx({"forget": (torch.tensor([0]), tables)})
    assert measure(JSToGold(), ctx)["forget/js_to_gold"].value == pytest.approx(math.log(2))


def test_the_metric_averages_over_samples(make_ctx):
    same = torch.zeros(1, 3)
    tables = {"unlearned": torch.cat([P.log(), same]), "gold": torch.cat([same, same])}
    ctx = make_ctx({"forget": (torch.tensor([0, 1]), tables)})
    divergence = measure(JSToGold(), ctx)["forget/js_to_gold"]
    assert divergence.value == pytest.approx(0.074806 / 2, abs=1e-6)
    assert divergence.n == 2
    assert 0.0 == divergence.ci_low < divergence.ci_high <= LN2


def test_agreement_counts_equal_predictions(make_ctx):
    tables = {
        "unlearned": torch.tensor([[2.0, 1, 0], [0, 1, 0], [0, 0, 3], [1, 0, 0]]),
        "gold": torch.tensor([[9.0, 1, 0], [0, 0, 1], [0, 1, 3], [0, 2, 0]]),
    }
    ctx = make_ctx({"forget": (torch.zeros(4, dtype=torch.int64), tables)})
    assert measure(Agreement(), ctx)["forget/agreement"].value == 0.5


@pytest.mark.parametrize("heldout", ["test", "val"])
@pytest.mark.parametrize("metric", [JSToGold(), Agreement()])
def test_names_follow_the_schema_and_gold_is_needed(random_ctx, metric, heldout):
    values = measure(metric, random_ctx(heldout=heldout, roles=("unlearned",)))
    assert set(values) == set(meanings(metric, heldout))
    assert {(m.status, m.reason) for m in values.values()} == {("skipped", "missing_gold")}
