import pytest
import torch

from erasure.evaluation.signals import log_probs, losses, margins, predictions

EXAMPLE = torch.tensor(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.35, 0.4], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]
)
LABELS = torch.tensor([0, 1, 1, 2, 2])


@pytest.fixture
def ctx(make_ctx):
    return make_ctx({"forget": (LABELS, {"unlearned": EXAMPLE.log()})})


def test_worked_losses_and_confidences(ctx):
    found = losses(ctx, "forget")
    assert found[0].item() == pytest.approx(0.356675, abs=1e-6)
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
