"""The unlearning score is defined for shares alone."""

import pytest

from erasure.core.values import MetricValue
from erasure.evaluation.measure import measure
from erasure.metrics.to_gold.nomus import NoMUS


@pytest.mark.parametrize("share", [-0.01, 1.01])
@pytest.mark.parametrize("name", ["test/accuracy", "umia_lr/accuracy"])
def test_what_is_no_share_has_no_score(random_ctx, name, share):
    ctx = random_ctx()
    shares = {"test/accuracy": 0.5, "umia_lr/accuracy": 0.5, name: share}
    ctx.results["unlearned"] = {key: MetricValue(value=value) for key, value in shares.items()}
    score = measure(NoMUS(), ctx)["nomus/score"]
    assert (score.status, score.reason) == ("degenerate", f"not_a_share:{name}")
