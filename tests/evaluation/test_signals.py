from dataclasses import replace

import pytest
import torch

from erasure.core.task_types import Multiclass, Multilabel
from erasure.core.values import NotComputableError
from erasure.evaluation.signals import (
    entropies,
    log_probs,
    losses,
    margins,
    member_score,
    modified_entropies,
    phi,
    predictions,
    require_multiclass,
)

EXAMPLE = torch.tensor(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.35, 0.4], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]
)
LABELS = torch.tensor([0, 1, 1, 2, 2])


@pytest.fixture
def ctx(make_ctx):
    return make_ctx({"forget": (LABELS, {"unlearned": EXAMPLE.log()})})


def test_worked_losses_and_confidences(ctx):
    loss = losses(ctx, "forget")
    assert loss[0].item() == pytest.approx(0.356675, abs=1e-6)
    assert log_probs(ctx, "forget").exp()[0].tolist() == pytest.approx([0.7, 0.2, 0.1], abs=1e-6)
    assert predictions(ctx, "forget").tolist() == [0, 1, 2, 0, 2]


def test_worked_margin():
    logits = torch.tensor([[2.0, 0.0, -1.0]]).double()
    assert margins(logits, torch.tensor([0])).tolist() == [2.0]
    assert margins(logits, torch.tensor([2])).tolist() == [-3.0]


def test_margin_is_positive_exactly_where_the_model_is_right(ctx):
    right = margins(ctx.logits("forget"), LABELS) > 0
    assert torch.equal(right, predictions(ctx, "forget") == LABELS)


def test_losses_keep_the_order_that_float32_would_lose(make_ctx):
    confident = torch.tensor([[20.0, 0.0], [25.0, 0.0], [30.0, 0.0]])
    labels = torch.zeros(3, dtype=torch.int64)
    ctx = make_ctx({"forget": (labels, {"unlearned": confident})})
    assert len(ctx.losses("forget").unique()) < 3
    assert losses(ctx, "forget").tolist() == pytest.approx(
        [2.061153618e-09, 1.388794387e-11, 9.357622969e-14], rel=1e-6
    )


def test_a_constant_added_to_the_logits_changes_nothing(make_ctx):
    shifted = {"unlearned": EXAMPLE.log() + 8.0}
    ctx = make_ctx({"forget": (LABELS, {"unlearned": EXAMPLE.log()})})
    other = make_ctx({"forget": (LABELS, shifted)})
    assert losses(other, "forget").tolist() == pytest.approx(
        losses(ctx, "forget").tolist(), abs=1e-6
    )


ROW = torch.tensor([[0.7, 0.2, 0.1]]).double().log()


def random_logits(n=50, num_classes=5, scale=4.0):
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(n, num_classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(num_classes, (n,), generator=generator)


def test_worked_entropy(ctx):
    assert entropies(ctx, "forget")[0].item() == pytest.approx(0.801819, abs=1e-6)


@pytest.mark.parametrize(("label", "value"), [(0, 0.162167), (1, 2.140867), (2, 2.959736)])
def test_worked_modified_entropies(label, value):
    entropies = modified_entropies(ROW, torch.tensor([label]))
    assert entropies.item() == pytest.approx(value, abs=1e-6)


def test_modified_entropy_of_a_row_does_not_depend_on_the_other_rows():
    """The authors' released code fails this: its values depend on the batch."""
    logits, targets = random_logits()
    alone = [modified_entropies(logits[i : i + 1], targets[i : i + 1]) for i in range(50)]
    together = modified_entropies(logits, targets)
    assert torch.cat(alone).tolist() == pytest.approx(together.tolist(), abs=1e-12)


def test_modified_entropy_agrees_with_its_formula():
    logits, targets = random_logits(scale=1.0)
    p = logits.softmax(dim=-1)
    own = torch.nn.functional.one_hot(targets, 5).bool()
    first = -(1 - p[own]) * p[own].log()
    rest = -(p * (1 - p).log()).masked_fill(own, 0.0).sum(dim=-1)
    entropies = modified_entropies(logits, targets)
    assert entropies.tolist() == pytest.approx((first + rest).tolist(), abs=1e-12)


def test_modified_entropy_falls_with_the_confidence_of_two_classes():
    z = torch.linspace(-30, 30, 61, dtype=torch.float64)
    entropies = modified_entropies(torch.stack([z, -z], dim=-1), torch.zeros(61).long())
    assert bool((entropies.diff() < 0).all())


def test_modified_entropy_of_extreme_logits_is_finite():
    logits = torch.tensor([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4]])
    entropies = modified_entropies(logits, torch.tensor([0, 2]))
    assert entropies[0].item() == 0.0
    assert entropies[1].item() == pytest.approx(3e4)  # -log p_y, and p_0 log(1 - p_0)


def test_worked_logit_scaled_confidences():
    own = torch.tensor([0])
    assert phi(Multiclass(), ROW, own).item() == pytest.approx(0.847298, abs=1e-6)
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    assert phi(Multiclass(), logits, own).item() == pytest.approx(1.686738, abs=1e-6)


def test_logit_scaled_confidence_belongs_to_the_loss():
    logits, targets = random_logits()
    confidences = phi(Multiclass(), logits, targets)
    loss = Multiclass().loss(logits, targets)
    assert torch.nn.functional.softplus(-confidences).tolist() == pytest.approx(
        loss.tolist(), abs=1e-12
    )
    moved = phi(Multiclass(), logits + 7.0, targets)
    assert moved.tolist() == pytest.approx(confidences.tolist(), abs=1e-12)


def test_logit_scaled_confidence_does_not_round_to_infinity():
    logits = torch.tensor([[50.0, 0.0, 0.0]])
    confidences = phi(Multiclass(), logits, torch.tensor([0]))
    assert confidences.item() == pytest.approx(50.0 - torch.tensor(2.0).log().item(), abs=1e-6)


def test_logit_scaled_confidence_of_many_models_is_that_of_each():
    logits, targets = random_logits()
    stack = torch.stack([logits, -logits])
    confidences = phi(Multiclass(), stack, targets)
    assert torch.equal(confidences[1], phi(Multiclass(), -logits, targets))


def test_logit_scaled_confidence_of_several_labels_is_their_mean():
    logits = torch.tensor([[3.0, -1.0], [2.0, 2.0]])
    targets = torch.tensor([[1, 0], [0, 1]])
    assert phi(Multilabel(), logits, targets).tolist() == [2.0, 0.0]


def test_member_scores_are_higher_for_the_confident_and_right(ctx):
    assert member_score(ctx, "forget", "correctness").tolist() == [1, 1, 0, 0, 1]
    own = [0.7, 0.6, 0.35, 0.2, 0.5]
    assert member_score(ctx, "forget", "confidence").tolist() == pytest.approx(own, abs=1e-6)
    assert torch.equal(member_score(ctx, "forget", "entropy"), -entropies(ctx, "forget"))
    modified = member_score(ctx, "forget", "modified_entropy")
    assert modified[0].item() == pytest.approx(-0.162167, abs=1e-6)


def test_signals_that_need_one_class_say_so(ctx):
    with pytest.raises(NotComputableError, match="needs_multiclass"):
        require_multiclass(replace(ctx, task_type=Multilabel()))
