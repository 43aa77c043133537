"""Files of torchvision: archives placed by hand, damage, downloads that fail."""

import io
import re
import socket
import tarfile
import urllib.request
import zipfile
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch
from crafted_torchvision import (
    celeba,
    cifar10,
    food101,
    home_at,
    idx,
    mnist,
)

from erasure.core.errors import DataError
from erasure.data.sources.torchvision import images as torchvision_images
from erasure.data.sources.torchvision.checksums import _strings, without_checksums
from erasure.data.sources.torchvision.files import PATIENCE
from erasure.data.sources.torchvision.images import TorchvisionImages


@pytest.fixture
def offline(monkeypatch):
    """Let every name server say that it does not know the name; return the names."""
    hosts = []

    def unknown(host, *_arguments, **_settings):
        hosts.append(host)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return hosts


def test_files_are_read_once(files, data_config, monkeypatch):
    cifar10(files)
    first = TorchvisionImages(name="CIFAR10", resize=16)(data_config)
    monkeypatch.setattr(torchvision_images, "open_parts", lambda *_: pytest.fail("read again"))
    again = TorchvisionImages(name="CIFAR10", resize=16)(data_config)
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.inputs, first.inputs)


def test_files_that_are_not_verified_are_read_again_when_they_change(files, data_config):
    mnist(files / "MNIST/raw")
    first = TorchvisionImages(name="MNIST")(data_config)
    idx(files / "MNIST/raw/train-images-idx3-ubyte", np.zeros((100, 28, 28), np.uint8))
    again = TorchvisionImages(name="MNIST")(data_config)
    assert first.inputs[:100].any()
    assert not again.inputs[:100].any()


def stock(files, monkeypatch):
    """Pack CIFAR-10 as its authors do, and let torchvision know the checksums."""
    from torchvision.datasets import CIFAR10

    expected, _ = cifar10(files)
    folder = files / CIFAR10.base_folder
    for attribute in ("train_list", "test_list"):
        sums = [
            [name, md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()]
            for name, _ in getattr(CIFAR10, attribute)
        ]
        monkeypatch.setattr(CIFAR10, attribute, sums)
    meta = md5((folder / "batches.meta").read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": meta})
    archive = files / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, CIFAR10.base_folder)
    checksum = md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(CIFAR10, "tgz_md5", checksum)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return archive, expected


def test_a_stock_archive_is_verified_and_unpacked_without_a_network(
    files, data_config, monkeypatch, offline
):
    archive, expected = stock(files, monkeypatch)
    pool = TorchvisionImages(name="CIFAR10")(home_at(data_config.root, verify=True, download=True))
    assert np.array_equal(pool.inputs.numpy(), expected)
    assert offline == []
    assert sorted(path.name for path in files.iterdir()) == [
        "cifar-10-batches-py",
        archive.name,
    ]


def test_a_damaged_archive_is_named(files, data_config, monkeypatch, offline):
    archive, _ = stock(files, monkeypatch)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"CIFAR10: .*cifar-10-python.tar.gz is damaged"):
        TorchvisionImages(name="CIFAR10")(home_at(data_config.root, verify=True, download=True))
    assert archive.read_bytes() == content
    assert [path.name for path in files.iterdir()] == [archive.name]
    assert not list(data_config.prepared.glob("cifar10-*[!k]"))


def test_a_batch_of_another_checksum_is_named_unless_nothing_is_verified(files, data_config):
    cifar10(files)
    with pytest.raises(DataError, match=r"data_batch_1 is damaged.*data.verify=false takes it"):
        TorchvisionImages(name="CIFAR10")(home_at(data_config.root, verify=True))
    assert len(TorchvisionImages(name="CIFAR10")(data_config).targets) == 120


def test_a_cut_archive_leaves_nothing_behind(files, data_config, monkeypatch, offline):
    archive, _ = stock(files, monkeypatch)
    archive.write_bytes(archive.read_bytes()[:-4000])
    with pytest.raises(DataError, match="CIFAR10"):
        TorchvisionImages(name="CIFAR10")(home_at(data_config.root, download=True))
    assert [path.name for path in files.iterdir()] == [archive.name]


def test_names_in_an_archive_cannot_lead_out_of_the_folder(files, data_config, offline):
    with tarfile.open(files / "cifar-10-python.tar.gz", "w:gz") as packed:
        entry = tarfile.TarInfo("../../outside")
        entry.size = 4
        packed.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="outside"):
        TorchvisionImages(name="CIFAR10")(home_at(data_config.root, download=True))
    assert not (data_config.root / "outside").exists()


def test_the_archive_of_celeba_needs_no_download_tool(files, data_config, offline):
    celeba(files)
    folder = files / "celeba"
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as packed:
        for file in sorted((folder / "img_align_celeba").iterdir()):
            packed.write(file, f"img_align_celeba/{file.name}")
            file.unlink()
    (folder / "img_align_celeba").rmdir()
    dataset = TorchvisionImages(name="CelebA", target="Male", resize=16)
    assert len(dataset(home_at(data_config.root, download=True)).targets) == 60


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("CIFAR10", "cifar-10-python.tar.gz"),
        ("MNIST", r"MNIST/raw/\{train,t10k\}-\{images-idx3,labels-idx1\}-ubyte.gz"),
        ("SVHN", "train_32x32.mat and test_32x32.mat"),
        ("CelebA", "celeba/img_align_celeba.zip"),
        ("Flowers102", "the files that torchvision.datasets.Flowers102 reads"),
    ],
)
@pytest.mark.parametrize("download", [True, False])
def test_missing_files_give_one_clear_error(data_config, offline, name, by_hand, download):
    with pytest.raises(DataError, match=f"{name} could not be loaded from torch.*") as error:
        TorchvisionImages(name=name)(home_at(data_config.root, verify=True, download=download))
    message = str(error.value)
    assert "\n" not in message
    pattern = f"put {by_hand}.* into {data_config.root / 'torchvision'} "
    assert re.search(pattern, message)
    assert bool(offline) == (download and name != "CelebA")  # which needs gdown first
    assert not [
        path for path in data_config.root.rglob("*") if path.is_file() and path.suffix != ".lock"
    ]


def test_an_interrupted_download_leaves_nothing(files, data_config, monkeypatch):
    class Answer(io.BytesIO):
        url, length = "https://example.org/cifar-10-python.tar.gz", 1000

        def read(self, size=-1):
            content = super().read(size)
            if not content:
                raise ConnectionResetError("the server hung up")
            return content

    monkeypatch.setattr(urllib.request, "urlopen", lambda _request: Answer(b"half"))
    with pytest.raises(DataError, match="the server hung up"):
        TorchvisionImages(name="CIFAR10")(home_at(data_config.root, verify=True, download=True))
    assert list(files.iterdir()) == []


def test_a_cut_file_without_a_checksum_is_told(files, data_config):
    mnist(files / "MNIST/raw")
    file = files / "MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match="MNIST could not be loaded"):
        TorchvisionImages(name="MNIST")(data_config)
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(DataError, match="damaged or not of its format"):
        TorchvisionImages(name="MNIST")(data_config)


def test_a_damaged_picture_is_named(files, data_config):
    food101(files)
    (files / "food-101/images/gnocchi/105.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"gnocchi/105\.jpg cannot be decoded"):
        TorchvisionImages(name="Food101", resize=16)(data_config)
    assert not list(data_config.prepared.glob("food101-pixels-*[!k]"))


def test_nothing_of_torchvision_is_replaced_and_settings_are_put_back(
    files, data_config, monkeypatch
):
    from torchvision.datasets import SVHN, cifar, utils

    def functions():
        return [dict(vars(module)) for module in (utils, cifar, cifar.CIFAR10)]

    before, patience = functions(), socket.getdefaulttimeout()
    during = []

    def fails(*_arguments, **_settings):
        during.append((functions(), socket.getdefaulttimeout()))
        raise OSError("no network")

    monkeypatch.setattr(SVHN, "download", fails)
    cifar10(files)
    TorchvisionImages(name="CIFAR10")(data_config)
    with pytest.raises(DataError, match="no network"):
        TorchvisionImages(name="SVHN")(home_at(data_config.root, download=True))
    assert during == [(before, PATIENCE)]
    assert functions() == before
    assert tarfile.TarFile.extraction_filter is None
    assert socket.getdefaulttimeout() == patience


def test_what_is_fetched_lies_aside_until_all_of_it_is_whole(files, data_config, monkeypatch):
    """Two of three files arrive; the data set is not there, not even in part."""
    from torchvision.datasets import SVHN

    folders = []

    def download(self):
        folders.append(Path(self.root))
        (folders[0] / self.filename).write_bytes(b"some of it")
        assert list(files.iterdir()) == []
        if len(folders) == 2:
            raise ConnectionResetError("the server hung up")

    monkeypatch.setattr(SVHN, "download", download)
    monkeypatch.setattr(SVHN, "_check_integrity", lambda self: Path(self.root) in folders)
    monkeypatch.setattr("scipy.io.loadmat", lambda _: _nothing_to_see())
    with pytest.raises(DataError, match="the server hung up"):
        TorchvisionImages(name="SVHN")(home_at(data_config.root, download=True))
    assert len(folders) == 2
    assert folders[0].parent == files.parent
    assert list(files.iterdir()) == []
    assert not folders[0].exists()


def _nothing_to_see():
    return {"X": np.zeros((32, 32, 3, 0), np.uint8), "y": np.zeros((0, 1))}


def test_a_good_archive_is_neither_copied_nor_written_into(
    files, data_config, monkeypatch, offline
):
    archive, _ = stock(files, monkeypatch)
    before = archive.stat()
    TorchvisionImages(name="CIFAR10")(home_at(data_config.root, verify=True, download=True))
    after = archive.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert after.st_nlink == 1


def test_checksums_and_names_are_read_out_of_classes_modules_and_methods():
    from torchvision.datasets import CIFAR10, GTSRB, ImageNet, Omniglot

    assert {"data_batch_1", CIFAR10.tgz_md5, "cifar-10-python.tar.gz"} <= set(_strings(CIFAR10))
    assert {"GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478"} <= set(_strings(GTSRB))
    assert "ILSVRC2012_img_train.tar" in _strings(ImageNet)
    assert "images_background" in _strings(Omniglot)


def test_a_class_without_checksums_is_the_same_but_for_them():
    from torchvision.datasets import CIFAR10

    unchecked = without_checksums(CIFAR10)
    assert unchecked.__name__ == "CIFAR10"
    assert unchecked.tgz_md5 is None
    assert unchecked.meta == {**CIFAR10.meta, "md5": None}
    assert unchecked.train_list == [[name, None] for name, _ in CIFAR10.train_list]
    assert (unchecked.url, unchecked.filename) == (CIFAR10.url, CIFAR10.filename)
    assert CIFAR10.tgz_md5 is not None
