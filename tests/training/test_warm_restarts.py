import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from erasure.core.errors import ConfigError
from erasure.training.schedules import WarmRestarts


def rates(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule, actual = make(optimizer), []
    for _ in range(steps):
        actual.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return actual


@pytest.mark.parametrize("epochs", [1, 7, 10, 30, 31, 62])
@pytest.mark.parametrize("batches", [1, 7])
def test_it_is_the_schedule_of_torch_stepped_once_per_epoch(epochs, batches):
    torchs = rates(
        lambda o: CosineAnnealingWarmRestarts(o, T_0=1, T_mult=2, eta_min=0.005), epochs
    )
    ours = WarmRestarts(levels=epochs, final=0.05)
    lrs = rates(lambda optimizer: ours(optimizer, epochs * batches), epochs * batches)
    assert lrs == pytest.approx([rate for rate in torchs for _ in range(batches)])


def test_seven_epochs_by_hand():
    """1, then 1 and 1/2, then 1, (1 + cos 45 deg)/2, 1/2 and (1 + cos 135 deg)/2."""
    lrs = rates(lambda optimizer: WarmRestarts(levels=7)(optimizer, 7), 7)
    expected = [0.1, 0.1, 0.05, 0.1, 0.0853553, 0.05, 0.0146447]
    assert lrs == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"levels": -1}, "levels must be >= 0, got -1"),
        ({"levels": 2, "final": 1.5}, r"final must be in \[0, 1\], got 1.5"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(ConfigError, match=message):
        WarmRestarts(**setting)
