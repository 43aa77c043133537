"""Sharded training: where samples go, what a stage trains on, and what a removal repeats."""

import copy
import math
from fractions import Fraction
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint, tensor_fingerprint
from erasure.core.seeding import branch, isolated, stream
from erasure.core.splits import View
from erasure.core.task_types import Multiclass, Multilabel
from erasure.data.pools.through import AuditedPool
from erasure.models.mlp import MLP
from erasure.testing.toy import toy_indices, toy_pool
from erasure.training.fit import Fit
from erasure.training.sharded import Ensemble, Sharded, place, slice_epochs

TRAIN = toy_indices().train


def fit(epochs=6, **more):
    return Fit(optimizer=partial(torch.optim.SGD, lr=0.1), epochs=epochs, batch_size=16, **more)


def fresh(salt=""):
    with isolated(0, "member", salt):
        return nn.Sequential(MLP((1, 6, 6), 4, hidden=(8,)), nn.Dropout(0.2))


def trained(trainer, view, report=None):
    model = trainer.compose(fresh, Multiclass())()
    made = {} if report is None else {"report": report}
    return trainer(model, view, stream(0, "train"), **made)


def memory():
    """Return a memory as a trial has one, and the stages that it had to compute."""
    known, computed = {}, []

    def kept(name, view, compute, **settings):
        key = (name, tensor_fingerprint(view.index), *sorted(settings.items()))
        if key not in known:
            known[key] = copy.deepcopy(compute())
            computed.append(view)
        return known[key]

    return kept, computed


@given(
    st.integers(0, 2**31),
    st.integers(2, 6),
    st.integers(1, 4),
    st.sampled_from(["sorted", "alternating", "powers of two"]),
)
def test_shards_are_balanced_by_class_whatever_the_order_of_the_data(seed, shards, slices, order):
    """Each class is in each shard about as often as by a fair draw without replacement.

    With n of a class's samples, a share q of all, the count in a shard has the mean n / S and a
    deviation below ``sqrt(n / S)``; five of these are not left in 25 examples.
    """
    ids = torch.arange(1200)
    labels = {"sorted": ids // 300, "alternating": ids % 4, "powers of two": ids % 8 // 2}[order]
    view = View(toy_like(labels), ids)
    shard, part = place(view, shards, slices, stream(seed, "train"))
    for number in range(shards):
        counts = torch.bincount(labels[shard == number], minlength=4)
        assert ((counts - 300 / shards).abs() < 5 * math.sqrt(300 / shards)).all()
    sizes = torch.bincount(shard * slices + part, minlength=shards * slices)
    assert len(sizes) == shards * slices
    assert int(sizes.max() - sizes.min()) <= 1


def toy_like(labels):
    pool = toy_pool()
    return type(pool)(
        inputs=torch.zeros(len(labels), 1), targets=labels, class_names=pool.class_names
    )


@given(st.sets(st.integers(0, 199), max_size=100))
def test_where_a_sample_goes_does_not_depend_on_the_others(gone):
    pool, generator = toy_pool(), stream(0, "train")
    everything = View(pool, TRAIN)
    keep = torch.tensor([place not in gone for place in range(200)])
    whole = [part[keep] for part in place(everything, 3, 4, generator)]
    fewer = place(everything.take(keep), 3, 4, generator)
    assert all(a.equal(b) for a, b in zip(whole, fewer, strict=True))


@given(st.integers(0, 60), st.integers(1, 10))
def test_slices_take_the_sample_visits_of_plain_epochs(epochs, slices):
    """The sum over k of (epochs of slice k) k / R is E, up to the rounding of each part down."""
    epochs_of_slices = slice_epochs(epochs, slices)
    exact = [Fraction(2 * k * epochs, slices + 1) for k in range(slices + 1)]
    assert epochs_of_slices == [math.floor(b) - math.floor(a) for a, b in pairwise(exact)]
    visits = sum(n * (k + 1) / slices for k, n in enumerate(epochs_of_slices))
    assert epochs - 1 < visits + 1e-9
    assert visits <= epochs + (slices - 1) / 2


def test_fifteen_epochs_for_each_of_three_slices():
    """Thirty epochs: 15 (1/3 + 2/3 + 1) = 30."""
    assert slice_epochs(30, 3) == [15, 15, 15]
    assert slice_epochs(30, 1) == [30]
    assert slice_epochs(5, 3) == [2, 3, 2]


def test_a_stage_trains_on_the_prefix_of_its_shard():
    kept, stages = memory()
    view = View(toy_pool(), TRAIN)
    trainer = Sharded(fit=fit(), shards=2, slices=3)
    trained(trainer.resuming(kept), view)
    shard, part = place(view, 2, 3, stream(0, "train"))
    expected = [view.index[(shard == s) & (part <= k)] for s in range(2) for k in range(3)]
    assert [sorted(v.index.tolist()) for v in stages] == [sorted(e.tolist()) for e in expected]


def test_a_member_is_a_network_trained_on_those_prefixes():
    """A plain loop, with the batches and the dropout of each stage."""
    view = View(toy_pool(), TRAIN)
    actual = trained(Sharded(fit=fit(5), shards=2, slices=2), view).members[1]
    shard, part = place(view, 2, 2, stream(0, "train"))
    net = fresh("shard 1").train()
    for stage, epochs in enumerate((3, 3)):  # floor(10 / 3), floor(20 / 3) - floor(10 / 3)
        own = branch(stream(0, "train"), "shard", "1", "slice", str(stage))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with isolated(own.initial_seed(), "sharded", "layers"):
            for _ in range(epochs):
                for batch in view.take((shard == 1) & (part <= stage)).batches(16, generator=own):
                    optimizer.zero_grad()
                    F.cross_entropy(net(batch.inputs), batch.targets).backward()
                    optimizer.step()
    assert model_fingerprint(actual) == model_fingerprint(net)


def test_what_was_kept_changes_nothing_and_a_removal_repeats_only_what_saw_the_sample():
    view = View(toy_pool(), TRAIN)
    trainer = Sharded(fit=fit(), shards=3, slices=3)
    kept, stages = memory()
    original = trained(trainer.resuming(kept), view)
    assert len(stages) == 9
    gone = 57
    keep = torch.arange(200) != gone
    shard, part = (assignment[gone].item() for assignment in place(view, 3, 3, stream(0, "train")))
    stages.clear()
    resumed = trained(trainer.resuming(kept), view.take(keep))
    assert len(stages) == 3 - part
    assert model_fingerprint(resumed) == model_fingerprint(trained(trainer, view.take(keep)))
    same = [
        model_fingerprint(a) == model_fingerprint(b)
        for a, b in zip(original.members, resumed.members, strict=True)
    ]
    assert same == [number != shard for number in range(3)]


def test_the_order_of_the_view_does_not_matter():
    view = View(toy_pool(), TRAIN)
    trainer = Sharded(fit=fit(2), shards=2, slices=2)
    backwards = trained(trainer, view.take(torch.arange(199, -1, -1)))
    assert model_fingerprint(backwards) == model_fingerprint(trained(trainer, view))


def test_the_curve_has_a_value_for_each_pass_worth_of_visits():
    pool = AuditedPool.watch(toy_pool())
    view, curve = View(pool, TRAIN), []
    trained(
        Sharded(fit=fit(8), shards=4, slices=3),
        view,
        lambda step, of, **values: curve.append((step, of, values["loss"])),
    )
    passes = pool.passes(view.index)
    assert len(curve) == round(passes)
    assert passes == pytest.approx(8, abs=1)
    assert [entry[0] for entry in curve] == list(range(1, len(curve) + 1))
    assert all(math.isfinite(entry[2]) and 0 < entry[2] < 5 for entry in curve)


def test_the_ensemble_averages_probabilities():
    """(1/2, 1/4, 1/4) and (1/4, 1/4, 1/2) have the mean (3/8, 1/4, 3/8)."""
    actual = both(Multiclass(), [[2.0, 1, 1], [1.0, 1, 2]], "mean")
    assert actual.exp().flatten().tolist() == pytest.approx([3 / 8, 1 / 4, 3 / 8])


def test_of_each_label_if_there_are_several():
    """Odds of 3 and 1/3 are probabilities of 3/4 and 1/4; odds of 1 and 7 of 1/2 and 7/8."""
    actual = both(Multilabel(), [[3.0, 1.0], [1 / 3, 7.0]], "mean")
    assert actual.sigmoid().flatten().tolist() == pytest.approx([1 / 2, 11 / 16])


def test_majority_counts_votes():
    """Two of three vote for the first class, whatever the margins; nobody counts half a vote."""
    actual = both(Multiclass(), [[2.0, 1, 1], [3.0, 2, 1], [1.0, 1, 99]], "majority")
    assert actual.exp().flatten().tolist() == pytest.approx([2 / 3, 1 / 6, 1 / 3])
    labels = both(Multilabel(), [[3.0, 1 / 2], [3.0, 1 / 2], [1 / 3, 1 / 9]], "majority")
    assert labels.exp().flatten().tolist() == pytest.approx([2, 1 / 6])


def both(kind, odds, vote):
    class Given(nn.Module):
        def __init__(self, row):
            super().__init__()
            self.row = torch.tensor([row]).log()

        def forward(self, inputs):
            return self.row

    return Ensemble([Given(row) for row in odds], kind, vote)(None)


def test_a_shard_without_samples_keeps_its_first_weights():
    view = View(toy_pool(), TRAIN)
    shard, _ = place(view, 2, 2, stream(0, "train"))
    model = trained(Sharded(fit=fit(2), shards=2, slices=2), view.take(shard == 0))
    assert model_fingerprint(model.members[1]) == model_fingerprint(fresh("shard 1"))
    assert model_fingerprint(model.members[0]) != model_fingerprint(fresh("shard 0"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"shards": 0}, "shards must be >= 1, got 0"),
        ({"slices": 0}, "slices must be >= 1, got 0"),
        ({"vote": "loudest"}, "vote must be mean or majority, got 'loudest'"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(ConfigError, match=message):
        Sharded(fit=fit(), **setting)


def test_it_trains_only_what_it_composes():
    with pytest.raises(TypeError, match="what its compose builds, got Sequential"):
        Sharded(fit=fit())(fresh(), View(toy_pool(), TRAIN), stream(0, "train"))
