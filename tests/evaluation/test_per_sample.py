import pandas as pd
import pytest
import torch

from erasure.evaluation.per_sample import per_sample


def test_one_row_per_sample_with_every_signal_of_every_role(random_ctx):
    ctx = random_ctx()
    table = per_sample(ctx)
    assert list(table.columns) == [
        "id",
        "part",
        "target",
        *(
            f"{who}_{signal}"
            for who in ("original", "unlearned", "gold")
            for signal in ("loss", "confidence", "margin", "predicted")
        ),
    ]
    assert table.groupby("part").size().to_dict() == {"forget": 40, "retain": 90, "test": 60}
    assert table["id"].is_unique
    rows = table[table["part"] == "test"]
    assert rows["id"].tolist() == ctx.ids("test").tolist()
    assert rows["gold_loss"].tolist() == pytest.approx(
        ctx.losses("test", "gold").tolist(), abs=1e-5
    )
    assert rows["gold_predicted"].tolist() == ctx.logits("test", "gold").argmax(-1).tolist()


def test_worked_row(make_ctx):
    tables = {"unlearned": torch.tensor([[0.7, 0.2, 0.1]]).log()}
    row = per_sample(make_ctx({"forget": (torch.tensor([0]), tables)})).iloc[0]
    assert row["unlearned_loss"] == pytest.approx(0.356675, abs=1e-6)
    assert row["unlearned_confidence"] == pytest.approx(0.7, abs=1e-6)
    assert row["unlearned_margin"] == pytest.approx(1.252763, abs=1e-6)  # log 3.5
    assert (row["target"], row["unlearned_predicted"]) == (0, 0)


def test_the_margin_tells_right_from_wrong(random_ctx):
    table = per_sample(random_ctx())
    right = table["unlearned_predicted"] == table["target"]
    assert ((table["unlearned_margin"] > 0) == right).all()


def test_a_diverged_model_leaves_its_columns_empty(random_ctx):
    ctx = random_ctx()
    with torch.no_grad():
        ctx.models["unlearned"].table.fill_(torch.nan)
    table = per_sample(ctx)
    assert table["unlearned_loss"].isna().all()
    assert table["unlearned_predicted"].isna().all()
    assert table["gold_predicted"].notna().all()


def test_the_table_survives_parquet(random_ctx, tmp_path):
    table = per_sample(random_ctx())
    table.to_parquet(tmp_path / "per_sample.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "per_sample.parquet"), table)
