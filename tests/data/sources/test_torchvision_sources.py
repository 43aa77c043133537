"""Labels and columns of torchvision's data sets: crafted files, through the real loaders."""

import pickle

import numpy as np
import pytest
import torch
from crafted_torchvision import (
    ATTRIBUTES,
    COARSE,
    OVERRIDES,
    celeba,
    cifar10,
    country211,
    craft,
    cycle,
    emnist,
    food101,
    home_at,
    pictures,
    qmnist,
    stl10,
    svhn,
)
from PIL import Image

from erasure.config.build import build
from erasure.core.errors import ConfigError, DataError
from erasure.core.task_types import Multiclass, Multilabel
from erasure.data.sources.torchvision.images import TorchvisionImages

OPTIONS = {
    # classes, shape, sizes of the official parts
    "cifar10": (10, (3, 32, 32), (100, 0, 20)),
    "cifar100": (100, (3, 32, 32), (400, 0, 100)),
    "cifar20": (20, (3, 32, 32), (400, 0, 100)),
    "mnist": (10, (1, 28, 28), (100, 0, 30)),
    "fashion_mnist": (10, (1, 28, 28), (100, 0, 30)),
    "kmnist": (10, (1, 28, 28), (100, 0, 30)),
    "qmnist": (10, (1, 28, 28), (100, 0, 40)),
    "emnist": (47, (1, 28, 28), (235, 0, 94)),
    "svhn": (10, (3, 32, 32), (100, 0, 40)),
    "stl10": (10, (3, 96, 96), (60, 0, 20)),
    "celeba": (2, (3, 64, 64), (40, 10, 10)),
    "celeba_multilabel": (10, (3, 64, 64), (40, 10, 10)),
    "food101": (5, (3, 256, 256), (60, 0, 20)),
    "country211": (4, (3, 128, 128), (24, 8, 16)),
    "torchvision": (10, (1, 16, 16), (60, 0, 20)),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_yaml_loads_files_of_the_real_format(compose_config, tmp_path, option):
    craft(tmp_path, option)
    cfg = compose_config(f"dataset={option}", "~evaluator", *OVERRIDES.get(option, []))
    pool = build(cfg.dataset, "dataset")(home_at(tmp_path))
    classes, shape, sizes = OPTIONS[option]
    assert (pool.num_classes, pool.input_shape) == (classes, shape)
    assert tuple((pool.official == part).sum().item() for part in range(3)) == sizes
    assert torch.equal(pool.official, pool.official.sort().values)
    assert pool.inputs.dtype == torch.uint8
    assert isinstance(pool.task_type, Multilabel if option == "celeba_multilabel" else Multiclass)
    inputs = pool.fetch(torch.arange(2))
    assert inputs.dtype == torch.float32
    assert inputs.abs().max() < 4


def test_the_names_of_the_peer_are_what_they_say(compose_config):
    names = {"fashion_mnist": "FashionMNIST", "qmnist": "QMNIST", "mnist": "MNIST"}
    for option, name in names.items():
        assert compose_config(f"dataset={option}").dataset.name == name


def test_pictures_of_cifar_keep_their_channels_and_are_normalized_by_hand(files, data_config):
    images, labels = cifar10(files)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    pool = TorchvisionImages(name="CIFAR10", mean=mean, std=std)(data_config)
    assert np.array_equal(pool.inputs.numpy(), images)
    assert np.array_equal(pool.targets.numpy(), labels)
    assert pool.class_names[:2] == ("airplane", "automobile")
    fetched = pool.fetch(torch.tensor([7, 119]))
    by_hand = (images[[7, 119]] / 255 - np.reshape(mean, (1, 3, 1, 1))) / np.reshape(
        std, (1, 3, 1, 1)
    )
    np.testing.assert_allclose(fetched.numpy(), by_hand, rtol=0, atol=2e-6)


def test_cifar_100_has_superclasses_to_predict_or_to_forget_by(files, data_config):
    craft(data_config.root, "cifar100")
    fine, coarse = (
        TorchvisionImages(name="CIFAR100", target=t)(data_config) for t in (None, "coarse")
    )
    expected = np.concatenate([cycle(100, 400), cycle(100, 100)])
    assert np.array_equal(fine.targets.numpy(), expected)
    assert np.array_equal(coarse.targets.numpy(), np.take(COARSE, expected))
    assert list(fine.attributes) == ["coarse"]
    assert list(coarse.attributes) == ["fine"]
    assert torch.equal(coarse.attributes["fine"].values, fine.targets)
    assert torch.equal(fine.attributes["coarse"].values, coarse.targets)
    assert coarse.class_names[3] == "coarse 3"
    assert fine.attributes["coarse"].having(["coarse 3"]).sum() == (coarse.targets == 3).sum()


def test_a_file_of_superclasses_cannot_run_code(files, data_config):
    craft(data_config.root, "cifar100")
    from erasure.data.sources.torchvision.cifar import coarse_labels
    from erasure.data.sources.torchvision.parts import open_parts

    datasets = [part.dataset for part in open_parts("CIFAR100", {}, None, data_config)]
    harmful = {"coarse_labels": print, "fine_labels": []}
    (files / "cifar-100-python" / "test").write_bytes(pickle.dumps(harmful))
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.print has no place"):
        coarse_labels(datasets)


def test_digits_of_qmnist_know_their_writers(files, data_config):
    labels = qmnist(files)
    pool = TorchvisionImages(name="QMNIST")(data_config)
    assert np.array_equal(pool.targets.numpy(), labels[:, 0])
    writer = pool.attributes["writer"]
    assert [int(writer.names[code]) for code in writer.values] == labels[:, 2].tolist()
    assert writer.having(["703"]).nonzero().flatten()[:4].tolist() == [12, 13, 14, 15]


def test_letters_of_emnist_have_no_class_that_does_not_occur(files, data_config):
    emnist(files, "letters", range(1, 27))
    pool = TorchvisionImages(name="EMNIST", options={"split": "letters"})(data_config)
    assert pool.class_names == tuple("abcdefghijklmnopqrstuvwxyz")
    assert pool.targets.unique().tolist() == list(range(26))


def test_the_ten_of_svhn_is_a_zero_and_pictures_stand_upright(files, data_config):
    written = svhn(files)
    pool = TorchvisionImages(name="SVHN")(data_config)
    expected = [np.concatenate([written[part][i] for part in ("train", "test")]) for i in (0, 1)]
    assert np.array_equal(pool.inputs.numpy(), expected[0])
    assert np.array_equal(pool.targets.numpy(), expected[1])


def test_other_parts_can_be_asked_for(files, data_config):
    written = svhn(files)
    (files / "train_32x32.mat").rename(files / "extra_32x32.mat")
    parts = {"train": {"split": "extra"}, "test": {"split": "test"}}
    pool = TorchvisionImages(name="SVHN", parts=parts)(data_config)
    assert np.array_equal(pool.inputs[:100].numpy(), written["train"][0])
    assert pool.official.bincount().tolist() == [100, 0, 40]


def test_pictures_of_stl_stand_upright(files, data_config):
    images, labels = stl10(files)
    pool = TorchvisionImages(name="STL10")(data_config)
    assert np.array_equal(pool.inputs.numpy(), images)
    assert np.array_equal(pool.targets.numpy(), labels)
    assert pool.class_names[2] == "car"


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    root = tmp_path_factory.mktemp("portraits")
    (root / "torchvision").mkdir()
    written = celeba(root / "torchvision")
    return root, written


def in_parts(values, parts):
    return np.concatenate([values[parts == part] for part in range(3)])


def test_celeba_tells_who_is_on_a_picture_and_what_they_look_like(portraits):
    root, (attributes, people, parts) = portraits
    pool = TorchvisionImages(name="CelebA", target="Smiling", resize=16)(home_at(root))
    place = ATTRIBUTES.index("Smiling")
    assert np.array_equal(pool.targets.numpy(), in_parts(attributes[:, place], parts))
    assert pool.class_names == ("not_Smiling", "Smiling")
    assert pool.official.bincount().tolist() == [40, 10, 10]
    assert list(pool.attributes) == ["identity", *ATTRIBUTES]
    identity = pool.attributes["identity"]
    named = [int(identity.names[code]) for code in identity.values]
    assert named == in_parts(people, parts).tolist()
    assert identity.names == tuple(str(number) for number in range(1, 46, 5))
    bald = pool.attributes["Bald"].having(["Bald"]).numpy()
    assert np.array_equal(bald, in_parts(attributes[:, 4], parts) == 1)


def test_celeba_can_have_several_labels(portraits):
    root, (attributes, _, parts) = portraits
    pool = TorchvisionImages(name="CelebA", target=ATTRIBUTES[:10], resize=16)(home_at(root))
    assert np.array_equal(pool.targets.numpy(), in_parts(attributes[:, :10], parts))
    assert pool.class_names == tuple(ATTRIBUTES[:10])
    assert pool.task_type == Multilabel()


def test_labels_of_celeba_must_be_chosen_and_be_on_or_off(portraits):
    data_config = home_at(portraits[0])
    with pytest.raises(ConfigError, match="target must be among the columns identity, 5_o_Cl"):
        TorchvisionImages(name="CelebA")(data_config)
    with pytest.raises(ConfigError, match="two values each, identity has 9"):
        TorchvisionImages(name="CelebA", target=["identity", "Bald"])(data_config)


def test_a_portrait_keeps_its_shape_or_shows_the_middle(portraits):
    root, (_, _, parts) = portraits
    file = root / "torchvision/celeba/img_align_celeba" / f"{(parts == 0).argmax() + 1:06d}.jpg"
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    whole = TorchvisionImages(name="CelebA", target="Male")(home_at(root))
    assert whole.input_shape == (3, 218, 178)
    assert np.array_equal(whole.inputs[0].permute(1, 2, 0).numpy(), np.array(picture))
    small = TorchvisionImages(name="CelebA", target="Male", resize=32)(home_at(root))
    middle = picture.crop((0, 20, 178, 198)).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(small.inputs[0].permute(1, 2, 0).numpy(), np.array(middle))
    grey = TorchvisionImages(name="CelebA", target="Male", resize=[20, 30], channels=1)(
        home_at(root)
    )
    stretched = picture.convert("L").resize((30, 20), Image.Resampling.BILINEAR)
    assert np.array_equal(grey.inputs[0, 0].numpy(), np.array(stretched))


def test_food_is_in_the_order_of_torchvision(files, data_config):
    from torchvision.datasets import Food101

    food101(files)
    pool = TorchvisionImages(name="Food101", resize=[48, 64])(data_config)
    assert pool.class_names == ("apple_pie", "gnocchi", "ramen", "sushi", "waffles")
    parts = [Food101(files, split=part) for part in ("train", "test")]
    expected = [item for part in parts for item in part]
    for number in (0, 13, 59, 60, 79):
        picture, label = expected[number]
        assert np.array_equal(pool.inputs[number].permute(1, 2, 0).numpy(), np.array(picture))
        assert pool.targets[number] == label


def test_countries_have_an_official_validation_part(files, data_config):
    country211(files)
    pool = TorchvisionImages(name="Country211", resize=[20, 24])(data_config)
    assert pool.official.bincount().tolist() == [24, 8, 16]
    assert pool.class_names == ("AD", "AE", "AF", "AG")
    assert pool.targets.tolist() == [c for each in (6, 2, 4) for c in np.repeat(range(4), each)]


def test_samples_without_a_label_are_refused(files, data_config):
    stl10(files)
    parts = {"train": {"split": "unlabeled"}, "test": {"split": "test"}}
    pictures(0, [0] * 4, 3, 96, 96).tofile(files / "stl10_binary/unlabeled_X.bin")
    with pytest.raises(DataError, match=r"labels in \[0, 9\], got -1 to 9"):
        TorchvisionImages(name="STL10", parts=parts)(data_config)
