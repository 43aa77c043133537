"""Augmentation: each sample with draws of its own, equal to a loop over samples."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.data.pools.augment import ColorJitter, CropFlip, InTurn, augmentation
from erasure.data.pools.tensor import TensorPool
from erasure.data.sources.imaging import ImageSettings


def generator(seed):
    return torch.Generator().manual_seed(seed)


def by_loop(images, padding, flip, source):
    """Pad, cut and mirror one image after the other, with the draws that CropFlip makes."""
    count, _, height, width = images.shape
    top, left = torch.randint(2 * padding + 1, (2, count, 1), generator=source)[..., 0].tolist()
    mirrored = torch.rand((count, 1), generator=source) < 0.5 if flip else torch.zeros(count, 1)
    windows = []
    for image, row, column, mirror in zip(images, top, left, mirrored.bool(), strict=True):
        padded = F.pad(image, (padding, padding, padding, padding))
        window = padded[:, row : row + height, column : column + width]
        windows.append(window.flip(-1) if mirror else window)
    return torch.stack(windows)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
)
def test_it_equals_a_loop_over_samples(shape, padding, flip, seed, dtype):
    images = torch.randint(256, shape, generator=generator(seed)).to(dtype)
    augmented = CropFlip(padding=padding, flip=flip)(images, generator(seed))
    expected = by_loop(images, padding, flip, generator(seed))
    assert augmented.dtype == dtype
    assert torch.equal(augmented, expected)


def distinct(images):
    return len(images.reshape(len(images), -1).unique(dim=0))


def test_every_sample_is_drawn_for_itself():
    """64 equal images that cannot equal their own shifts: 9 windows, twice if mirrored."""
    images = torch.arange(1, 17).reshape(1, 1, 4, 4).expand(400, 1, 4, 4)
    assert distinct(CropFlip(padding=1)(images, generator(0))) == 9
    assert distinct(CropFlip(flip=True)(images, generator(0))) == 2
    assert distinct(CropFlip(padding=1, flip=True)(images, generator(0))) == 18


def test_about_half_are_mirrored_and_shifts_are_even():
    """Four standard deviations of 4,000 draws at one half are 0.032; at one third, 0.030."""
    images = torch.eye(3).reshape(1, 1, 3, 3)[..., [0, 0, 1]].expand(4000, 1, 3, 3)
    flipped = CropFlip(flip=True)(images, generator(0))
    assert abs((flipped != images).flatten(1).any(1).float().mean() - 0.5) < 0.032
    dots = torch.zeros(4000, 1, 3, 3)
    dots[:, 0, 1, 1] = 1
    moved = CropFlip(padding=1)(dots, generator(0)).float().mean(dim=0)[0]
    assert torch.all((moved.sum(0) - 1 / 3).abs() < 0.030)
    assert torch.all((moved.sum(1) - 1 / 3).abs() < 0.030)


def test_it_is_a_function_of_the_generator():
    images = torch.rand(8, 1, 5, 5, generator=generator(0))
    augment = CropFlip(padding=2, flip=True)
    assert torch.equal(augment(images, generator(1)), augment(images, generator(1)))
    assert not torch.equal(augment(images, generator(1)), augment(images, generator(2)))


def test_nothing_asked_is_nothing_done():
    images = torch.rand(8, 3, 5, 4, generator=generator(0))
    assert torch.equal(CropFlip()(images, generator(0)), images)


def test_a_negative_shift_is_refused():
    with pytest.raises(ConfigError, match="padding must be >= 0, got -1"):
        CropFlip(padding=-1)


def photographs(count=6, channels=3):
    return torch.rand(count, channels, 5, 4, generator=generator(4))


def factors(count, seed, **strengths):
    """The factors that ColorJitter draws, by the formula of its documentation."""
    drawn = torch.rand((count, 3), generator=generator(seed)).tolist()
    names = ("brightness", "contrast", "saturation")
    return [
        {
            name: max(0, 1 - s) + (1 + s - max(0, 1 - s)) * u
            for name, u in zip(names, row, strict=True)
            if (s := strengths.get(name, 0)) > 0
        }
        for row in drawn
    ]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "strengths",
    [
        {"brightness": 0.5},
        {"contrast": 0.5},
        {"saturation": 0.5},
        {"brightness": 0.9, "contrast": 1.4, "saturation": 2.0},
    ],
    ids="+".join,
)
def test_colours_change_as_torchvision_changes_them_one_by_one(channels, strengths):
    from torchvision.transforms import functional as reference

    images = photographs(channels=channels)
    expected = []
    for image, own in zip(images, factors(6, 2, **strengths), strict=True):
        changed = image
        for name, factor in own.items():
            changed = getattr(reference, f"adjust_{name}")(changed, factor)
        expected.append(changed)
    augmented = ColorJitter(**strengths, limit=1.0)(images, generator(2))
    torch.testing.assert_close(augmented, torch.stack(expected), atol=1e-6, rtol=0)


def test_bytes_and_shares_of_them_are_changed_alike():
    pixels = torch.randint(0, 256, (6, 3, 5, 4), generator=generator(0)).to(torch.uint8)
    strengths = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
    augmented = ColorJitter(**strengths)(pixels, generator(1))
    shares = ColorJitter(**strengths, limit=1.0)(pixels / 255, generator(1))
    assert augmented.dtype == torch.float32
    torch.testing.assert_close(augmented / 255, shares, atol=1e-6, rtol=0)
    assert 0 <= augmented.min() < augmented.max() <= 255


def test_each_image_has_factors_of_its_own_within_the_strength():
    """4,000 uniform factors in [0.7, 1.3]: four standard errors of their mean are 0.011."""
    grey = torch.full((4000, 1, 2, 2), 100.0)
    shares = ColorJitter(brightness=0.3)(grey, generator(0)) / 100
    each = shares[:, 0, 0, 0]
    assert torch.equal(shares, each.reshape(-1, 1, 1, 1).expand_as(shares))
    assert 0.7 <= each.min() < 0.702
    assert 1.298 < each.max() <= 1.3001
    assert abs(each.mean() - 1) < 0.011
    assert len(each.unique()) > 3900


def test_without_a_limit_nothing_is_clamped():
    images = 4 * photographs() - 2
    augmented = ColorJitter(brightness=1.0, limit=None)(images, generator(0))
    shares = augmented / images
    assert torch.allclose(shares, shares[:, :1, :1, :1].expand_as(shares))
    assert augmented.min() < 0


def test_channels_that_are_no_colours_have_no_saturation():
    images = photographs(channels=4)
    with pytest.raises(UnsupportedError, match=r"saturation needs images .*got 4 channels"):
        ColorJitter(saturation=0.1)(images, generator(0))
    assert ColorJitter(contrast=0.1)(images, generator(0)).shape == images.shape


def test_a_flat_image_has_neither_contrast_nor_saturation_to_change():
    images = torch.full((3, 3, 4, 4), 0.25)
    augmented = ColorJitter(contrast=0.9, saturation=0.9, limit=1.0)(images, generator(0))
    torch.testing.assert_close(augmented, images, atol=1e-4, rtol=0)  # LUMA sums to 0.9999


def test_settings_make_the_augmentation_they_ask_for():
    assert augmentation() is None
    assert augmentation(crop=2) == CropFlip(padding=2)
    assert augmentation(flip=True) == CropFlip(flip=True)
    assert augmentation(contrast=0.2, limit=16.0) == ColorJitter(contrast=0.2, limit=16.0)
    both = augmentation(crop=4, flip=True, brightness=0.1)
    assert both == InTurn((CropFlip(padding=4, flip=True), ColorJitter(brightness=0.1)))


def test_pictures_are_changed_as_their_data_set_says():
    assert ImageSettings().augmentation is None
    assert ImageSettings(crop=4, flip=True).augmentation == CropFlip(padding=4, flip=True)
    assert ImageSettings(saturation=0.3).augmentation == ColorJitter(saturation=0.3)
    with pytest.raises(ConfigError, match=r"contrast must be >= 0, got -1\.0"):
        ImageSettings(contrast=-1.0)


def test_in_turn_is_one_after_the_other_from_one_generator():
    images = (255 * photographs(9)).to(torch.uint8)
    source = generator(5)
    first = CropFlip(padding=1, flip=True)(images, source)
    second = ColorJitter(brightness=0.3)(first, source)
    both = augmentation(crop=1, flip=True, brightness=0.3)
    assert torch.equal(both(images, generator(5)), second)


def test_augmentations_with_colours_are_told_apart_by_fingerprints():
    settings = [{}, {"crop": 1}, {"brightness": 0.1}, {"contrast": 0.1}, {"saturation": 0.1}]
    settings += [{"crop": 1, "brightness": 0.1}, {"brightness": 0.1, "limit": None}]
    prints = {
        TensorPool(
            inputs=photographs(),
            targets=torch.zeros(6).long(),
            class_names=("a",),
            augmentation=augmentation(**fields),
        ).fingerprint
        for fields in settings
    }
    assert len(prints) == len(settings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crop": -1}, "crop must be >= 0, got -1"),
        ({"brightness": -0.1}, "brightness must be >= 0, got -0.1"),
        ({"contrast": float("nan")}, "contrast must be >= 0, got nan"),
        ({"saturation": -2.0}, "saturation must be >= 0, got -2.0"),
        ({"contrast": 0.1, "limit": 0.0}, "limit must be > 0 or null, got 0.0"),
    ],
)
def test_strengths_out_of_range_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        augmentation(**fields)
