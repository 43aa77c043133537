from dataclasses import replace

import pytest
import torch
from reasons import reasons
from reference_tables import balanced_halves, with_references

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.evaluation.measure import meanings, measure
from erasure.metrics.privacy.rmia import RMIA, dominated_share, offline_prior, online_prior

NAMES = ("rmia/auc", "rmia/tpr_at_1_fpr", "rmia/tpr_at_0.1_fpr")
SIZES = {"forget": 200, "retain": 30, "val": 30, "test": 400}


def phi_logits(phi):
    """Logits of two classes, of which the first is true, with the given log-odds."""
    return torch.stack([phi, torch.zeros_like(phi)], dim=-1)


@pytest.fixture
def make_difficult(make_ctx):
    """Samples of very different difficulty, of which the unlearned model still knows the forgot.

    The log-odds of every sample are its difficulty plus noise of each model; the unlearned
    model has ``shift`` more on the forget set.
    """

    def make(shift, num_golds=4, seed=0):
        generator = torch.Generator().manual_seed(seed)
        total = sum(SIZES.values())
        difficulty = 3 * torch.randn(total, generator=generator)

        def drawn():
            return difficulty + torch.randn(total, generator=generator)

        unlearned, gold = drawn(), drawn()
        unlearned[: SIZES["forget"]] += shift
        models = {"unlearned": phi_logits(unlearned), "gold": phi_logits(gold)}
        parts, start = {}, 0
        for name, size in SIZES.items():
            cut = slice(start, start + size)
            labels = torch.zeros(size, dtype=torch.int64)
            parts[name] = (labels, {who: table[cut] for who, table in models.items()})
            start += size
        golds = torch.stack([phi_logits(drawn()) for _ in range(num_golds)])
        return with_references(make_ctx(parts), {"gold": golds})

    return make


def test_worked_offline_ratio_and_score():
    prior = offline_prior(torch.tensor(0.5), 0.3)
    ratio = (torch.tensor(0.9) / prior).unsqueeze(0).double()
    assert ratio.item() == pytest.approx(1.333333, abs=1e-6)
    population = torch.tensor([0.8, 1.2, 1.4, 1.0]).double()
    scores = [dominated_share(ratio, population, gamma).item() for gamma in (1.0, 1.2, 2.0)]
    assert scores == [0.75, 0.5, 0.0]


def test_worked_online_ratio():
    prior = online_prior(torch.tensor(0.95).double(), torch.tensor(0.5).double())
    assert 0.9 / prior.item() == pytest.approx(1.241379, abs=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 1.3])
def test_shares_are_those_of_the_double_loop(gamma):
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.rand(n, generator=generator).double().round(decimals=2) + 0.1 for n in (80, 120))
    slow = (x.unsqueeze(1) / gamma >= z).double().mean(dim=1)
    assert torch.equal(dominated_share(x, z, gamma), slow)


def test_what_is_left_of_the_forget_set_is_found_where_a_population_attack_is_blind(
    make_difficult,
):
    result = measure(RMIA(), make_difficult(shift=2.0))["rmia/auc"]
    assert result.value > 0.65
    assert result.extras["references"] == 4
    blind = measure(RMIA(), make_difficult(shift=0.0))["rmia/auc"]
    assert abs(blind.value - 0.5) < 3 * blind.extras["null_error"]


def test_a_single_gold_of_the_trial_will_do(make_difficult):
    alone = replace(make_difficult(shift=2.0), references=None)
    result = measure(RMIA(), alone)["rmia/auc"]
    assert result.extras["references"] == 1
    assert result.value > 0.6


def test_gold_is_never_attacked_with_itself(make_difficult):
    ctx = make_difficult(shift=2.0)
    assert reasons(RMIA(), replace(ctx, references=None).of("gold")) == {"missing_second_gold"}
    result = measure(RMIA(), ctx.of("gold"))["rmia/auc"]
    assert abs(result.value - 0.5) < 3 * result.extras["null_error"]


def test_the_population_is_disjoint_from_who_is_tested(make_difficult):
    """A non-member that dominated itself would never have the score 0."""
    ctx = make_difficult(shift=0.0)
    lowest = ctx.logits("test")[:, 0].argmin()
    ctx.models["unlearned"].table.data[SIZES["forget"] + 60 + lowest, 0] = -60.0
    results = measure(RMIA(), replace(ctx, _cache={}))
    assert results["rmia/auc"].n == 600
    assert set(results) == set(NAMES) == set(meanings(RMIA(), "test"))


def test_a_small_population_is_not_enough(make_difficult):
    ctx = make_difficult(shift=0.0)
    assert reasons(RMIA(min_population=201), ctx) == {"small_population"}
    assert measure(RMIA(min_population=200), ctx)["rmia/auc"].status == "ok"


def shadowed(ctx, num_shadows=8, shift=2.0):
    """Add shadows, each of which knows a random half of all samples better by ``shift``."""
    generator = torch.Generator().manual_seed(5)
    total = sum(SIZES.values())
    difficulty = ctx.references.tables["gold"][..., 0].mean(dim=0)
    seen = balanced_halves(num_shadows, total, generator)
    noise = torch.randn(num_shadows, total, generator=generator)
    return with_references(
        ctx, {"shadow": phi_logits(difficulty + noise + shift * seen)}, {"shadow": seen}
    )


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_shadows_serve_as_references_by_who_saw_what(make_difficult, mode):
    leaking = shadowed(make_difficult(shift=2.0))
    result = measure(RMIA(references="shadow", mode=mode), leaking)["rmia/auc"]
    assert result.value > 0.65
    clean = shadowed(make_difficult(shift=0.0))
    null = measure(RMIA(references="shadow", mode=mode), clean)["rmia/auc"]
    assert abs(null.value - 0.5) < 3 * null.extras["null_error"]


def test_the_offline_correction_can_be_tuned_on_shadows(make_difficult):
    ctx = shadowed(make_difficult(shift=2.0))
    tuned = measure(RMIA(references="shadow", a=None), ctx)["rmia/auc"]
    assert tuned.extras["a"] in [number / 10 for number in range(11)]
    fixed = measure(RMIA(references="shadow", a=tuned.extras["a"]), ctx)["rmia/auc"]
    assert fixed == tuned


def test_every_sample_needs_a_reference_that_did_not_see_it(make_difficult):
    ctx = shadowed(make_difficult(shift=0.0))
    ctx.references.seen["shadow"][:, 7] = True
    assert reasons(RMIA(references="shadow"), ctx) == {"missing_reference"}
    assert reasons(RMIA(references="shadow"), replace(ctx, references=None)) == {"missing_shadow"}


def test_several_labels_are_attacked_by_their_mean_loss(make_difficult):
    ctx = make_difficult(shift=2.0)
    pool = ctx.splits.forget.pool
    several = torch.tensor([1, 0]).expand(len(pool.targets), 2)
    object.__setattr__(pool, "targets", several)
    result = measure(RMIA(), replace(ctx, task_type=Multilabel()))["rmia/auc"]
    assert result.value > 0.6


def test_a_pool_is_asked_for_only_where_a_single_model_will_not_do():
    assert RMIA().needs_roles == ()
    assert RMIA(references="shadow").needs_roles == ("shadow",)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"references": "original"}, "references must be gold or shadow, got 'original'"),
        ({"mode": "both"}, "mode must be offline or online, got 'both'"),
        ({"mode": "online"}, "mode must be offline for references=gold"),
        ({"gamma": 0.9}, "gamma must be >= 1, got 0.9"),
        ({"a": None}, "a must be a number for references=gold"),
        ({"a": 1.2}, r"a must be in \[0, 1\] or null, got 1.2"),
        ({"min_population": 1}, "min_population must be >= 2, got 1"),
        ({"min_n": 0}, "min_n must be >= 2, got 0"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        RMIA(**setting)
