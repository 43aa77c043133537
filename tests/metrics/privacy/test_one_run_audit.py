"""The audit by canaries: what it finds of a leak, and that it finds nothing where nothing is."""

from dataclasses import replace

import pytest
import torch
from reasons import reasons
from reference_tables import logits_of, normal
from sklearn.metrics import roc_auc_score

from erasure.core.errors import ConfigError
from erasure.evaluation.measure import measure
from erasure.evaluation.statistics.one_run import epsilon_lower
from erasure.metrics.privacy.one_run_audit import OneRunAudit

CANARIES = 120


@pytest.fixture
def audited(make_ctx):
    """Return a context of canaries with given margins by role, and which of them are in.

    The margins are those of a model that saw none; ``raised`` is added where the coin says so.
    """

    def make(raised, seed=0, canaries=CANARIES):
        coins = torch.rand(canaries, generator=torch.Generator().manual_seed(seed)) < 0.5
        difficulty = normal(canaries, seed=seed + 1, sd=3.0)
        labels = torch.arange(canaries) % 3
        tables = {
            who: logits_of(
                difficulty + 0.3 * normal(canaries, seed=seed + 2 + k) + amount * coins, labels
            )
            for k, (who, amount) in enumerate(raised.items())
        }
        ctx = make_ctx({"forget": (labels, tables)})
        probes = {"canaries_out": ctx.splits.forget.take(~coins)}
        splits = replace(
            ctx.splits,
            forget=ctx.splits.forget.take(coins),
            probes=probes,
            scenario={"kind": "canary"},
        )
        return replace(ctx, splits=splits), coins

    return make


def test_a_model_that_knows_every_canary_gives_the_largest_bound(audited):
    ctx, coins = audited({"original": 50.0, "unlearned": 0.0, "gold": 0.0})
    values = measure(OneRunAudit(shares=[1.0]), ctx.of("original"))
    epsilon, auc = values["one_run_audit/epsilon"], values["one_run_audit/auc"]
    assert auc.value == 1.0
    inside = int(coins.sum())
    assert (epsilon.extras["canaries_in"], epsilon.extras["canaries_out"]) == (
        inside,
        CANARIES - inside,
    )
    # As many are guessed in as out, while the coins put not quite half of them in.
    wrong = abs(CANARIES // 2 - inside)
    assert epsilon.extras["correct"] == CANARIES - wrong
    expected = epsilon_lower(CANARIES - wrong, CANARIES, CANARIES, delta=1e-5, tail=0.025)
    assert epsilon.value == pytest.approx(expected)
    assert epsilon.n == CANARIES


def test_what_the_retrained_model_finds_hard_is_taken_off(audited):
    """A leak of one unit among canaries whose difficulty has a deviation of three."""
    ctx, _ = audited({"unlearned": 1.0, "gold": 0.0})
    calibrated, plain = (measure(OneRunAudit(calibrated=c), ctx) for c in (True, False))
    assert calibrated["one_run_audit/auc"].value > 0.9 > 0.7 > plain["one_run_audit/auc"].value
    assert calibrated["one_run_audit/epsilon"].value > 1.0
    assert plain["one_run_audit/epsilon"].value < 0.6


def test_a_model_like_the_retrained_one_gives_nothing_away(audited):
    found, areas = 0, []
    for seed in range(30):
        ctx, _ = audited({"unlearned": 0.0, "gold": 0.0}, seed=100 * seed)
        for who in ("unlearned", "gold"):
            values = measure(OneRunAudit(), ctx.of(who))
            found += values["one_run_audit/epsilon"].value > 0
            areas.append(values["one_run_audit/auc"].value)
    # 60 audits, of which at most one in 20 may find something; and an AUC of 0.5 +- 0.053 each.
    assert found <= 8
    assert sum(areas) / len(areas) == pytest.approx(0.5, abs=3 * 0.053 / 60**0.5)


def test_retraining_itself_gives_ties_and_gold_is_attacked_by_its_own_confidence(audited):
    ctx, coins = audited({"unlearned": 0.0, "gold": 0.0})
    same = replace(ctx, models={**ctx.models, "unlearned": ctx.models["gold"]})
    assert measure(OneRunAudit(), same)["one_run_audit/auc"].value == 0.5
    losses = torch.cat([ctx.losses(part, "gold") for part in ("forget", "canaries_out")])
    expected = roc_auc_score([1] * int(coins.sum()) + [0] * int((~coins).sum()), -losses)
    assert measure(OneRunAudit(), ctx.of("gold"))["one_run_audit/auc"].value == pytest.approx(
        expected
    )


def test_a_method_that_overdid_it_is_found_too(audited):
    ctx, _ = audited({"unlearned": -50.0, "gold": 0.0})
    epsilon = measure(OneRunAudit(), ctx)["one_run_audit/epsilon"]
    assert epsilon.extras["inverted"]
    assert epsilon.value > 1.5
    assert measure(OneRunAudit(two_sided=False), ctx)["one_run_audit/epsilon"].value == 0.0


def test_what_cannot_be_audited_has_a_reason(audited, random_ctx):
    assert reasons(OneRunAudit(), random_ctx()) == {"needs_canary"}
    ctx, coins = audited({"unlearned": 0.0, "gold": 0.0}, canaries=12)
    value = measure(OneRunAudit(), ctx)["one_run_audit/epsilon"]
    assert value.reason == "too_few"
    assert f"{int(coins.sum())} canaries are in the training set" in value.counts
    ctx, _ = audited({"unlearned": 0.0})
    assert reasons(OneRunAudit(), ctx) == {"missing_gold"}
    assert reasons(OneRunAudit(calibrated=False), ctx) == {""}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delta": 1.0}, r"delta must be in \[0, 1\), got 1.0"),
        ({"shares": []}, r"shares must be numbers in \(0, 1\], got \[\]"),
        ({"shares": [0.5, 0.0]}, r"shares must be numbers in \(0, 1\], got \[0.5, 0.0\]"),
        ({"min_n": 1}, "min_n must be >= 2, got 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        OneRunAudit(**settings)
