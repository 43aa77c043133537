"""What two models, or their weights, or the features of one, give away."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from reasons import reasons
from reference_tables import crafted, logits_of, normal

from erasure.core.columns import Column
from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, SplitIndices, View
from erasure.core.task_types import Multiclass, Multilabel
from erasure.core.values import NotComputableError
from erasure.data.pools.tensor import TensorPool
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import measure
from erasure.evaluation.statistics.roc import null_error
from erasure.metrics.privacy.attribute_inference import AttributeInference, main_directions, probe
from erasure.metrics.privacy.inversion import Inversion
from erasure.metrics.privacy.two_model_mia import TwoModelMIA, degradation
from erasure.metrics.privacy.weight_diff_leak import WeightDiffLeak, correlation
from erasure.models.mlp import MLP
from erasure.testing.toy import toy_context
from erasure.training.fit import Fit
from erasure.training.noise import NoiseSearch
from erasure.training.trainers import Standard

ROLES = ("original", "unlearned", "gold")

SIZES = ("n_members", "n_non_members")


def margins(before, after, *, n=60, models=1, drop=0.0, seed=0):
    """Margins of original, unlearned and gold; unlearning lowers those of forget by ``drop``."""
    shape = (models, n)
    by_role = {}
    for number, role in enumerate(ROLES):
        forget, test = (
            normal(*shape, seed=seed + 10 * number + k, mean=before if number == 0 else after)
            for k in range(2)
        )
        by_role[role] = {"forget": forget - (drop if number else 0.0), "test": test}
    return by_role


def test_the_degradation_of_the_example():
    both, alone = torch.tensor([0.8, 0.6, 0.55, 0.3]), torch.tensor([0.7, 0.65, 0.5, 0.1])
    count, rate = degradation(both, alone)
    assert count.value == 0.75
    assert rate.value == pytest.approx(0.075, abs=1e-6)


def test_two_equally_distributed_sides_give_chance_on_average(make_ctx):
    values = [
        measure(TwoModelMIA(), crafted(make_ctx, margins(1.0, 1.0, seed=100 * draw)))[
            "two_model_mia/auc"
        ]
        for draw in range(12)
    ]
    null = null_error(*(values[0].extras[n] for n in SIZES)) / math.sqrt(len(values))
    assert abs(sum(value.value for value in values) / len(values) - 0.5) < 3 * null


@pytest.mark.parametrize("features", ["sorted_diff", "sorted_concat", "l2"])
def test_what_falls_by_unlearning_is_seen(make_ctx, features):
    ctx = crafted(make_ctx, margins(1.0, 1.0, drop=5.0))
    results = measure(TwoModelMIA(features=features), ctx)
    assert results["two_model_mia/auc"].value > 0.85
    assert results["two_model_mia/deg_count"].value > 0.8
    assert results["two_model_mia/deg_rate"].value > 0.2


def test_classes_in_their_order_serve_where_one_is_forgotten(make_ctx):
    labels = torch.zeros(60, dtype=torch.int64)
    parts = {part: (labels, {}) for part in ("forget", "test")}
    for role, results in margins(1.0, 1.0, drop=5.0).items():
        for part, (_, tables) in parts.items():
            tables[role] = logits_of(results[part][0], labels)
    results = measure(TwoModelMIA(features="direct_diff"), make_ctx(parts))
    assert results["two_model_mia/auc"].value > 0.85


def test_a_model_equal_to_gold_leaks_as_gold_does(make_ctx):
    roles = margins(2.0, 0.0)
    roles["unlearned"] = roles["gold"]
    ctx = crafted(make_ctx, roles)
    unlearned, gold = (measure(TwoModelMIA(), ctx.of(who)) for who in ("unlearned", "gold"))
    assert {n: m.value for n, m in unlearned.items()} == {n: m.value for n, m in gold.items()}


def test_the_original_has_nothing_to_be_compared_with(make_ctx):
    ctx = crafted(make_ctx, margins(1.0, 1.0))
    assert measure(TwoModelMIA(), ctx.of("original")) == {}
    assert measure(WeightDiffLeak(), toy_context().of("original")) == {}


def test_pairs_of_the_pool_train_the_attack(make_ctx):
    ctx = crafted(make_ctx, margins(1.0, 1.0, models=4, drop=5.0))
    result = measure(TwoModelMIA(train_on="references", n_attack=100), ctx)["two_model_mia/auc"]
    assert result.value > 0.85
    assert result.extras["train_on"] == "references"
    gold = measure(TwoModelMIA(train_on="references"), ctx.of("gold"))
    assert gold["two_model_mia/auc"].value > 0.85


def test_the_noise_of_the_pool_is_not_learned_as_membership(make_ctx):
    """Every model gives the same to a sample: in fold, an attack could know samples again."""
    values = []
    for draw in range(6):
        roles = margins(1.0, 1.0, seed=100 * draw)
        repeated = {r: {p: m.repeat(3, 1) for p, m in parts.items()} for r, parts in roles.items()}
        metric = TwoModelMIA(train_on="references")
        values.append(measure(metric, crafted(make_ctx, repeated))["two_model_mia/auc"])
    null = null_error(*(values[0].extras[n] for n in SIZES)) / math.sqrt(len(values))
    assert abs(sum(value.value for value in values) / len(values) - 0.5) < 3 * null


def test_pairs_of_shadows_train_the_attack(make_ctx):
    count, n = 6, 50
    generator = torch.Generator().manual_seed(1)
    seen = torch.rand(count, 4 * n, generator=generator) < 0.5
    forgotten = seen & (torch.rand(count, 4 * n, generator=generator) < 0.3)
    parts = ("forget", "retain", "val", "test")
    roles = margins(1.0, 1.0, n=n, models=1, drop=5.0)
    shadow = normal(count, 4 * n, seed=7, mean=1.0)
    after = shadow - 5.0 * forgotten
    for role, values in (("shadow", shadow), ("shadow_unlearned", after)):
        roles[role] = dict(zip(parts, values.split(n, dim=1), strict=True))
    for role in ROLES:  # of one length each
        roles[role] |= {p: torch.zeros(1, n, dtype=torch.float64) for p in ("retain", "val")}
    both = {"shadow": seen, "shadow_unlearned": seen}
    ctx = crafted(make_ctx, roles, seen=both, forgotten=forgotten)
    metric = TwoModelMIA(train_on="shadow")
    assert metric.needs_roles == ("shadow", "shadow_unlearned")
    assert measure(metric, ctx)["two_model_mia/auc"].value > 0.85


@pytest.mark.parametrize(
    ("train_on", "reason"),
    [("references", "missing_references_of_unlearned"), ("shadow", "missing_shadow_unlearned")],
)
def test_without_reference_models_there_is_nothing_to_train_on(random_ctx, train_on, reason):
    metric = TwoModelMIA(train_on=train_on)
    results = Evaluator(metrics={"m": metric})(random_ctx()).results["unlearned"]
    assert {(m.status, m.reason) for m in results.values()} == {("skipped", reason)}


def test_the_drop_of_a_bias_correlates_with_what_was_forgotten():
    assert correlation(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2.0, 4.0, 8.0])) == 1.0
    assert correlation(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])) == pytest.approx(-1.0)
    with pytest.raises(NotComputableError, match="constant"):
        correlation(torch.ones(3), torch.arange(3))


def one_class_forgotten(step):
    """A toy context whose unlearned model took a step against the forget set of one class."""
    ctx = toy_context()
    forget = ctx.splits.forget
    only = replace(ctx.splits, forget=forget.take(forget.targets == 2))
    ctx = replace(ctx, splits=only, models=dict(ctx.models))
    model = toy_context().models["original"]
    for batch in only.forget.batches(1024):
        loss = ctx.task_type.loss(model(batch.inputs), batch.targets).mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        for weight, gradient in zip(model.parameters(), gradients, strict=True):
            weight.add_(step * gradient)
    ctx.models["unlearned"] = model
    return ctx


def test_a_step_of_ascent_gives_its_class_and_its_inputs_away():
    ctx = one_class_forgotten(0.5)
    results = measure(WeightDiffLeak(), ctx)
    label = results["weight_diff_leak/label_correlation"]
    assert label.value > 0.8
    assert label.extras["top_class_found"]
    cosine = results["weight_diff_leak/input_cosine"]
    assert cosine.value > 3 * cosine.extras["null_mean"]


def test_the_cosine_of_a_random_direction_is_as_noted():
    ctx = one_class_forgotten(0.5)
    size = measure(WeightDiffLeak(), ctx)["weight_diff_leak/input_cosine"]
    directions = normal(20_000, 36)
    cosines = (directions[:, 0] / directions.norm(dim=1)).abs()
    assert size.extras["null_mean"] == pytest.approx(cosines.mean().item(), rel=0.02)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda ctx: one_class_forgotten(0.0), {"constant", "equal_weights"}),
        (lambda ctx: toy_context("cnn"), {"", "needs_linear_first_layer"}),
        (lambda ctx: replace(ctx, task_type=Multilabel()), {"", "needs_multiclass"}),
    ],
)
def test_weights_that_say_nothing_have_a_reason(change, expected):
    results = measure(WeightDiffLeak(), change(toy_context()))
    assert {m.reason for m in results.values()} == expected


def test_a_probe_finds_what_is_there_and_nothing_else():
    features = normal(300, 5)
    answer = torch.arange(300) % 3 == 0
    null = [probe(features, answer, stream(seed, "probe")) for seed in range(5)]
    assert max(abs(value - 0.5) for value in null) < 3 * math.sqrt(301 / (12 * 100 * 200))
    shifted = features + 2.0 * answer.double().unsqueeze(1)
    assert probe(shifted, answer, stream(0, "probe")) > 0.95


def test_main_directions_keep_the_variance():
    features = normal(50, 20) * torch.linspace(5, 0.1, 20)
    reduced = main_directions(features, 4)
    oracle = torch.linalg.svdvals(features - features.mean(0))[:4]
    assert torch.allclose(reduced.norm(dim=0).sort(descending=True).values, oracle)
    assert main_directions(features, 20).shape == (50, 20)


@pytest.fixture
def attributed():
    """A toy context that forgets its 200 training samples, of a pool with the given columns."""

    def make(**columns):
        ctx = toy_context()
        pool = replace(ctx.splits.forget.pool, attributes=columns)
        parts = {name: ctx.splits.part(name) for name in ("retain", "val", "test")}
        parts["forget"] = ctx.splits.train
        views = {name: replace(view, pool=pool) for name, view in parts.items()}
        metrics = {"attributes": AttributeInference(min_per_class=20)}
        evaluator = Evaluator(metrics=metrics)
        return evaluator.prepare(replace(ctx, splits=replace(ctx.splits, **views)))

    return make


def test_an_attribute_that_is_the_class_is_read_and_noise_is_not(attributed):
    classes = toy_context().splits.forget.pool.targets
    noise = torch.randint(2, (320,), generator=torch.Generator().manual_seed(0))
    ctx = attributed(
        kind=Column(classes, ("a", "b", "c", "d")), coin=Column(noise, ("head", "tail"))
    )
    kind, coin = (
        measure(AttributeInference(attribute=name, min_per_class=20), ctx)[
            "attribute_inference/auroc"
        ]
        for name in ("kind", "coin")
    )
    assert kind.value > 0.95
    assert sorted(kind.extras["by_question"]) == ["kind=a", "kind=b", "kind=c", "kind=d"]
    assert abs(coin.value - 0.5) < 3 * math.sqrt(201 / (12 * 100 * 100))
    assert list(coin.extras["by_question"]) == ["coin=tail"]
    both = measure(AttributeInference(min_per_class=20), ctx)["attribute_inference/auroc"]
    assert len(both.extras["by_question"]) == 5


def test_numbers_and_sets_are_asked_about_too(attributed):
    pool = toy_context().splits.forget.pool
    brightness = pool.inputs.flatten(1).mean(dim=1)
    brightness[::50] = torch.nan
    members = torch.stack([pool.targets < 2, pool.targets >= 0], dim=1)
    ctx = attributed(brightness=Column(brightness), of=Column(members, ("low", "every")))
    result = measure(AttributeInference(min_per_class=20), ctx)["attribute_inference/auroc"]
    assert sorted(result.extras["by_question"]) == ["brightness>median", "of=low"]
    assert result.extras["by_question"]["of=low"] > 0.95


def test_the_gap_of_gold_is_zero(attributed):
    ctx = attributed(kind=Column(toy_context().splits.forget.pool.targets, tuple("abcd")))
    results = measure(AttributeInference(min_per_class=20), ctx.of("gold"))
    assert results["attribute_inference/gap_to_gold"].value == 0.0
    gap = measure(AttributeInference(min_per_class=20), ctx)["attribute_inference/gap_to_gold"]
    assert gap.value == abs(gap.extras["signed"])


@pytest.mark.parametrize(
    ("columns", "attribute", "reason"),
    [
        ({}, None, "no_attributes"),
        ({"x": Column(torch.zeros(320))}, "y", "no_attribute:y"),
        ({"x": Column(torch.zeros(320))}, None, "too_few"),
        ({"x": Column(torch.full((320,), torch.nan))}, None, "too_few"),
        ({"x": Column(torch.full((320,), -1), ("a",))}, None, "too_few"),
    ],
)
def test_without_a_question_there_is_a_reason(attributed, columns, attribute, reason):
    results = measure(AttributeInference(attribute=attribute), attributed(**columns))
    assert {m.reason for m in results.values()} == {reason}


def separate_class():
    """A context of points around ten centres; the last class is forgotten as a whole."""
    targets = torch.arange(180) % 10
    centres = normal(10, 30, seed=5).float()
    inputs = centres[targets] + normal(180, 30, seed=3, sd=0.7).float()
    pool = TensorPool(inputs=inputs, targets=targets, class_names=tuple("abcdefghij"))
    train, val, test = torch.arange(180).split([90, 30, 60])
    in_class = targets[train] == 9
    indices = SplitIndices(forget=train[in_class], retain=train[~in_class], val=val, test=test)
    models = {}
    fit = Fit(optimizer=partial(torch.optim.Adam, lr=0.01), epochs=40, batch_size=30)
    seen = {"original": indices.train, "unlearned": indices.retain, "gold": indices.retain}
    for who, ids in seen.items():
        with isolated(0, "model", who):
            model = MLP((30,), 10, hidden=(32,))
        models[who] = Standard(fit=fit)(model, View(pool, ids), stream(0, "train"))
    ctx = EvalContext(
        models=models,
        splits=DataSplits.of(pool, indices),
        task_type=Multiclass(),
        num_classes=10,
        heldout="test",
        seed=0,
    )
    return Evaluator(metrics={"inversion": Inversion()}).prepare(ctx)


SEARCH = NoiseSearch(lr=0.05, steps=60)


def test_a_class_is_reconstructed_from_a_model_that_knows_it():
    ctx = separate_class()
    metric = Inversion(search=SEARCH)
    original, unlearned, gold = (measure(metric, ctx.of(who)) for who in ROLES)
    assert original["inversion/reidentified"].value == 1.0
    assert original["inversion/distance"].value < 1.5
    assert original["inversion/similarity"].value > 0.7
    assert unlearned["inversion/similarity"].value < original["inversion/similarity"].value - 0.1
    assert original["inversion/reidentified"].extras == {
        "classes": [9],
        "chance": 0.1,
        "independent": True,
    }
    assert not gold["inversion/reidentified"].extras["independent"]


def test_samples_of_every_class_are_no_forgotten_class():
    ctx = Evaluator(metrics={"inversion": Inversion()}).prepare(toy_context())
    assert reasons(Inversion(), ctx) == {"no_forgotten_class"}
    ctx = separate_class()
    assert reasons(Inversion(min_n=7), ctx) == {"too_few"}
    assert reasons(Inversion(), replace(ctx, models={"unlearned": ctx.models["unlearned"]})) == {
        "missing_gold"
    }


def test_token_ids_cannot_be_changed_a_little():
    ctx = separate_class()
    pool = ctx.splits.forget.pool
    ids = _Whole(inputs=pool.inputs, targets=pool.targets, class_names=pool.class_names)
    splits = replace(ctx.splits, forget=replace(ctx.splits.forget, pool=ids))
    with pytest.raises(NotComputableError, match="needs_continuous_inputs"):
        Inversion()._classes(replace(ctx, splits=splits))


class _Whole(TensorPool):
    def fetch(self, index, *, augment=None):
        return super().fetch(index).long()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TwoModelMIA(features="max"), "features must be one of sorted_diff, .*'max'"),
        (
            lambda: TwoModelMIA(train_on="gold"),
            "train_on must be one of trial, references",
        ),
        (lambda: TwoModelMIA(n_attack=9), "n_attack must be >= 10, got 9"),
        (lambda: TwoModelMIA(min_n=1), "min_n must be >= 10, got 1"),
        (lambda: AttributeInference(components=0), "components must be >= 1, got 0"),
        (lambda: AttributeInference(min_per_class=9), "min_per_class must be >= 10, got 9"),
        (lambda: Inversion(starts=0), "starts must be >= 1, got 0"),
        (lambda: Inversion(decay=-0.1), "decay must be >= 0, got -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
