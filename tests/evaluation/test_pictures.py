import sys

import pytest
import torch

from erasure.evaluation.pictures import (
    loss_histograms,
    roc_curves,
    training_curves,
    write_pictures,
)

CURVES = {"original/loss": [(0, 2.3), (1, 1.2), (2, 0.7)], "unlearn/loss": [(0, 0.5), (1, 0.9)]}


def axis_titles(figure):
    return [panel.get_title() for panel in figure.axes]


def test_every_picture_is_written(random_ctx, tmp_path):
    paths = write_pictures(random_ctx(), CURVES, tmp_path)
    assert [path.name for path in paths] == [
        "loss_histograms.png",
        "loss_attack_roc.png",
        "training_curves.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_without_curves_there_is_no_picture_of_them(random_ctx, tmp_path):
    assert len(write_pictures(random_ctx(), {}, tmp_path)) == 2


def test_histograms_share_their_bins_and_lose_no_sample(random_ctx):
    figure = loss_histograms(random_ctx())
    assert axis_titles(figure) == ["original", "unlearned", "retrained (gold)"]
    ranges = {panel.get_xlim() for panel in figure.axes}
    assert len(ranges) == 1
    for panel in figure.axes:
        for drawn in panel.patches:
            heights = drawn.get_xy()[:, 1]
            assert heights.max() <= 1.0
        assert len(panel.patches) == 2


def test_histograms_keep_losses_of_zero(make_ctx):
    certain = torch.tensor([[900.0, 0.0]]).repeat(12, 1)
    labels = torch.zeros(12, dtype=torch.int64)
    parts = {part: (labels, {"unlearned": certain}) for part in ("forget", "test")}
    panel = loss_histograms(make_ctx(parts)).axes[0]
    assert "below 1e-06" in panel.get_xlabel()
    assert panel.patches[0].get_xy()[:, 1].max() == pytest.approx(1.0)


def test_roc_names_each_role_with_its_auc(random_ctx):
    figure = roc_curves(random_ctx())
    linear, log = figure.axes
    labels = [line.get_label() for line in linear.get_lines()]
    assert [label.split(",")[0] for label in labels] == [
        "original",
        "unlearned",
        "retrained (gold)",
        "chance",
    ]
    assert (log.get_xscale(), log.get_yscale()) == ("log", "log")
    assert "1/60" in log.get_xlabel()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_each_curve_has_a_panel(count):
    curves = {f"curve {i}": [(0, 1.0), (1, 0.5)] for i in range(count)}
    assert axis_titles(training_curves(curves)) == list(curves)


def test_a_diverged_model_is_drawn_as_not_computable(random_ctx, tmp_path):
    ctx = random_ctx()
    with torch.no_grad():
        ctx.models["unlearned"].table.fill_(torch.nan)
    assert len(write_pictures(ctx, {}, tmp_path)) == 2
    texts = [text.get_text() for text in loss_histograms(ctx).axes[1].texts]
    assert texts == ["not computable"]


def test_a_class_without_heldout_samples_can_be_drawn(make_ctx, tmp_path):
    tables = {"unlearned": torch.zeros(3, 2)}
    parts = {part: (torch.full((3,), i), tables) for i, part in enumerate(("forget", "test"))}
    assert len(write_pictures(make_ctx(parts), {}, tmp_path)) == 2


def test_no_global_state_of_matplotlib_is_used(random_ctx, tmp_path):
    was_loaded = "matplotlib.pyplot" in sys.modules
    write_pictures(random_ctx(), CURVES, tmp_path)
    assert ("matplotlib.pyplot" in sys.modules) == was_loaded
