"""The evaluation context: one forward pass per model and part, and nothing changed by it."""

import pytest
import torch
from torch import nn

from erasure.core.context import EvalContext
from erasure.core.modes import evaluating
from erasure.core.splits import DataSplits, SplitIndices
from erasure.core.task_types import Multiclass
from erasure.core.values import MetricValue, NotComputableError, not_computed


class Counting(nn.Module):
    """Doubles its inputs, normalizes them, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return self.norm(2 * inputs).double()


@pytest.fixture
def ctx(make_pool):
    parts = {"forget": [1, 0], "retain": [5, 4, 3, 2], "val": [6], "test": [8, 7]}
    indices = SplitIndices(**{name: torch.tensor(ids) for name, ids in parts.items()})
    return EvalContext(
        models={"original": Counting(), "unlearned": Counting()},
        splits=DataSplits.of(make_pool(torch.arange(9) % 3), indices),
        task_type=Multiclass(),
        num_classes=3,
        heldout="test",
        seed=0,
        batch_size=3,
    )


def test_logits_are_computed_once_per_role_and_part(ctx):
    first = ctx.logits("retain")
    assert ctx.logits("retain") is first
    assert ctx.of("original").logits("retain", "unlearned") is first
    assert ctx.models["unlearned"].calls == 2  # four samples in batches of three
    assert ctx.models["original"].calls == 0


def test_logits_align_with_ids_and_targets_and_are_ordinary_float32(ctx):
    logits = ctx.logits("retain")
    expected = 2 * ctx.ids("retain")[:, None].expand(-1, 3) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(logits, expected.float())
    assert torch.equal(ctx.targets("retain"), ctx.ids("retain") % 3)
    assert logits.dtype == torch.float32
    assert not logits.is_inference()
    assert not logits.requires_grad


def test_evaluation_changes_neither_statistics_nor_flags(ctx):
    model = ctx.models["unlearned"]
    model.norm.train()
    model.training = False
    ctx.logits("forget")
    assert (model.training, model.norm.training) == (False, True)
    assert model.norm.num_batches_tracked.item() == 0


def test_flags_come_back_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())

    def fail():
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [module.training for module in model.modules()] == [True, True, False]


def test_the_other_heldout_part_is_refused(ctx):
    with pytest.raises(KeyError, match="'val' is not evaluated here, only forget, retain, test"):
        ctx.logits("val")


def test_a_missing_role_and_bad_logits_are_reasons_and_not_numbers(ctx):
    with pytest.raises(NotComputableError, match="missing_gold"):
        ctx.logits("forget", "gold")
    nn.init.constant_(ctx.models["original"].norm.weight, float("inf"))
    with pytest.raises(NotComputableError, match="nonfinite_logits"):
        ctx.logits("forget", "original")


def test_losses_are_those_of_the_task(ctx):
    expected = nn.functional.cross_entropy(
        ctx.logits("retain"), ctx.targets("retain"), reduction="none"
    )
    assert torch.equal(ctx.losses("retain"), expected)


def test_earlier_values_are_found_or_explained(ctx):
    ctx.results["unlearned"] = {
        "a": MetricValue(value=1.0),
        "b": not_computed("degenerate", "empty"),
    }
    assert ctx.measured("a").value == 1.0
    with pytest.raises(NotComputableError, match="degenerate: empty"):
        ctx.measured("b")
    with pytest.raises(NotComputableError, match="missing_original:a"):
        ctx.measured("a", "original")
