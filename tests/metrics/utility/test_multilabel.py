"""Tasks in which a sample can have several labels: everything is measured, or says why not."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    hamming_loss,
    log_loss,
    roc_auc_score,
)

from erasure.config.build import build
from erasure.core.splits import View
from erasure.core.task_types import Multilabel
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import measure
from erasure.evaluation.per_sample import per_sample
from erasure.evaluation.pictures import loss_histograms, roc_curves
from erasure.metrics.to_gold.agreement import Agreement
from erasure.metrics.to_gold.js_to_gold import JSToGold
from erasure.metrics.utility.accuracy import Accuracy
from erasure.metrics.utility.loss import Loss
from erasure.metrics.utility.multilabel import MultilabelScores
from erasure.trial.guards import output_change

CONF = Path(__file__).parents[3] / "conf"
METRICS = sorted(path.stem for path in (CONF / "metric").glob("*.yaml"))

SCORES = torch.tensor([[0.9, 0.2, 0.6], [0.4, 0.7, 0.1], [0.3, 0.8, 0.55]], dtype=torch.float64)
TARGETS = torch.tensor([[1, 0, 1], [1, 1, 0], [0, 1, 0]])
TRAINING = ("ain", "relearn")
"""Metrics that train copies for seconds."""

PARTS = ("forget", "retain", "val", "test")
ROLES = ("original", "unlearned", "gold")


@pytest.fixture
def multilabel(make_ctx):
    """Three models of random logits on samples with four labels each."""
    generator = torch.Generator().manual_seed(3)
    parts = {}
    for part, n in (("forget", 40), ("retain", 60), ("val", 40), ("test", 50)):
        labels = torch.randint(2, (n, 4), generator=generator)
        tables = {who: 2 * torch.randn(n, 4, generator=generator) for who in ROLES}
        parts[part] = (labels, tables)
    return of_labels(make_ctx(parts))


def of_labels(ctx):
    """Say that targets are labels that are each on or off."""
    pool = replace(ctx.splits.forget.pool, task_type=Multilabel())
    views = {part: View(pool, ctx.splits.part(part).index) for part in PARTS}
    return replace(ctx, task_type=Multilabel(), splits=replace(ctx.splits, **views))


def example(make_ctx):
    part = (TARGETS, {"unlearned": SCORES.logit()})
    return of_labels(make_ctx(dict.fromkeys(PARTS, part)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hamming", 0.777778),
        ("exact_match", 0.333333),
        ("micro_f1", 0.8),
        ("macro_f1", 0.777778),
        ("map", 1.0),
        ("auroc", 1.0),
    ],
)
def test_worked_example(make_ctx, name, value):
    score = measure(MultilabelScores(), example(make_ctx))[f"multilabel/forget/{name}"]
    assert score.value == pytest.approx(value, abs=1e-6)


def test_accuracy_is_the_share_of_labels_and_exact_match_is_beside_it(make_ctx):
    accuracy = measure(Accuracy(), example(make_ctx))["forget/accuracy"]
    assert accuracy.value == pytest.approx(7 / 9)
    assert accuracy.extras["exact_match"] == pytest.approx(1 / 3)
    assert accuracy.extras["per_class"] == pytest.approx(
        {"class 0": 2 / 3, "class 1": 1, "class 2": 2 / 3}
    )
    assert accuracy.n == 3
    assert accuracy.ci_low < accuracy.value < accuracy.ci_high


def test_values_agree_with_sklearn(multilabel):
    labels, logits = multilabel.targets("test"), multilabel.logits("test")
    predicted, p = (logits > 0).long(), logits.double().sigmoid()
    values = {
        n: m.value for n, m in measure(MultilabelScores(), multilabel).items() if "/test/" in n
    }
    assert values == pytest.approx(
        {
            "multilabel/test/exact_match": accuracy_score(labels, predicted),
            "multilabel/test/hamming": 1 - hamming_loss(labels, predicted),
            "multilabel/test/micro_f1": f1_score(labels, predicted, average="micro"),
            "multilabel/test/macro_f1": f1_score(labels, predicted, average="macro"),
            "multilabel/test/map": average_precision_score(labels, p, average="macro"),
            "multilabel/test/auroc": roc_auc_score(labels, p, average="macro"),
        },
        abs=1e-9,
    )
    losses = [log_loss(labels[:, c], p[:, c].numpy()) for c in range(4)]
    assert measure(Loss(), multilabel)["test/loss"].value == pytest.approx(
        sum(losses) / 4, abs=1e-9
    )


def test_a_label_that_nobody_has_does_not_count(multilabel):
    multilabel.splits.forget.pool.targets[:, 1] = 0
    score = measure(MultilabelScores(), multilabel)["multilabel/test/auroc"]
    assert set(score.extras["per_class"]) == {"class 0", "class 2", "class 3"}


def test_no_label_at_all_has_no_f1(make_ctx):
    part = (torch.zeros(4, 2, dtype=torch.int64), {"unlearned": torch.full((4, 2), -3.0)})
    values = measure(MultilabelScores(), of_labels(make_ctx(dict.fromkeys(PARTS, part))))
    reasons = {n.split("/")[-1]: m.reason for n, m in values.items() if "/forget/" in n}
    assert reasons == {
        "exact_match": "",
        "hamming": "",
        "micro_f1": "no_label",
        "macro_f1": "no_label",
        "map": "one_class",
        "auroc": "one_class",
    }


def test_with_one_class_per_sample_every_value_is_skipped(random_ctx):
    values = measure(MultilabelScores(), random_ctx())
    assert {(m.status, m.reason) for m in values.values()} == {("skipped", "needs_multilabel")}


def test_divergence_and_agreement_are_means_over_labels(multilabel):
    own, gold = (
        multilabel.logits("forget", who).double().sigmoid() for who in ("unlearned", "gold")
    )
    p, q = (torch.stack([1 - t, t], dim=-1) for t in (own, gold))
    middle = (p + q) / 2
    js = ((p * (p / middle).log()).sum(-1) + (q * (q / middle).log()).sum(-1)) / 2
    assert measure(JSToGold(), multilabel)["forget/js_to_gold"].value == pytest.approx(
        js.mean().item()
    )
    same = ((own > 0.5) == (gold > 0.5)).double().mean().item()
    assert measure(Agreement(), multilabel)["forget/agreement"].value == pytest.approx(same)


def test_the_change_of_the_outputs_is_a_mean_total_variation(multilabel):
    old, new = (multilabel.logits("forget", who).sigmoid() for who in ("original", "unlearned"))
    expected = (old - new).abs().mean().item()
    change = output_change(multilabel)["forget_output_change"]
    assert change == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def configured():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(overrides=[f"+metric@{name}={name}" for name in METRICS])
    return {name: build(cfg[name], "metric") for name in METRICS}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in TRAINING else ()) for name in METRICS],
)
def test_every_metric_measures_or_says_why_not(multilabel, configured, name):
    metrics = {"accuracy": Accuracy(), name: configured[name]}
    evaluation = Evaluator(metrics=metrics)(multilabel)
    assert evaluation.errors == ()
    for values in evaluation.results.values():
        assert all((m.reason == "") == (m.status == "ok") for m in values.values())


def test_rows_hold_label_sets_as_digits(make_ctx, tmp_path):
    table = per_sample(example(make_ctx))
    row = table.iloc[1]
    assert (row["target"], row["unlearned_predicted"]) == ("110", "010")
    assert row["unlearned_confidence"] == pytest.approx((0.4 * 0.7 * 0.9) ** (1 / 3), abs=1e-6)
    assert row["unlearned_loss"] == pytest.approx(-torch.tensor(0.252).log().item() / 3, abs=1e-6)
    assert row["unlearned_margin"] == pytest.approx(torch.tensor(0.4).logit().item(), abs=1e-6)
    assert (
        (table["unlearned_margin"] > 0) == (table["target"] == table["unlearned_predicted"])
    ).all()
    table.to_parquet(tmp_path / "rows.parquet", index=False)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "rows.parquet"), table, check_dtype=False
    )


def test_a_diverged_model_leaves_its_columns_empty(multilabel):
    with torch.no_grad():
        multilabel.models["unlearned"].table.fill_(torch.nan)
    table = per_sample(multilabel)
    assert table["unlearned_predicted"].isna().all()
    assert table["gold_predicted"].str.len().eq(4).all()


def test_pictures_are_drawn(multilabel):
    assert len(loss_histograms(multilabel).axes) == 3
    assert len(roc_curves(multilabel).axes) == 2
