"""Sizes, channels, streaming and settings of torchvision's data sets, and a whole trial."""

import numpy as np
import pytest
import torch
from crafted_torchvision import (
    cifar10,
    craft,
    home_at,
    mnist,
    pictures,
)
from PIL import Image
from tiers import one_in_default

from erasure.config.build import build
from erasure.core.errors import ConfigError
from erasure.data.pools.augment import CropFlip
from erasure.data.pools.lazy import LazyPool
from erasure.data.pools.tensor import TensorPool
from erasure.data.sources.torchvision.images import TorchvisionImages


def test_pictures_in_memory_are_scaled_and_recoloured_as_pillow_does(files, data_config):
    images, _ = cifar10(files)
    large = TorchvisionImages(name="CIFAR10", resize=48)(data_config)
    picture = Image.fromarray(images[3].transpose(1, 2, 0))
    expected = np.array(picture.resize((48, 48), Image.Resampling.BILINEAR), dtype=int)
    actual = large.inputs[3].permute(1, 2, 0).numpy()
    assert np.abs(actual - expected).max() <= 1
    grey = TorchvisionImages(name="CIFAR10", channels=1)(data_config)
    assert np.array_equal(grey.inputs[3, 0].numpy(), np.array(picture.convert("L")))


def test_grey_pictures_can_have_three_channels(files, data_config):
    digits = mnist(files / "MNIST/raw")
    pool = TorchvisionImages(name="MNIST", channels=3)(data_config)
    assert pool.input_shape == (3, 28, 28)
    assert np.array_equal(pool.inputs.numpy(), np.repeat(digits[:, None], 3, axis=1))


def test_a_class_that_makes_its_pictures_is_read_one_by_one(data_config):
    from torchvision.datasets import FakeData

    options = {"size": 6, "image_size": [3, 8, 8], "num_classes": 3}
    pool = TorchvisionImages(name="FakeData", options=options)(data_config)
    same = FakeData(6, (3, 8, 8), 3)
    for number in range(6):
        picture, label = same[number]
        assert np.array_equal(pool.inputs[number].permute(1, 2, 0).numpy(), np.array(picture))
        assert pool.targets[number] == label
    assert pool.official is None


def test_categories_without_a_list_of_files_are_found(files, data_config):
    for label, name in enumerate(("BACKGROUND_Google", "ant", "bonsai")):
        folder = files / "caltech101/101_ObjectCategories" / name
        folder.mkdir(parents=True)
        for number, picture in enumerate(pictures(label, [label] * 3, 12, 10, 3)):
            Image.fromarray(picture).save(folder / f"image_{number + 1:04d}.jpg")
    (files / "caltech101/Annotations").mkdir()
    pool = TorchvisionImages(name="Caltech101")(data_config)
    assert pool.input_shape == (3, 12, 10)
    assert pool.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert pool.class_names == ("ant", "bonsai")


def jpegs(folder, names, label):
    folder.mkdir(parents=True)
    for name, picture in zip(names, pictures(label, [label] * len(names), 12, 10, 3), strict=True):
        Image.fromarray(picture).save(folder / name)


def test_places_are_in_the_order_of_their_names(files, data_config):
    jpegs(files / "SUN397/b/beach", ["sun_z.jpg", "sun_a.jpg"], 1)
    jpegs(files / "SUN397/a/abbey", ["sun_m.jpg"], 0)
    (files / "SUN397/ClassName.txt").write_text("/a/abbey\n/b/beach\n")
    pool = TorchvisionImages(name="SUN397")(data_config)
    assert pool.class_names == ("abbey", "beach")
    assert pool.targets.tolist() == [0, 1, 1]
    expected = [files / "SUN397/b/beach" / name for name in ("sun_a.jpg", "sun_z.jpg")]
    for number, file in enumerate(expected):
        with Image.open(file) as picture:
            actual = pool.inputs[number + 1].permute(1, 2, 0).numpy()
            assert np.array_equal(actual, np.array(picture))


@pytest.mark.parametrize(("rank", "labels"), [("full", [0, 0, 1]), ("kingdom", [0, 0, 0])])
def test_species_have_ranks(files, data_config, rank, labels):
    ranks = "Animalia_Chordata_Aves_Ordo_Familia_Genus"
    jpegs(files / f"2021_train/00000_{ranks}_one", ["c.jpg", "a.jpg"], 0)
    jpegs(files / f"2021_train/00001_{ranks}_two", ["b.jpg"], 1)
    pool = TorchvisionImages(name="INaturalist", options={"target_type": rank})(data_config)
    assert pool.targets.tolist() == labels
    assert len(pool.class_names) == len(set(labels))
    assert pool.class_names[0].endswith("_one" if rank == "full" else "Animalia")


def test_characters_are_in_the_order_of_their_names(files, data_config):
    folder = files / "omniglot-py/images_background"
    for label, name in enumerate(
        ("Greek/character02", "Greek/character01", "Bengali/character01")
    ):
        (folder / name).mkdir(parents=True)
        for number, picture in enumerate(pictures(label, [label] * 2, 9, 9)):
            Image.fromarray(picture).save(folder / name / f"{9 - number}.png")
    (files / "omniglot-py/images_background.zip").touch()  # it looks for the archive, too
    pool = TorchvisionImages(name="Omniglot")(data_config)
    assert pool.input_shape == (1, 9, 9)
    assert pool.targets.tolist() == [0, 0, 1, 1, 2, 2]
    expected = [pictures(label, [label] * 2, 9, 9)[1] for label in (2, 1, 0)]
    assert np.array_equal(pool.inputs[::2, 0].numpy(), expected)


@pytest.mark.parametrize("option", ["cifar10", "celeba"])
def test_what_does_not_fit_is_streamed_and_is_the_same(tmp_path, option, compose_config):
    craft(tmp_path, option)
    dataset = build(compose_config(f"dataset={option}", "dataset.resize=24").dataset, "dataset")
    resident = dataset(home_at(tmp_path))
    streamed = dataset(home_at(tmp_path, resident_limit=0.0))
    assert isinstance(resident, TensorPool)
    assert isinstance(streamed, LazyPool)
    index = torch.tensor([5, 0, 59, 44])
    one, other = (
        pool.fetch(index, augment=torch.Generator().manual_seed(1))
        for pool in (resident, streamed)
    )
    assert torch.equal(one, other)
    assert torch.equal(resident.digests(index), streamed.digests(index))
    assert resident.fingerprint == streamed.fingerprint


def test_augmentation_follows_the_settings(files, data_config):
    cifar10(files)
    assert TorchvisionImages(name="CIFAR10")(data_config).augmentation is None
    pool = TorchvisionImages(name="CIFAR10", crop=2, flip=True)(data_config)
    assert pool.augmentation == CropFlip(padding=2, flip=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": 0}, "resize must be a number of pixels, .* got 0"),
        ({"resize": [8, 8, 8]}, "resize must be"),
        ({"channels": 2}, "channels must be 1, 3 or null, got 2"),
        ({"mean": [0.5]}, "mean must have as many numbers as std, got 1 and 0"),
        ({"mean": [0.5], "std": [0.0]}, "std must be > 0"),
        ({"crop": -1}, "crop must be >= 0, got -1"),
        ({"name": "../CIFAR10"}, "name must be a class"),
        ({"target": []}, "target must be a column, a list of them or null"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TorchvisionImages(**{"name": "CIFAR10"} | settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "CIFAR11"}, "name must be a class .*; did you mean CIFAR10?"),
        ({"options": {"trian": True}}, "options must have keys among train, got trian"),
        ({"options": {"root": "elsewhere"}}, "options must have keys among train, got root"),
        ({"parts": {"train": {"split": "train"}}}, r"parts\.train must have keys among train"),
        ({"parts": {"dev": {}}}, "parts must have keys among train, val, test, got dev"),
        ({"name": "EMNIST"}, "options must have split, EMNIST needs it"),
        ({"target": "coarse"}, "target must be among the columns class, got 'coarse'"),
        ({"mean": [0.5], "std": [0.5]}, "mean must have a number for each of the 3 channels"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(files, data_config, settings, message):
    cifar10(files)
    with pytest.raises(ConfigError, match=message):
        TorchvisionImages(**{"name": "CIFAR10"} | settings)(data_config)


@pytest.mark.slow
@pytest.mark.parametrize("unlearner", one_in_default(["scrub", "ssd"]))
def test_a_trial_runs_from_end_to_end(compose_config, tmp_path, unlearner):
    from erasure.trial.task import run

    cifar10(tmp_path / "torchvision")
    cfg = compose_config(
        "dataset=cifar10",
        "model=cnn",
        "model.channels=[4, 4]",
        "model.hidden=8",
        "trainer=adam",
        "trainer.fit.epochs=1",
        f"unlearner={unlearner}",
        "split.fraction=0.3",  # membership needs twenty samples to tell apart
        *(["unlearner.fit.epochs=1", "unlearner.msteps=1"] if unlearner == "scrub" else []),
        "tracking=none",
        "pictures=false",
        f"store.root={tmp_path / 'store'}",
        f"data.root={tmp_path}",
        "data.verify=false",
        "device=cpu",
    )
    assert np.isfinite(run(cfg))
