"""The digits, against the copy that scikit-learn returns."""

import pytest
import torch

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.pools.augment import CropFlip
from erasure.data.sources.digits import Digits

EVERY = torch.arange(1797)


def test_clean_digits_are_those_of_sklearn_over_16():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pool = Digits()(DataConfig())
    inputs = pool.fetch(EVERY)
    assert inputs.shape == (1797, 1, 8, 8)
    assert torch.equal(inputs[:, 0].double() * 16, torch.from_numpy(bunch.images))
    assert torch.equal(pool.targets, torch.from_numpy(bunch.target).long())
    assert pool.class_names == tuple("0123456789")
    assert pool.input_shape == (1, 8, 8)
    assert pool.inputs.dtype == torch.uint8


def test_noise_has_the_asked_size_and_is_part_of_the_data():
    """The standard error of the deviation of 115,008 normal draws is 0.4 / sqrt(2 n) = 8e-4."""
    clean, noisy, again = (Digits(noise=s)(DataConfig()).fetch(EVERY) for s in (0.0, 0.4, 0.4))
    noise = noisy - clean
    assert torch.equal(noisy, again)
    assert abs(noise.std().item() - 0.4) < 4 * 8e-4
    assert abs(noise.mean().item()) < 4 * 0.4 / 115_008**0.5
    assert noisy.dtype == torch.float32


def test_every_sample_has_noise_of_its_own_whichever_part_it_lands_in():
    clean, noisy = (Digits(noise=s)(DataConfig()).fetch(EVERY) for s in (0.0, 0.4))
    spread = (noisy - clean).flatten(1).std(dim=1)
    assert spread.min() > 0.2
    assert spread.max() < 0.6


def test_the_noise_is_that_of_a_generator_with_seed_7():
    generator = torch.Generator().manual_seed(7)
    expected = Digits()(DataConfig()).fetch(EVERY) + 0.4 * torch.randn(
        1797, 1, 8, 8, generator=generator
    )
    assert torch.equal(Digits(noise=0.4)(DataConfig()).fetch(EVERY), expected)


def test_other_noise_is_other_data():
    settings = [{}, {"noise": 0.4}, {"noise": 0.3}, {"noise": 0.4, "noise_seed": 8}]
    assert len({Digits(**some)(DataConfig()).fingerprint for some in settings}) == 4
    doubled = Digits(noise=0.8)(DataConfig()).inputs - Digits(noise=0.4)(DataConfig()).inputs
    single = Digits(noise=0.4)(DataConfig()).inputs - Digits()(DataConfig()).fetch(EVERY)
    torch.testing.assert_close(doubled, single)


@pytest.mark.parametrize(
    ("settings", "augmentation"),
    [
        ({}, None),
        ({"crop": 1}, CropFlip(padding=1)),
        ({"flip": True}, CropFlip(flip=True)),
        ({"crop": 2, "flip": True, "noise": 0.1}, CropFlip(padding=2, flip=True)),
    ],
)
def test_augmentation_follows_the_settings(settings, augmentation):
    assert Digits(**settings)(DataConfig()).augmentation == augmentation


@pytest.mark.parametrize("name", ["noise", "crop"])
def test_negative_settings_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} must be >= 0, got -1"):
        Digits(**{name: -1})
