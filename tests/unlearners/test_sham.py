from dataclasses import replace

import pytest
import torch

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.testing import toy_task
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.identity import Identity
from erasure.unlearners.scrub import Scrub
from erasure.unlearners.sham import Sham

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def moves(method, model, **changes):
    """Return by name where each parameter was and where it went."""
    before = {n: p.detach().clone() for n, p in toy_task(model).model.named_parameters()}
    after = dict(method(replace(toy_task(model), **changes)).named_parameters())
    return {name: (weight, after[name].detach()) for name, weight in before.items()}


def length(values):
    return values.double().norm().item()


@MODELS
def test_every_tensor_moves_by_its_share(model):
    for name, (old, new) in moves(Sham(relative_norm=0.2), model).items():
        assert length(new - old) == pytest.approx(0.2 * length(old), rel=1e-5), name


@MODELS
def test_the_model_as_a_whole_moves_by_its_share_along_one_direction(model):
    """``sqrt(sum_i 0.2^2 |w_i|^2) = 0.2 |w|``, spread evenly over all entries."""
    result = moves(Sham(relative_norm=0.2, scope="model"), model).values()
    old = torch.cat([a.flatten() for a, _ in result])
    step = torch.cat([(b - a).flatten() for a, b in result])
    assert length(step) == pytest.approx(0.2 * length(old), rel=1e-5)
    sizes = torch.stack([(b - a).square().mean() for a, b in result if a.numel() > 100])
    assert sizes.max() < 1.6 * sizes.min()


@MODELS
@pytest.mark.parametrize("scope", ["tensor", "model"])
def test_it_moves_as_far_as_its_reference_in_another_direction(fit, model, scope):
    reference = Scrub(fit=fit(lr=0.1), msteps=1)
    target = moves(reference, model)
    sham = moves(Sham(reference=reference, scope=scope), model)
    if scope == "tensor":
        for name, (old, new) in target.items():
            far = length(new - old)
            assert length(sham[name][1] - old) == pytest.approx(far, rel=1e-4), name
    theirs, ours = (
        torch.cat([(b - a).flatten() for a, b in item.values()]) for item in (target, sham)
    )
    assert length(ours) == pytest.approx(length(theirs), rel=1e-4)
    assert torch.cosine_similarity(ours, theirs, dim=0).abs() < 0.2


def test_the_reference_works_on_a_copy_and_is_run_as_it_would_be_alone(fit):
    seen = []

    def reference(task):
        seen.append(Finetune(fit=fit())(task))
        return seen[0]

    task = toy_task("cnn")
    buffers = {name: value.clone() for name, value in task.model.named_buffers()}
    moved = Sham(reference=reference)(task)
    assert moved is task.model
    assert model_fingerprint(seen[0]) == model_fingerprint(Finetune(fit=fit())(toy_task("cnn")))
    assert all(value.equal(buffers[name]) for name, value in moved.named_buffers())


def test_a_reference_that_does_not_move_leaves_everything():
    result = moves(Sham(reference=Identity()), "cnn")
    assert all(old.equal(new) for old, new in result.values())


def test_another_seed_is_another_direction():
    one = moves(Sham(relative_norm=0.1), "mlp")
    other = moves(Sham(relative_norm=0.1), "mlp", generator=torch.Generator().manual_seed(5))
    assert not any(one[name][1].equal(other[name][1]) for name in one)


def test_a_fixed_distance_reads_no_data():
    task = toy_task()
    Sham(relative_norm=0.1)(task)
    assert int(task.forget.pool.reads.sum()) == 0


def test_sets_of_labels_make_no_difference(multilabel_task, parameters):
    before = parameters(multilabel_task().model)
    after = parameters(Sham(relative_norm=0.1)(multilabel_task()))
    assert length(after - before) == pytest.approx(0.1 * length(before), rel=1e-5)


def test_a_reference_with_other_parameters_is_refused():
    other = Sham(reference=lambda task: torch.nn.Identity())
    with pytest.raises(UnsupportedError, match="set relative_norm instead"):
        other(toy_task())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "relative_norm must be null when reference is set, and a number when it is not"),
        ({"relative_norm": 0.1, "reference": Identity()}, "relative_norm must be null when"),
        ({"relative_norm": 0.0}, "relative_norm must be > 0, got 0.0"),
        ({"relative_norm": 0.1, "scope": "layer"}, "scope must be tensor or model, got 'layer'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Sham(**settings)
