"""Losses and divergences, against numbers worked by hand."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.task_types import Multiclass

KIND = Multiclass()


def logs(*odds):
    """Logits whose softmax has the given proportions."""
    return torch.tensor(odds, dtype=torch.float64).log()


def test_the_loss_is_minus_the_log_of_the_probability_of_the_label():
    logits = torch.stack([logs(1, 3), logs(1, 3)])
    loss = KIND.loss(logits, torch.tensor([0, 1]))
    expected = torch.tensor([math.log(4), math.log(4 / 3)], dtype=torch.float64)
    torch.testing.assert_close(loss, expected)


def test_the_divergence_at_temperature_one():
    """KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 log 2 + 1/2 log 2/3 = 1/2 log 4/3."""
    divergence = KIND.predictive_kl(logs(1, 1)[None], logs(1, 3)[None], 1.0)
    torch.testing.assert_close(
        divergence, torch.tensor([0.5 * math.log(4 / 3)], dtype=torch.float64)
    )


def test_a_temperature_of_two_takes_roots_and_multiplies_by_four():
    """Half the logits of odds 1:9 are odds 1:3, which the test above has."""
    divergence = KIND.predictive_kl(logs(1, 1)[None], logs(1, 9)[None], 2.0)
    torch.testing.assert_close(
        divergence, torch.tensor([2 * math.log(4 / 3)], dtype=torch.float64)
    )


def test_the_divergence_is_not_symmetric():
    """KL((1/4, 3/4) || (1/2, 1/2)) = 1/4 log 1/2 + 3/4 log 3/2."""
    divergence = KIND.predictive_kl(logs(1, 3)[None], logs(1, 1)[None], 1.0)
    expected = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
    torch.testing.assert_close(divergence, torch.tensor([expected], dtype=torch.float64))


@given(st.lists(st.floats(-20, 20), min_size=6, max_size=6), st.floats(0.5, 8))
def test_the_divergence_is_zero_for_equals_and_never_negative(values, temperature):
    teacher, student = torch.tensor(values, dtype=torch.float64).reshape(2, 1, 3)
    assert KIND.predictive_kl(teacher, teacher, temperature).item() == 0
    assert KIND.predictive_kl(teacher, student, temperature).item() >= -1e-12
