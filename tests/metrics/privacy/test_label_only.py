"""The label-only attack: a linear model's distances in closed form, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reasons import reasons
from scipy.stats import mannwhitneyu, norm
from torch import nn

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.core.splits import DataSplits, SplitIndices
from erasure.core.task_types import Multiclass, Multilabel
from erasure.data.pools.tensor import TensorPool
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.label_only import LabelOnly, robustness

WEIGHTS = torch.tensor([3.0, -4.0, 0.0])
OFFSET = 0.5


class Halves(nn.Module):
    """Class 1 where ``w x + b > 0``: the boundary is a plane, and distances are known."""

    def forward(self, inputs):
        side = inputs @ WEIGHTS.to(inputs) + OFFSET
        return torch.stack([-side, side], dim=-1)


class Tokens(TensorPool):
    def fetch(self, index, *, augment=None):
        return super().fetch(index, augment=augment).long()


def context(inputs, targets, model=None, kind=TensorPool):
    """20 samples to forget, 10 that stay, 5 for validation, the rest held out."""
    pool = kind(inputs=inputs, targets=targets, class_names=("a", "b"))
    ids = torch.arange(len(targets))
    indices = SplitIndices(forget=ids[:20], retain=ids[20:30], val=ids[30:35], test=ids[35:])
    return EvalContext(
        models={"unlearned": model or Halves()},
        splits=DataSplits.of(pool, indices),
        task_type=Multiclass(),
        num_classes=2,
        heldout="test",
        seed=0,
        batch_size=16,
    )


@pytest.fixture
def ctx():
    """Forgotten samples lie further from the boundary; a few of each side are misclassified."""
    inputs = torch.randn(75, 3, generator=stream(0, "inputs"))
    inputs[:20] *= 2.0
    targets = (inputs @ WEIGHTS + OFFSET > 0).long()
    targets[[0, 40]] = 1 - targets[[0, 40]]
    return context(inputs, targets)


def distances(ctx, part):
    """Signed distance from the boundary, ``(n,)``: negative where it is misclassified."""
    view = ctx.splits.part(part)
    inputs, signs = view.pool.inputs[view.index].double(), 2 * view.targets - 1
    return ((inputs @ WEIGHTS.double() + OFFSET) / WEIGHTS.double().norm() * signs).numpy()


def test_robustness_is_the_normal_probability_of_the_distance(ctx):
    """Noise of deviation s moves a sample by s N(0, 1) across the plane: P = Phi(d / s)."""
    copies, noise = 4000, (0.3, 1.2)
    result = robustness(ctx, ctx.splits.forget, noise, copies, stream(0, "noise")).numpy()
    chances = np.stack([norm.cdf(distances(ctx, "forget") / s) for s in noise])
    # each share is a mean of independent draws; four standard errors of 20 of them
    error = np.sqrt((chances * (1 - chances)).sum(0) / copies) / len(noise)
    assert (np.abs(result - chances.mean(0)) <= 4 * error + 1e-12).all()


def test_with_many_copies_it_is_the_attack_by_the_distance(ctx):
    values = measure(LabelOnly(sizes=(1.0,), copies=3000), ctx)
    right = [np.maximum(distances(ctx, part), 0.0) for part in ("forget", "test")]
    exact = mannwhitneyu(*right).statistic / (len(right[0]) * len(right[1]))
    auc = values["label_only/auc"]
    assert auc.value == pytest.approx(exact, abs=0.02)
    assert auc.value > 0.6
    assert auc.ci_low < auc.value < auc.ci_high
    assert auc.n == 60
    spread = ctx.splits.test.pool.inputs[35:].double().var(dim=0, unbiased=False).mean().sqrt()
    assert auc.extras["noise"] == [pytest.approx(spread.item())]


def test_a_misclassified_sample_scores_nothing(ctx):
    everyone = torch.ones(20, dtype=torch.bool)
    scores = LabelOnly(sizes=(1.0,), copies=20)._scores(ctx, "forget", everyone, 5.0)
    assert scores[0] == 0.0  # although noise brings some copies to its side
    assert (scores[1:] > 0.0).all()


def test_only_labels_matter(ctx):
    """A steep model has the same labels and other losses: nothing changes."""

    class Steep(Halves):
        def forward(self, inputs):
            return 50.0 * super().forward(inputs) + 7.0

    steep = replace(ctx, models={"unlearned": Steep()}, _cache={})
    first, second = (measure(LabelOnly(), each) for each in (ctx, steep))
    assert first == second


def test_all_roles_see_the_same_noise(ctx):
    both = replace(ctx, models={"unlearned": Halves(), "gold": Halves()})
    assert measure(LabelOnly(), both) == measure(LabelOnly(), both.of("gold"))


def test_a_model_that_knows_one_class_alone_is_chance(ctx):
    class Constant(nn.Module):
        def forward(self, inputs):
            return inputs.new_tensor([1.0, 0.0]).expand(len(inputs), 2)

    pool = ctx.splits.forget.pool
    values = measure(LabelOnly(), context(pool.inputs, torch.zeros_like(pool.targets), Constant()))
    assert values["label_only/auc"].value == 0.5
    assert values["label_only/auc"].extras["constant_score"] is True


def test_what_cannot_be_computed_says_why(ctx):
    pool = ctx.splits.forget.pool
    assert reasons(LabelOnly(min_n=21), ctx) == {"too_few"}
    assert reasons(LabelOnly(), replace(ctx, task_type=Multilabel())) == {"needs_multiclass"}
    assert reasons(LabelOnly(), replace(ctx, models={})) == {"missing_unlearned"}
    same = context(torch.ones(75, 3), pool.targets)
    assert reasons(LabelOnly(), same) == {"constant_inputs"}
    tokens = context(pool.inputs, pool.targets, kind=Tokens)
    assert reasons(LabelOnly(), tokens) == {"needs_continuous_inputs"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": ()}, r"sizes must be one or more finite numbers > 0, got \[\]"),
        ({"sizes": (0.1, 0.0)}, r"sizes must be .* got \[0.1, 0.0\]"),
        ({"sizes": (float("nan"),)}, "sizes must be"),
        ({"copies": 0}, "copies must be >= 1, got 0"),
        ({"min_n": 1}, "min_n must be >= 2, got 1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        LabelOnly(**settings)
