"""What holds for every measure of utility, divergence and weights."""

from dataclasses import replace

import pytest
import torch

from erasure.evaluation.evaluator import Evaluator
from erasure.metrics.privacy.rf_jsd import RetrainFreeJSD
from erasure.metrics.privacy.zrf import ZRF
from erasure.metrics.to_gold.activation_distance import ActivationDistance
from erasure.metrics.to_gold.aus import AUS
from erasure.metrics.to_gold.kl_to_gold import KLToGold
from erasure.metrics.to_gold.norm_gap import NormalizedGap
from erasure.metrics.to_gold.tow import ToW
from erasure.metrics.to_gold.ua import UnlearningAccuracy
from erasure.metrics.utility.accuracy import Accuracy
from erasure.metrics.utility.auprc import AUPRC
from erasure.metrics.utility.auroc import AUROC
from erasure.metrics.utility.balanced_accuracy import BalancedAccuracy
from erasure.metrics.utility.brier import Brier
from erasure.metrics.utility.ece import ECE
from erasure.metrics.utility.f1 import F1
from erasure.metrics.utility.per_class import PerClass
from erasure.metrics.utility.same_population import SamePopulation
from erasure.metrics.utility.topk import TopK

METRICS = {
    "accuracy": Accuracy(),
    "sides": SamePopulation(),
    "per_class": PerClass(),
    "balanced": BalancedAccuracy(),
    "topk": TopK(k=2),
    "f1": F1(),
    "auroc": AUROC(),
    "auprc": AUPRC(),
    "brier": Brier(),
    "ece": ECE(),
    "ua": UnlearningAccuracy(),
    "norm_gap": NormalizedGap(of=["forget/accuracy", "heldout/accuracy"], min_contrast=1e-6),
    "tow": ToW(),
    "aus": AUS(),
    "kl": KLToGold(),
    "activation": ActivationDistance(),
    "zrf": ZRF(),
    "rf_jsd": RetrainFreeJSD(),
}
SIZES = {"forget": 30, "retain": 40, "val": 20, "test": 35}
ROLES = ("original", "unlearned", "gold")


def tables(draw, num_classes=4):
    generator = torch.Generator().manual_seed(draw)
    return {
        part: (
            torch.randint(num_classes, (n,), generator=generator),
            {who: 2 * torch.randn(n, num_classes, generator=generator) for who in ROLES},
        )
        for part, n in SIZES.items()
    }


def evaluated(ctx):
    """Everything, with a few of the held-out samples as the forgotten population."""
    kin = ctx.ids("test")[ctx.targets("test") == 0]
    ctx = replace(ctx, splits=replace(ctx.splits, same_population=kin), fresh=lambda salt: Even())
    evaluation = Evaluator(metrics=METRICS)(ctx)
    assert evaluation.errors == ()
    return evaluation


class Even(torch.nn.Module):
    """Predicts every class alike."""

    def forward(self, inputs):
        return torch.zeros(len(inputs), 4)


def transformed(parts, change):
    return {
        name: change(labels, tables_of_roles) for name, (labels, tables_of_roles) in parts.items()
    }


def permuted(labels, logits):
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    return labels[order], {who: t[order] for who, t in logits.items()}


def shifted(labels, logits):
    return labels, {who: t + 4.0 for who, t in logits.items()}


def repeated(labels, logits):
    return labels.repeat(2), {who: t.repeat(2, 1) for who, t in logits.items()}


@pytest.mark.parametrize("change", [permuted, shifted, repeated])
def test_values_do_not_change(make_ctx, change):
    parts = tables(1)
    values = evaluated(make_ctx(transformed(parts, change))).flat()
    assert values == pytest.approx(evaluated(make_ctx(parts)).flat(), abs=1e-6)


def test_renaming_the_classes_changes_nothing(make_ctx):
    parts = tables(2)
    cycle = torch.tensor([0, 2, 3, 1])  # class 0 marks the population and stays

    def renamed(labels, logits):
        return cycle[labels], {who: t[:, cycle.argsort()] for who, t in logits.items()}

    values = evaluated(make_ctx(transformed(parts, renamed))).flat()
    assert values == pytest.approx(evaluated(make_ctx(parts)).flat(), abs=1e-9)


def test_values_lie_in_their_declared_range(make_ctx):
    evaluation = evaluated(make_ctx(tables(11)))
    for values in evaluation.results.values():
        for name, measured in values.items():
            meaning = evaluation.meanings[name]
            assert measured.status == "ok", (name, measured.reason)
            assert meaning.low <= measured.value <= meaning.high
            if measured.ci_low == measured.ci_low:
                assert meaning.low <= measured.ci_low <= measured.value <= measured.ci_high


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_give_a_reason(make_ctx, bad):
    parts = tables(4)
    for _, logits in parts.values():
        logits["unlearned"][:, 0] = bad
    evaluation = evaluated(make_ctx(parts))
    assert {m.reason.split(":")[-1] for m in evaluation.results["unlearned"].values()} == {
        "nonfinite_logits"
    }
    assert {m.status for m in evaluation.results["gold"].values()} == {"ok"}


def test_huge_logits_are_measured(make_ctx):
    parts = tables(5)
    for _, logits in parts.values():
        logits["unlearned"] *= 1e4
    assert {m.status for m in evaluated(make_ctx(parts)).results["unlearned"].values()} == {"ok"}


def test_one_forget_sample_is_enough_for_what_does_not_rank(make_ctx):
    parts = tables(6)
    labels, logits = parts["forget"]
    parts["forget"] = (labels[:1], {who: t[:1] for who, t in logits.items()})
    values = evaluated(make_ctx(parts)).results["unlearned"]
    without = {name: m.reason for name, m in values.items() if m.status != "ok"}
    assert without.pop("norm_gap/forget/accuracy", None) in (None, "not_discriminative")
    assert without == {"auroc/forget": "one_class", "auprc/forget": "one_class"}
