"""Augmentation: each sample with draws of its own, equal to a loop over samples."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.errors import ConfigError
from erasure.data.augment import CropFlip


def generator(seed):
    return torch.Generator().manual_seed(seed)


def by_loop(images, padding, flip, source):
    """Pad, cut and mirror one image after the other, with the draws that CropFlip makes."""
    count, _, height, width = images.shape
    top, left = torch.randint(2 * padding + 1, (2, count, 1), generator=source)[..., 0].tolist()
    mirrored = torch.rand((count, 1), generator=source) < 0.5 if flip else torch.zeros(count, 1)
    found = []
    for image, row, column, mirror in zip(images, top, left, mirrored.bool(), strict=True):
        padded = F.pad(image, (padding, padding, padding, padding))
        window = padded[:, row : row + height, column : column + width]
        found.append(window.flip(-1) if mirror else window)
    return torch.stack(found)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
)
def test_it_equals_a_loop_over_samples(shape, padding, flip, seed, dtype):
    images = torch.randint(256, shape, generator=generator(seed)).to(dtype)
    found = CropFlip(padding=padding, flip=flip)(images, generator(seed))
    expected = by_loop(images, padding, flip, generator(seed))
    assert found.dtype == dtype
    assert torch.equal(found, expected)


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
