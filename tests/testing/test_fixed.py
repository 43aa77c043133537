"""Our methods on fixed batches against loops that are typed from the papers."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from erasure.models.cnn import CNN
from erasure.testing import fixed_task
from erasure.training.fit import Fit
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.neggrad_plus import NegGradPlus
from erasure.unlearners.scrub import Scrub

sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-3)


@pytest.fixture
def original():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CNN((1, 6, 6), 3, channels=(4,), hidden=8)


def batches(sizes, seed):
    generator = Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, 1, 6, 6, generator=generator),
            torch.randint(3, (size,), generator=generator),
        )
        for size in sizes
    ]


FORGET, RETAIN = batches([5, 3], seed=1), batches([8, 8, 4], seed=2)


def same_weights(ours, theirs):
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def run(method, model):
    return method(fixed_task(copy.deepcopy(model), FORGET, RETAIN, num_classes=3))


def test_finetune_is_a_plain_loop(original):
    ours = run(Finetune(fit=Fit(optimizer=sgd, epochs=2, batch_size=1)), original)
    theirs = copy.deepcopy(original).train()
    optimizer = sgd(theirs.parameters())
    for _ in range(2):
        for inputs, targets in RETAIN:
            optimizer.zero_grad()
            F.cross_entropy(theirs(inputs), targets).backward()
            optimizer.step()
    same_weights(ours, theirs)


def test_neggrad_plus_is_a_loop_over_pairs_in_which_forget_starts_again(original):
    method = NegGradPlus(fit=Fit(optimizer=sgd, epochs=1, batch_size=1), alpha=0.9)
    ours = run(method, original)
    theirs = copy.deepcopy(original).train()
    optimizer = sgd(theirs.parameters())
    for (kept, labels), (dropped, wrong) in zip(RETAIN, [*FORGET, FORGET[0]], strict=True):
        optimizer.zero_grad()
        keep = F.cross_entropy(theirs(kept), labels)
        drop = F.cross_entropy(theirs(dropped), wrong)
        (0.9 * keep - (1.0 - 0.9) * drop).backward()
        optimizer.step()
    same_weights(ours, theirs)


def test_scrub_leaves_and_then_follows_its_teacher(original):
    fit = Fit(optimizer=sgd, epochs=2, batch_size=1)
    ours = run(Scrub(fit=fit, msteps=1, alpha=0.5, gamma=0.9, temperature=4.0), original)
    teacher = copy.deepcopy(original).eval()
    theirs = copy.deepcopy(original).train()
    optimizer = sgd(theirs.parameters())

    def divergence(logits, inputs):
        with torch.no_grad():
            taught = F.log_softmax(teacher(inputs) / 4.0, dim=-1)
        student = F.log_softmax(logits / 4.0, dim=-1)
        return 16.0 * F.kl_div(student, taught, log_target=True, reduction="batchmean")

    for epoch in range(2):
        for inputs, _ in FORGET if epoch == 0 else []:
            optimizer.zero_grad()
            (-divergence(theirs(inputs), inputs)).backward()
            optimizer.step()
        for inputs, targets in RETAIN:
            optimizer.zero_grad()
            logits = theirs(inputs)
            loss = 0.9 * F.cross_entropy(logits, targets) + 0.5 * divergence(logits, inputs)
            loss.backward()
            optimizer.step()
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_a_task_without_initial_weights_says_so(original):
    task = fixed_task(original, FORGET, RETAIN, num_classes=3)
    with pytest.raises(ValueError, match="initial="):
        task.fresh()
    assert (
        fixed_task(original, FORGET, RETAIN, num_classes=3, initial=original).fresh() is original
    )
