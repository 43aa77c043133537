"""Orders that differ per epoch, joint orders, and replayed draws, against loops typed by hand."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from erasure.core.seeding import isolated, stream
from erasure.models.cnn import CNN
from erasure.testing import fixed_task, replayed_draws, split_joint
from erasure.training.fit import Fit
from erasure.unlearners.bad_teacher import BadTeacher
from erasure.unlearners.cfw import CFW
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.neggrad_plus import NegGradPlus
from erasure.unlearners.random_labels import RandomLabels

sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-3)


def network(seed=0):
    with isolated(seed, "given orders"):
        return CNN((1, 6, 6), 3, channels=(4,), hidden=8)


def batches(sizes, seed):
    generator = stream(seed, "given orders")
    return [
        (
            torch.randn(size, 1, 6, 6, generator=generator),
            torch.randint(3, (size,), generator=generator),
        )
        for size in sizes
    ]


FORGET, RETAIN = batches([3, 2], seed=1), batches([4, 4, 2], seed=2)
ORDERS = {
    "forget": [[[4, 0], [1, 2, 3]], [[3, 2, 1, 0, 4]]],
    "retain": [[[9, 0, 5], [1, 2, 3, 4], [6, 7, 8]], [[0, 2, 4, 6, 8], [1, 3, 5], [7, 9]]],
    "joint": [[[0, 7, 1], [2, 5, 6, 8], [3, 14, 4, 9], [10, 11, 12, 13]],
              [[14, 13, 12, 11], [0, 5, 1, 6, 2, 7, 3, 8], [4, 9, 10]]],
}  # fmt: skip


def task(model, **options):
    return fixed_task(copy.deepcopy(model), FORGET, RETAIN, num_classes=3, **options)


def fit(epochs=2):
    return Fit(optimizer=sgd, epochs=epochs, batch_size=1)


def whole(pairs):
    return [torch.cat(column) for column in zip(*pairs, strict=True)]


def trained(model, steps):
    """Descend the cross-entropy of each of some batches."""
    theirs = copy.deepcopy(model).train()
    optimizer = sgd(theirs.parameters())
    for inputs, targets in steps:
        optimizer.zero_grad()
        F.cross_entropy(theirs(inputs), targets).backward()
        optimizer.step()
    return theirs


def same_weights(ours, theirs, **tolerance):
    states = zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True)
    for (name, a), b in states:
        if tolerance:
            torch.testing.assert_close(a, b, msg=name, **tolerance)
        else:
            assert torch.equal(a, b), name


def test_every_epoch_has_an_order_of_its_own():
    model, (inputs, targets) = network(), whole(RETAIN)
    ours = Finetune(fit=fit())(task(model, orders=ORDERS))
    steps = [(inputs[b], targets[b]) for order in ORDERS["retain"] for b in order]
    same_weights(ours, trained(model, steps))


def test_pairs_take_the_next_order_of_forget_when_the_last_ran_out():
    model, (kept, labels), (dropped, wrong) = network(), whole(RETAIN), whole(FORGET)
    orders = {"forget": [[[0, 1], [2]], [[4, 3], [2, 1]]], "retain": ORDERS["retain"][:1]}
    ours = NegGradPlus(fit=fit(1), alpha=0.9)(task(model, orders=orders))
    theirs = copy.deepcopy(model).train()
    optimizer = sgd(theirs.parameters())
    forget = [*orders["forget"][0], orders["forget"][1][0]]
    for keep, drop in zip(orders["retain"][0], forget, strict=True):
        optimizer.zero_grad()
        loss = 0.9 * F.cross_entropy(theirs(kept[keep]), labels[keep])
        loss = loss - (1.0 - 0.9) * F.cross_entropy(theirs(dropped[drop]), wrong[drop])
        loss.backward()
        optimizer.step()
    same_weights(ours, theirs)


def test_forget_and_retain_share_batches_in_a_joint_order_with_replayed_labels():
    model, (inputs, targets) = network(), whole([*FORGET, *RETAIN])
    method = RandomLabels(fit=fit(), order="mixed_resample", exclude_true=False)
    draws = [torch.randint(3, (15,), generator=stream(n, "labels")) for n in range(2)]
    with replayed_draws(draws):
        ours = method(task(model, orders=ORDERS))
    steps = []
    for drawn, order in zip(draws, ORDERS["joint"], strict=True):
        labels = torch.cat([drawn[:5], targets[5:]])
        steps += [(inputs[b], labels[b]) for b in order]
    same_weights(ours, trained(model, steps))


def test_teachers_are_chosen_by_flags_in_batches_that_mix():
    model, initial, (inputs, targets) = network(), network(1), whole([*FORGET, *RETAIN])
    flags = torch.arange(15) < 5
    loader = [(inputs[b], targets[b], flags[b]) for b in ORDERS["joint"][0]]
    forget, retain, order = split_joint(loader)
    # the first pass in the order in which the samples come, the second in another
    renumbered = {"joint": [order, order[::-1]]}
    given = fixed_task(
        copy.deepcopy(model), forget, retain, num_classes=3, initial=initial, orders=renumbered
    )
    ours = BadTeacher(fit=fit(), retain_share=1.0)(given)
    good, bad = copy.deepcopy(model).eval(), copy.deepcopy(initial).eval()
    theirs = copy.deepcopy(model).train()
    optimizer = sgd(theirs.parameters())
    for x, _, flag in [*loader, *loader[::-1]]:
        optimizer.zero_grad()
        with torch.no_grad():
            taught = torch.where(flag.unsqueeze(1), bad(x), good(x))
        divergence = F.kl_div(
            F.log_softmax(theirs(x), dim=-1), F.softmax(taught, dim=-1), reduction="batchmean"
        )
        divergence.backward()
        optimizer.step()
    same_weights(ours, theirs, rtol=1e-4, atol=1e-6)


def test_flags_split_a_loader_into_parts_and_an_order():
    x, y = torch.arange(6.0).unsqueeze(1), torch.arange(6)
    flags = torch.tensor([0, 1, 1, 0, 0, 0])
    forget, retain, order = split_joint([(x[:3], y[:3], flags[:3]), (x[3:], y[3:], flags[3:])])
    assert [labels.tolist() for _, labels in forget] == [[1, 2]]
    assert [labels.tolist() for _, labels in retain] == [[0], [3, 4, 5]]
    assert order == [[2, 0, 1], [3, 4, 5]]
    mixed = fixed_task(network(), forget, retain, num_classes=6, orders={"joint": [order]})
    both = (mixed.forget + mixed.retain).batches(99, generator=stream(0))
    assert [batch.targets.tolist() for batch in both] == [[0, 1, 2], [3, 4, 5]]


def visited(view, generator=None):
    return [batch.ids.tolist() for batch in view.batches(1, generator=generator)]


def test_sums_and_parts_keep_the_given_batches():
    plain = task(network())
    assert visited(plain.forget + plain.retain) == [
        [0, 1, 2], [3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14]
    ]  # fmt: skip
    part = plain.retain.take(torch.tensor([9, 0, 4, 1]))
    assert visited(part, stream(0)) == [[5, 6], [9], [14]]
    assert part.num_batches(99) == 3
    (first, *_) = part.batches(1)
    assert torch.equal(first.targets, RETAIN[0][1][:2])
    odd = plain.forget.take(torch.arange(5) % 2 == 1)
    assert visited(odd.relabel(torch.zeros(2, dtype=torch.int64)) + part) == [
        [1], [3], [5, 6], [9], [14]
    ]  # fmt: skip
    assert visited(plain.forget.take(torch.arange(2)) + odd.take(torch.tensor([1]))) == [
        [0, 1], [3]
    ]  # fmt: skip
    ordered = task(network(), orders=ORDERS)
    some = ordered.forget + ordered.retain.take(torch.tensor([0, 1]))
    assert visited(some) == [[0, 1, 2], [3, 4], [5, 6]]
    assert some.num_batches(1) == 3
    assert visited(some, stream(0)) == [[0, 1], [2, 5, 6], [3, 4]]


def test_passes_that_are_not_shuffled_take_no_order():
    ordered = task(network(), orders={"forget": ORDERS["forget"]})
    assert visited(ordered.forget) == [[0, 1, 2], [3, 4]]
    assert visited(ordered.forget, stream(0)) == ORDERS["forget"][0]
    assert visited(ordered.forget) == [[0, 1, 2], [3, 4]]
    assert ordered.forget.num_batches(1) == 1
    assert visited(ordered.forget, stream(0)) == ORDERS["forget"][1]
    with pytest.raises(ValueError, match="more passes over forget than the 2 in orders"):
        visited(ordered.forget, stream(0))


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ({"both": []}, "orders must be of forget, retain, val, joint, got both"),
        ({"forget": [[[0, 5]]]}, r"orders\['forget'\], pass 1: 5 is no number of its 5 samples"),
        ({"joint": [[[0]], [[1, 1]]]}, r"pass 2: a number occurs twice among its 15 samples"),
    ],
)
def test_orders_must_be_of_what_there_is(orders, message):
    with pytest.raises(ValueError, match=message):
        task(network(), orders=orders)


def test_a_sample_cannot_be_in_a_given_view_twice():
    twice = task(network()).forget.take(torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="cannot have a sample twice"):
        visited(twice)


def test_noise_is_replayed():
    model, labels = network(), whole(RETAIN)[1]
    weights = [name for name, value in model.named_parameters() if value.ndim == 4]
    noise = [
        torch.randn(model.get_parameter(name).shape, generator=stream(0, name)) for name in weights
    ]
    with replayed_draws(noise):
        ours = CFW(fit=fit(1), sigma=0.1, sigma_end=0.1)(task(model))
    theirs = copy.deepcopy(model).train()
    with torch.no_grad():
        for name, drawn in zip(weights, noise, strict=True):
            theirs.get_parameter(name).add_(0.1 * drawn)
    optimizer = sgd(theirs.parameters())
    balance = len(labels) / (len(labels.unique()) * labels.bincount())
    for inputs, targets in RETAIN:
        optimizer.zero_grad()
        (F.cross_entropy(theirs(inputs), targets) * balance[targets].mean()).backward()
        optimizer.step()
    same_weights(ours, theirs, rtol=1e-5, atol=1e-7)


def test_draws_of_every_kind_are_replayed_and_what_draws_nothing_is_left_alone():
    with pytest.raises(ZeroDivisionError), replayed_draws([torch.ones(3)]):
        1 / 0  # noqa: B018  # that draws are left is not what went wrong
    drawn = torch.empty(3)
    with replayed_draws([torch.arange(3), torch.ones(2)]):
        drawn.normal_(generator=stream(0))
        ones = torch.randint(9, (2,), generator=stream(0))
        free = torch.zeros(2)  # no draw
    assert drawn.tolist() == [0.0, 1.0, 2.0]
    assert ones.tolist() == [1, 1]
    assert ones.dtype is torch.int64
    assert free.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ([], "draws by randn after the 0 in draws"),
        ([torch.ones(3)], r"draws\[0\] must have the shape \(2, 2\), which randn draws"),
        ([torch.ones(2, 2)] * 2, "drew 1 times, and draws has 2"),
    ],
)
def test_draws_must_be_as_many_and_of_the_shape_that_is_drawn(draws, message):
    with pytest.raises(ValueError, match=message), replayed_draws(draws):
        torch.randn(2, 2, generator=stream(0))
