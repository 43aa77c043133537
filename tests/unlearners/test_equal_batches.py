"""The switch between equal batches and those of the authors, for each method that has it."""

import pytest

from erasure.core.fingerprint import model_fingerprint
from erasure.testing import toy_task
from erasure.unlearners.assd import ASSD
from erasure.unlearners.fisher_forgetting import FisherForgetting
from erasure.unlearners.lfssd import LFSSD
from erasure.unlearners.msg import MSG
from erasure.unlearners.random_labels import RandomLabels
from erasure.unlearners.salun import SalUn
from erasure.unlearners.sfron import SFRon
from erasure.unlearners.ssd import SSD

BUILD = {
    "ssd": lambda fit, size, **more: SSD(alpha=1.5, batch_size=size, **more),
    "lfssd": lambda fit, size, **more: LFSSD(alpha=1.0, batch_size=size, **more),
    "assd": lambda fit, size, **more: ASSD(batch_size=size, **more),
    "fisher_forgetting": lambda fit, size, **more: FisherForgetting(
        estimator="batch", clamp=1e9, head_clamp=1e9, batch_size=size, **more
    ),
    "salun": lambda fit, size, **more: SalUn(
        inner=RandomLabels(fit=fit(epochs=1)), batch_size=size, **more
    ),
    "msg": lambda fit, size, **more: MSG(fit=fit(epochs=1, batch_size=size), **more),
    "sfron": lambda fit, size, **more: SFRon(fit=fit(epochs=1, batch_size=size), **more),
}
WHOLE = {"ssd": 100, "lfssd": 100, "salun": 23, "msg": 23}
"""Sizes that divide what is read, so that nothing is left over: 200 samples, or 23; else 177."""


def both_forms(fit, method, size):
    return [
        model_fingerprint(BUILD[method](fit, size, equal_batches=equal)(toy_task()))
        for equal in (True, False)
    ]


@pytest.mark.parametrize("method", BUILD)
def test_the_forms_differ_where_a_sample_is_left_over(fit, method):
    """23 samples to forget, and 177 = 8 x 22 + 1 that stay."""
    equal, authors = both_forms(fit, method, 22)
    assert equal != authors


@pytest.mark.parametrize("method", BUILD)
def test_the_forms_are_one_where_no_sample_is_left_over(fit, method):
    equal, authors = both_forms(fit, method, WHOLE.get(method, 59))
    assert equal == authors
