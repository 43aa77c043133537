"""Tiny files in the real formats of the data sets of torchvision."""

import bz2
import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from erasure.core.data_config import DataConfig

OVERRIDES = {
    "torchvision": ["dataset.name=USPS"],
    "image_folder": ["dataset.path=pictures"],
}
"""What has to be set for the data sets whose YAML leaves something open."""

COARSE = tuple((7 * fine + 3) % 20 for fine in range(100))
"""A made-up superclass for each of 100 classes."""

ATTRIBUTES = [
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
]


def craft(folder: Path, option: str) -> None:
    """Write what ``conf/dataset/<option>.yaml`` reads, with ``data.root=<folder>``."""
    root = folder / "torchvision"
    root.mkdir(parents=True, exist_ok=True)
    writers = {
        "cifar10": lambda: cifar10(root),
        "cifar100": lambda: cifar100(root),
        "cifar20": lambda: cifar100(root),
        "mnist": lambda: mnist(root / "MNIST" / "raw"),
        "fashion_mnist": lambda: mnist(root / "FashionMNIST" / "raw"),
        "kmnist": lambda: mnist(root / "KMNIST" / "raw"),
        "qmnist": lambda: qmnist(root),
        "emnist": lambda: emnist(root, "balanced", range(47)),
        "svhn": lambda: svhn(root),
        "stl10": lambda: stl10(root),
        "celeba": lambda: celeba(root),
        "celeba_multilabel": lambda: celeba(root),
        "food101": lambda: food101(root),
        "country211": lambda: country211(root),
        "torchvision": lambda: usps(root),
        "image_folder": lambda: image_folder(folder / "pictures"),
    }
    writers[option]()


def home_at(root, **settings):
    """Return data settings whose files are taken as they are."""
    return DataConfig(root=root, **{"verify": False, "download": False} | settings)


def pictures(seed, labels, *shape):
    """Return noisy pictures (N, *shape) uint8 whose brightness tells the class."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 60, (len(labels), *shape))
    light = (np.asarray(labels) * 37) % 180
    return (noise + light.reshape(-1, *[1] * len(shape))).astype(np.uint8)


def cycle(classes, count):
    return [number % classes for number in range(count)]


def cifar10(root):
    """Five training batches of 20, and 20 to test on; return pictures and labels of both."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    every, labels = [], []
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        labels.append(cycle(10, 20))
        every.append(pictures(number, labels[-1], 3, 32, 32))
        entry = {"data": every[-1].reshape(20, -1), "labels": labels[-1], "batch_label": name}
        pickled(folder / name, entry)
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    pickled(folder / "batches.meta", {"label_names": names})
    return np.concatenate(every), np.concatenate(labels)


def cifar100(root):
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", 400), ("test", 100)):
        fine = cycle(100, count)
        entry = {
            "data": pictures(count, fine, 3 * 32 * 32),
            "fine_labels": fine,
            "coarse_labels": [COARSE[label] for label in fine],
            "filenames": [f"{number}.png" for number in range(count)],
        }
        pickled(folder / name, entry)
    meta = {
        "fine_label_names": [f"fine {number}" for number in range(100)],
        "coarse_label_names": [f"coarse {number}" for number in range(20)],
    }
    pickled(folder / "meta", meta)


def pickled(path, entry):
    """Write a pickle of the second protocol in which numpy has the name it had in 2009."""
    path.write_bytes(pickle.dumps(entry, protocol=2).replace(b"numpy._core", b"numpy.core"))


def idx(path, values):
    """Write an array as MNIST does: a magic number, sizes, and values, big end first."""
    values = np.asarray(values)
    code = {"u1": 8, "i4": 12}[values.dtype.str[1:]]
    head = np.array([code * 256 + values.ndim, *values.shape], dtype=">u4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + values.astype(values.dtype.newbyteorder(">")).tobytes())


def mnist(folder):
    """Return the pictures of both parts."""
    every = []
    for part, count in (("train", 100), ("t10k", 30)):
        labels = np.array(cycle(10, count), dtype=np.uint8)
        every.append(pictures(count, labels, 28, 28))
        idx(folder / f"{part}-images-idx3-ubyte", every[-1])
        idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return np.concatenate(every)


def qmnist(root):
    """Return the extended labels of both parts."""
    every = []
    for part, count in (("train", 100), ("test", 40)):
        labels = np.zeros((count, 8), dtype=np.int32)
        labels[:, 0] = cycle(10, count)
        labels[:, 2] = 700 + np.arange(count) // 4 % 30  # four digits in a row by one writer
        labels[:, 5] = np.arange(count)
        every.append(labels)
        idx(
            root / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", pictures(0, labels[:, 0], 28, 28)
        )
        idx(root / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", labels)
    return np.concatenate(every)


def emnist(root, split, labels):
    for part, each in (("train", 5), ("test", 2)):
        every = np.array(list(labels) * each, dtype=np.uint8)
        stem = f"EMNIST/raw/emnist-{split}-{part}"
        idx(root / f"{stem}-images-idx3-ubyte", pictures(each, every, 28, 28))
        idx(root / f"{stem}-labels-idx1-ubyte", every)


def svhn(root):
    """Write Matlab files in which the digit 0 is called 10; return what lies in them."""
    from scipy.io import savemat

    every = {}
    for part, count in (("train", 100), ("test", 40)):
        digits = np.array(cycle(10, count))
        data = pictures(count, digits, 3, 32, 32)
        every[part] = data, digits
        called = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
        savemat(root / f"{part}_32x32.mat", {"X": data.transpose(2, 3, 1, 0), "y": called})
    return every


def stl10(root):
    """Write pictures column by column and labels from one; return pictures and labels."""
    folder = root / "stl10_binary"
    folder.mkdir(exist_ok=True)
    every, labels = [], []
    for part, count in (("train", 60), ("test", 20)):
        labels.append(cycle(10, count))
        every.append(pictures(count, labels[-1], 3, 96, 96))
        every[-1].transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")
        (np.array(labels[-1], dtype=np.uint8) + 1).tofile(folder / f"{part}_y.bin")
    (folder / "unlabeled_X.bin").write_bytes(b"")
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (folder / "class_names.txt").write_text("\n".join(names) + "\n")
    return np.concatenate(every), np.concatenate(labels)


def celeba(root, count=60):
    """Every sixth picture is for validation, the next for testing; return labels in file order."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    names = [f"{number + 1:06d}.jpg" for number in range(count)]
    generator = np.random.default_rng(0)
    attributes = generator.integers(0, 2, (count, 40))
    people = 1 + np.arange(count) // 4 % 9 * 5
    parts = np.where(np.arange(count) % 6 == 4, 1, np.where(np.arange(count) % 6 == 5, 2, 0))
    smiling = attributes[:, ATTRIBUTES.index("Smiling")]
    for name, picture in zip(names, pictures(1, smiling * 3, 218, 178, 3), strict=True):
        Image.fromarray(picture).save(folder / "img_align_celeba" / name)

    def table(file, values, header=None):
        rows = [f"{n} {' '.join(map(str, row))}" for n, row in zip(names, values, strict=True)]
        head = [] if header is None else [str(count), header]
        (folder / file).write_text("\n".join([*head, *rows]) + "\n")

    table("list_eval_partition.txt", parts[:, None])
    table("identity_CelebA.txt", people[:, None])
    table("list_attr_celeba.txt", attributes * 2 - 1, " ".join(ATTRIBUTES) + " ")
    table("list_bbox_celeba.txt", np.zeros((count, 4), int), "image_id x_1 y_1 width height")
    points = " ".join(f"{point}_{axis}" for point in "abcde" for axis in "xy")
    table("list_landmarks_align_celeba.txt", np.zeros((count, 10), int), points)
    return attributes, people, parts


def food101(root):
    """Five dishes, of which the names are not in alphabetical order in the files of parts."""
    folder = root / "food-101"
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    dishes = ["ramen", "apple_pie", "waffles", "gnocchi", "sushi"]
    for part, numbers in (("train", range(12)), ("test", range(12, 16))):
        files = {dish: [f"{dish}/{100 + number}" for number in numbers] for dish in dishes}
        (folder / "meta" / f"{part}.json").write_text(json.dumps(files))
    for label, dish in enumerate(dishes):
        (folder / "images" / dish).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures(label, [label] * 16, 48, 64, 3)):
            Image.fromarray(picture).save(folder / "images" / dish / f"{100 + number}.jpg")


def country211(root):
    for part, each in (("train", 6), ("valid", 2), ("test", 4)):
        image_folder(root / "country211" / part, classes=("AD", "AE", "AF", "AG"), each=each)


def usps(root):
    """Write the text format of LIBSVM: a label from one, then 256 values in [-1, 1]."""
    for file, count in (("usps.bz2", 60), ("usps.t.bz2", 20)):
        values = pictures(count, cycle(10, count), 256) / 255 * 2 - 1
        lines = [
            f"{number % 10 + 1} " + " ".join(f"{i + 1}:{v:.6f}" for i, v in enumerate(row))
            for number, row in enumerate(values)
        ]
        (root / file).write_bytes(bz2.compress("\n".join(lines).encode() + b"\n"))


def image_folder(folder, classes=("cat", "dog", "owl"), each=20, size=(40, 48), suffix=".png"):
    """Write ``each`` colour pictures of ``size`` (height, width) for every class."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures(label, [label] * each, *size, 3)):
            Image.fromarray(picture).save(folder / name / f"{number:03d}{suffix}")
