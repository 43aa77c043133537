"""Canaries: fair coins that depend on nothing, wrong labels in and out, nobody in two parts."""

import pytest
import torch
from crafted_splits import people_pool
from scipy.stats import binom

from erasure.core.errors import ConfigError
from erasure.core.protocols import PreparingSplit
from erasure.core.seeding import stream
from erasure.core.task_types import Multilabel
from erasure.data.splits.canary import CanaryForget
from erasure.data.splits.drawn import RandomForget
from erasure.data.splits.prepared import prepare
from erasure.data.splits.sequential import Sequential

KINDS = ("mislabelled", "atypical", "random")


@pytest.fixture(scope="module")
def pool():
    return people_pool()


def split(pool, seed=0, **settings):
    return CanaryForget(**settings)(pool, stream(seed, "split"))


def out_of(indices):
    return torch.tensor(indices.scenario["out"])


@pytest.mark.parametrize("kind", KINDS)
def test_canaries_are_in_forget_or_nowhere(pool, kind):
    indices = split(pool, kind=kind, fraction=0.2)
    plain = RandomForget()(pool, stream(0, "split"))
    parts = [indices.forget, out_of(indices), indices.retain, indices.val, indices.test]
    assert sorted(torch.cat(parts).tolist()) == list(range(400))
    assert torch.equal(indices.val, plain.val)
    assert torch.equal(indices.test, plain.test)
    canaries = torch.cat(parts[:2])
    assert len(canaries) == round(0.2 * len(plain.train))
    assert torch.isin(canaries, plain.train).all()
    assert indices.scenario.keys() == {"kind", "canaries", "out", "seed"}


def test_coins_are_fair_and_independent(pool):
    """Of 100 seeds with 58 canaries each: how many are in, and how often one goes with another."""
    sizes, coins = [], []
    for seed in range(100):
        indices = split(pool, seed, kind="random", fraction=0.2)
        sizes.append(len(indices.forget))
        # the coin of the canary with the lowest id, and of that with the next
        canaries = torch.cat([indices.forget, out_of(indices)]).sort().values[:2]
        coins.append(torch.isin(canaries, indices.forget))
    total = len(indices.forget) + len(out_of(indices))
    low, high = binom.interval(0.999, 100 * total, 0.5)
    assert low <= sum(sizes) <= high
    # binomial and not fixed: the variance is a quarter of the number
    variance = torch.tensor(sizes).double().var().item()
    assert 0.6 * total / 4 < variance < 1.6 * total / 4
    low, high = binom.interval(0.999, 100, 0.5)
    assert low <= sum(first == second for first, second in coins) <= high


def test_coins_and_labels_do_not_depend_on_how_many_canaries_there_are(pool):
    few, many = (
        prepare(CanaryForget(fraction=fraction), pool, stream(0, "split"))
        for fraction in (0.1, 0.3)
    )
    inside, outside = few.indices.forget, out_of(few.indices)
    assert torch.isin(inside, many.indices.forget).all()
    assert torch.isin(outside, out_of(many.indices)).all()
    assert torch.equal(few.pool.targets[inside], many.pool.targets[inside])
    probes = [data.probes["canaries_out"] for data in (few, many)]
    both = torch.isin(probes[1].index, probes[0].index)
    assert torch.equal(probes[0].targets, probes[1].targets[both])


def test_mislabelled_canaries_have_wrong_labels_in_and_out_and_others_their_own(pool):
    data = prepare(CanaryForget(fraction=0.2), pool, stream(0, "split"))
    assert isinstance(CanaryForget(), PreparingSplit)
    canaries = torch.cat([data.indices.forget, out_of(data.indices)])
    assert (data.pool.targets[canaries] != pool.targets[canaries]).all()
    others = torch.ones(400, dtype=torch.bool)
    others[canaries] = False
    assert torch.equal(data.pool.targets[others], pool.targets[others])
    probe = data.probes["canaries_out"]
    assert torch.equal(probe.index, out_of(data.indices).sort().values)
    assert torch.equal(probe.targets, data.pool.targets[probe.index])
    # labels are drawn alike on both sides: a classifier could not tell the coin by them
    assert set(data.pool.targets[canaries].tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["atypical", "random"])
def test_other_canaries_keep_their_labels(pool, kind):
    data = prepare(CanaryForget(kind=kind), pool, stream(0, "split"))
    assert torch.equal(data.pool.targets, pool.targets)
    assert len(data.probes["canaries_out"]) == len(out_of(data.indices))


def test_models_are_trained_on_no_canary_that_is_out(pool):
    data = prepare(CanaryForget(), pool, stream(0, "split"))
    seen = torch.cat([data.train.index, data.retain.index])
    assert not torch.isin(out_of(data.indices), seen).any()


def test_several_labels_are_made_wrong_too(make_pool):
    targets = torch.randint(0, 2, (120, 3), generator=stream(0, "labels"))
    pool = make_pool(targets, num_classes=3, task_type=Multilabel())
    data = prepare(CanaryForget(fraction=0.3), pool, stream(0, "split"))
    ids = torch.cat([data.indices.forget, data.probes["canaries_out"].index])
    assert (data.pool.targets[ids] != targets[ids]).any(dim=1).all()


def test_requests_divide_those_that_are_in(pool):
    data = prepare(Sequential(inner=CanaryForget(), requests=3), pool, stream(0, "split"))
    assert torch.equal(torch.cat(data.indices.requests).sort().values, data.indices.forget)
    assert set(data.probes) == {"canaries_out"}


def test_the_same_seed_is_the_same_split_and_another_another(pool):
    first, again, other = (split(pool, seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.scenario == again.scenario != other.scenario


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "hard"}, "kind must be mislabelled or atypical or random, got 'hard'"),
        ({"duplicates": "move"}, "duplicates must be ignore, warn or error for canaries"),
        ({"fraction": 1.5}, "fraction"),
        ({"count": 1, "fraction": None}, "count makes 1 canaries, of which the coins put"),
    ],
)
def test_settings_that_cannot_work_are_refused(pool, settings, message):
    with pytest.raises(ConfigError, match=message):
        split(pool, **settings)
