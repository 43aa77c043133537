"""Several requests: equal parts of what another strategy forgets, one after the other."""

from dataclasses import dataclass, replace

import pytest
import torch
from crafted_splits import people_pool
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.seeding import stream
from erasure.core.splits import View
from erasure.core.trial_data import plain_data
from erasure.data.pools.through import AuditedPool, Through
from erasure.data.splits.attribute import AttributeForget
from erasure.data.splits.drawn import ClassForget, RandomForget
from erasure.data.splits.poison import PoisonForget
from erasure.data.splits.prepared import prepare
from erasure.data.splits.sequential import Sequential
from erasure.trial.requests import forget_requests


@pytest.fixture(scope="module")
def pool():
    return people_pool()


def split(pool, strategy, seed=0):
    return strategy(pool, stream(seed, "split"))


@given(requests=st.integers(2, 29), seed=st.integers(0, 9))
def test_requests_are_equal_parts_of_the_forget_set(requests, seed):
    pool = people_pool()
    indices = split(pool, Sequential(inner=RandomForget(), requests=requests), seed)
    sizes = [len(ids) for ids in indices.requests]
    assert len(sizes) == requests
    assert max(sizes) - min(sizes) <= 1
    assert sorted(torch.cat(indices.requests).tolist()) == indices.forget.tolist()


@pytest.mark.parametrize(
    "inner",
    [
        RandomForget(fraction=0.3),
        ClassForget(classes=[1]),
        AttributeForget(attribute="identity", n_values=6),
        PoisonForget(),
    ],
)
def test_all_else_is_what_the_inner_strategy_says(pool, inner):
    actual, plain = split(pool, Sequential(inner=inner, requests=3)), split(pool, inner)
    assert replace(actual, requests=()).fingerprint == plain.fingerprint
    assert actual.scenario == plain.scenario
    assert (actual.same_population is None) == (plain.same_population is None)
    assert actual.same_population is None or torch.equal(
        actual.same_population, plain.same_population
    )


def test_the_order_is_drawn_from_the_seed(pool):
    orders = [
        [ids.tolist() for ids in split(pool, Sequential(inner=inner), seed).requests]
        for inner in [ClassForget(classes=[1])]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    ids = [i for part in orders[0] for i in part]
    assert ids != sorted(ids)


def test_the_order_is_part_of_the_fingerprint(pool):
    inner = RandomForget()
    indices = split(pool, Sequential(inner=inner, requests=2))
    turned = replace(indices, requests=indices.requests[::-1])
    assert len({indices.fingerprint, turned.fingerprint, split(pool, inner).fingerprint}) == 3


def test_data_are_altered_as_the_inner_strategy_does(pool):
    inner = PoisonForget()
    ordered, alone = (
        prepare(each, pool, stream(0, "split")) for each in (Sequential(inner=inner), inner)
    )
    assert ordered.pool.fingerprint == alone.pool.fingerprint != pool.fingerprint
    assert set(ordered.probes) == {"triggered"}
    plain = prepare(Sequential(inner=RandomForget()), pool, stream(0, "split"))
    assert plain.pool is pool
    assert plain.probes == {}


def test_what_was_not_asked_for_yet_is_retained(pool):
    indices = split(pool, Sequential(inner=RandomForget(), requests=3))
    audited = AuditedPool.watch(pool)
    steps = forget_requests(indices, audited, View(pool, indices.retain))
    assert [step.number for step in steps] == [0, 1, 2]
    for step, ids in zip(steps, indices.requests, strict=True):
        assert step.forget.index.tolist() == ids.tolist()
        done = set(torch.cat(indices.requests[: step.number + 1]).tolist())
        assert set(step.done.index.tolist()) == done
        assert step.retain.index.tolist() == sorted(set(indices.train.tolist()) - done)
        assert step.retain.pool is step.forget.pool is audited
    assert steps[-1].retain.index.tolist() == indices.retain.tolist()


def test_a_single_request_is_the_whole_forget_set_under_the_first_name(pool):
    indices = split(pool, RandomForget())
    (step,) = forget_requests(indices, AuditedPool.watch(pool), View(pool, indices.retain))
    assert step.path == ()
    assert step.forget.index.tolist() == indices.forget.tolist()
    assert step.retain.index.tolist() == indices.retain.tolist()


def test_steps_of_a_report_go_on(pool):
    indices = split(pool, Sequential(inner=RandomForget(), requests=3))
    seen = []

    def report(step, of, **values):
        seen.append((step, of, values))

    for request in forget_requests(indices, AuditedPool.watch(pool), View(pool, indices.retain)):
        request.continuing(report)(1, 2, loss=0.5)
        request.continuing(report)(2, 2, loss=0.1)
    assert [(step, of) for step, of, _ in seen] == [(n, 6) for n in range(1, 7)]


@dataclass(frozen=True, kw_only=True)
class Cutting:
    inner: RandomForget
    cuts: bool

    def __call__(self, pool, generator):
        return self.inner(pool, generator)

    def prepare(self, pool, generator):
        data = plain_data(pool, self(pool, generator))
        left = Through(pool) if self.cuts else pool
        return replace(data, retain=View(left, data.indices.retain))


def test_requests_that_change_what_stays_are_refused(pool):
    with pytest.raises(UnsupportedError, match="several requests need samples that stay as they"):
        prepare(
            Sequential(inner=Cutting(inner=RandomForget(), cuts=True)), pool, stream(0, "split")
        )
    kept = Sequential(inner=Cutting(inner=RandomForget(), cuts=False))
    assert len(prepare(kept, pool, stream(0, "split")).indices.requests) == 5


def test_more_requests_than_samples_are_refused(pool):
    with pytest.raises(ConfigError, match="requests must be <= 29, the samples to forget, got 30"):
        split(pool, Sequential(inner=RandomForget(), requests=30))
    with pytest.raises(ConfigError, match="requests must be >= 2, got 1"):
        Sequential(inner=RandomForget(), requests=1)
