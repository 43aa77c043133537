"""Folders of pictures, with and without official parts, and what can be wrong with them."""

import numpy as np
import pytest
import torch
from crafted_torchvision import craft, image_folder
from PIL import Image
from tiers import one_in_default

from erasure.config.build import build
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.data.pools.lazy import LazyPool
from erasure.data.sources.image_folder import ImageFolder


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pets"


def test_the_yaml_loads_a_folder(compose_config, tmp_path):
    craft(tmp_path, "image_folder")
    cfg = compose_config("dataset=image_folder", "dataset.path=pictures")
    pool = build(cfg.dataset, "dataset")(DataConfig(root=tmp_path))
    assert pool.class_names == ("cat", "dog", "owl")
    assert pool.targets.bincount().tolist() == [20, 20, 20]
    assert pool.input_shape == (3, 64, 64)
    assert pool.official is None


def test_pictures_are_those_of_torchvision_in_its_order(folder, data_config):
    import torchvision

    image_folder(folder, each=4)
    image_folder(folder / "dog", classes=("inner",), each=2)  # folders inside a class belong to it
    pool = ImageFolder(path="pets")(data_config)
    expected = torchvision.datasets.ImageFolder(folder)
    assert pool.class_names == tuple(expected.classes)
    assert pool.targets.tolist() == expected.targets
    for number, (picture, _) in enumerate(expected):
        assert np.array_equal(pool.inputs[number].permute(1, 2, 0).numpy(), np.array(picture))


def test_folders_of_parts_are_the_official_split(folder, data_config):
    image_folder(folder / "test", each=2)
    image_folder(folder / "train", each=5)
    image_folder(folder / "valid", classes=("cat", "owl"), each=3)
    pool = ImageFolder(path=str(folder), resize=[8, 10], channels=1)(data_config)
    assert pool.official.tolist() == [0] * 15 + [1] * 6 + [2] * 6
    assert pool.targets[15:].tolist() == [0, 0, 0, 2, 2, 2, 0, 0, 1, 1, 2, 2]
    assert pool.input_shape == (1, 8, 10)


def test_a_class_may_be_called_train(folder, data_config):
    image_folder(folder, classes=("bus", "train"), each=2)
    pool = ImageFolder(path="pets")(data_config)
    assert pool.class_names == ("bus", "train")
    assert pool.official is None


def test_the_centre_square_is_scaled(folder, data_config):
    image_folder(folder, classes=("cat",), each=1, size=(40, 60))
    with Image.open(folder / "cat/000.png") as picture:
        expected = picture.crop((10, 0, 50, 40)).resize((16, 16), Image.Resampling.BILINEAR)
    pool = ImageFolder(path="pets", resize=16)(data_config)
    assert np.array_equal(pool.inputs[0].permute(1, 2, 0).numpy(), np.array(expected))


def test_normalization_is_by_hand(folder, data_config):
    image_folder(folder, classes=("cat",), each=3)
    pool = ImageFolder(path="pets", mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])(data_config)
    red, green, blue = pool.inputs[1].double() / 255
    by_hand = torch.stack([(red - 0.1) / 0.5, (green - 0.2) / 0.6, (blue - 0.3) / 0.7])
    torch.testing.assert_close(
        pool.fetch(torch.tensor([1]))[0].double(), by_hand, rtol=0, atol=1e-6
    )


def test_what_does_not_fit_is_streamed_and_is_the_same(folder, data_config, tmp_path):
    image_folder(folder, each=6)
    resident = ImageFolder(path="pets", resize=12)(data_config)
    streamed = ImageFolder(path="pets", resize=12)(DataConfig(root=tmp_path, resident_limit=0.0))
    assert isinstance(streamed, LazyPool)
    every = torch.arange(18)
    assert torch.equal(resident.fetch(every), streamed.fetch(every))
    assert resident.fingerprint == streamed.fingerprint


def test_a_changed_picture_is_noticed(folder, data_config):
    image_folder(folder, each=3)
    before = ImageFolder(path="pets")(data_config)
    Image.new("RGB", (48, 40), "white").save(folder / "dog/001.png")
    after = ImageFolder(path="pets")(data_config)
    assert (before.inputs != after.inputs).flatten(1).any(dim=1).nonzero().flatten().tolist() == [
        4
    ]


def test_a_missing_folder_is_named(folder, data_config):
    with pytest.raises(DataError, match=rf"{folder} is not a folder \(dataset\.path; relative"):
        ImageFolder(path="pets")(data_config)


def test_a_folder_without_classes_is_named(folder, data_config):
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(folder / "lonely.png")
    with pytest.raises(DataError, match=f"{folder} must have a subfolder for every class"):
        ImageFolder(path="pets")(data_config)


def test_a_class_without_pictures_is_named(folder, data_config):
    image_folder(folder, each=1)
    (folder / "emu").mkdir()
    (folder / "emu/notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=f"{folder}/emu is a class without pictures"):
        ImageFolder(path="pets")(data_config)


@pytest.mark.parametrize("place", ["cat/000.png", "owl/001.png"])
def test_an_unreadable_picture_is_named(folder, data_config, place):
    image_folder(folder, each=2)
    file = folder / place
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DataError, match=rf"{file} cannot be decoded"):
        ImageFolder(path="pets")(data_config)
    assert not [path for path in data_config.prepared.glob("*") if path.is_dir()]


def test_pictures_of_different_sizes_need_a_size(folder, data_config):
    image_folder(folder, each=2)
    image_folder(folder, classes=("owl",), each=1, size=(30, 30))
    with pytest.raises(DataError, match=r"owl/000\.png has shape \(3, 30, 30\)"):
        ImageFolder(path="pets")(data_config)
    assert ImageFolder(path="pets", resize=10)(data_config).input_shape == (3, 10, 10)


def test_settings_are_checked(folder, data_config):
    image_folder(folder, each=1)
    with pytest.raises(ConfigError, match="resize must be"):
        ImageFolder(path="pets", resize=-3)
    with pytest.raises(ConfigError, match="mean must have a number for each of the 1 channels"):
        ImageFolder(path="pets", channels=1, mean=[0.5] * 3, std=[0.5] * 3)(data_config)


@pytest.mark.parametrize("unlearner", one_in_default(["scrub", "ssd"]))
def test_a_trial_runs_from_end_to_end(compose_config, tmp_path, unlearner):
    from erasure.trial.task import run

    craft(tmp_path, "image_folder")
    cfg = compose_config(
        "dataset=image_folder",
        "dataset.path=pictures",
        "dataset.resize=8",
        "model=cnn",
        "model.channels=[4, 4]",
        "model.hidden=8",
        "trainer=adam",
        "trainer.fit.epochs=1",
        f"unlearner={unlearner}",
        *(["unlearner.fit.epochs=1", "unlearner.msteps=1"] if unlearner == "scrub" else []),
        "split.fraction=0.5",
        "split.base.test=0.4",
        "tracking=none",
        "pictures=false",
        f"store.root={tmp_path / 'store'}",
        f"data.root={tmp_path}",
        "device=cpu",
    )
    assert np.isfinite(run(cfg))
