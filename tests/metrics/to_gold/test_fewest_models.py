"""As many retrained models as a metric asks for are enough, one less is too few."""

import pytest
from reference_tables import crafted, normal

from erasure.evaluation.measure import measure
from erasure.metrics.to_gold.gap_z import GapZ
from erasure.metrics.to_gold.null_band import NullBand


@pytest.mark.parametrize("metric", [GapZ(min_models=4), NullBand(min_models=4)], ids=["z", "band"])
@pytest.mark.parametrize(("models", "reason"), [(4, ""), (3, "too_few")])
def test_the_fewest_models_are_enough(make_ctx, metric, models, reason):
    sizes = {"forget": 24, "retain": 30, "test": 27}
    roles = {
        role: {part: normal(models, n, seed=seed + n) for part, n in sizes.items()}
        for seed, role in enumerate(("original", "unlearned", "gold"))
    }
    values = measure(metric, crafted(make_ctx, roles))
    assert {value.reason for value in values.values()} == {reason}
