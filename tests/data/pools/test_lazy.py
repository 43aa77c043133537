"""The streaming pool: the same bits as a resident one, bounded memory, no thread left behind."""

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from patience import wait_until
from PIL import Image

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.fingerprint import tensor_fingerprint
from erasure.core.splits import View
from erasure.data.pools.augment import CropFlip
from erasure.data.pools.hashing import row_hashes
from erasure.data.pools.lazy import LazyPool
from erasure.data.pools.rows import DecodedRows, TensorRows, files_stamp, passage, read_ahead
from erasure.data.pools.tensor import TensorPool
from erasure.data.pools.through import AuditedPool
from erasure.data.sources.prepared import Prepared, prepared

COUNT = 37
SHOWN = {"divisor": 255.0, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}


def generator(seed):
    return torch.Generator().manual_seed(seed)


def pixels(count=COUNT, shape=(3, 10, 12)):
    return torch.randint(0, 256, (count, *shape), generator=generator(1)).to(torch.uint8)


def labels(count=COUNT):
    return {"targets": torch.arange(count) % 2, "class_names": ("a", "b")}


@dataclass(frozen=True)
class Counting:
    """Rows that count how often each was read, and by how many threads at once."""

    inner: TensorRows
    reads: list
    pause: float = 0.0

    shape = property(lambda self: self.inner.shape)
    dtype = property(lambda self: self.inner.dtype)
    version = property(lambda self: self.inner.version)
    grain = 2

    def read(self, index, out):
        time.sleep(self.pause)
        self.reads.append((threading.get_ident(), index.tolist()))
        self.inner.read(index, out)

    def whole(self):
        return self.inner.whole()


def counting(images, **fields):
    return Counting(TensorRows(images), [], **fields)


def decode(path: Path) -> torch.Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).movedim(-1, 0).contiguous()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for number, image in enumerate(pixels()):
        paths.append(folder / f"{number:03}.png")
        Image.fromarray(image.movedim(0, -1).numpy()).save(paths[-1])
    return tuple(paths)


def decoded(files, **fields):
    return DecodedRows(items=files, decode=decode, sample=(3, 10, 12), **fields)


def pools(files, **fields):
    """A resident pool and the two kinds of streaming pools, of the same images."""
    fields = {**labels(), **SHOWN, **fields}
    resident = TensorPool(inputs=pixels(), **fields)
    return resident, [
        LazyPool(rows=rows, workers=3, **fields) for rows in (TensorRows(pixels()), decoded(files))
    ]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("erasure-rows")] == []


def test_it_shows_the_same_bits_as_a_resident_pool(files):
    resident, streamed = pools(files)
    index = torch.tensor([5, 0, 36, 5])
    for pool in streamed:
        assert torch.equal(pool.fetch(index), resident.fetch(index))
        assert pool.fetch(index).dtype == torch.float32
        assert torch.equal(pool.digests(index), resident.digests(index))
        assert torch.equal(pool.sketch(index), resident.sketch(index))
        assert pool.fingerprint == resident.fingerprint
        assert pool.input_shape == resident.input_shape == (3, 10, 12)
        assert len(pool.fetch(index[:0])) == len(pool.digests(index[:0])) == 0
        assert pool.sketch(index[:0]).shape == (0, 3 * 64)


@given(size=st.integers(1, 40), seed=st.integers(0, 9), ahead=st.integers(1, 5))
def test_training_batches_are_the_same_and_in_the_same_order(size, seed, ahead):
    fields = {**labels(), **SHOWN, "augmentation": CropFlip(padding=2, flip=True)}
    resident = TensorPool(inputs=pixels(), **fields)
    streamed = LazyPool(rows=counting(pixels()), workers=4, ahead=ahead, **fields)
    drawn = [generator(seed), generator(seed)]
    for _epoch in range(2):
        passes = [
            list(View(pool, torch.arange(COUNT)).batches(size, generator=source, augment=True))
            for pool, source in zip((resident, streamed), drawn, strict=True)
        ]
        for one, other in zip(*passes, strict=True):
            for mine, theirs in zip(one, other, strict=True):
                assert torch.equal(mine, theirs)
    assert torch.equal(drawn[0].get_state(), drawn[1].get_state())


def test_a_draw_is_made_when_the_reader_asks_not_before():
    """Two passes that share a generator take turns, as they do over a resident pool."""
    fields = {**labels(), "augmentation": CropFlip(padding=2, flip=True)}
    seen = []
    for pool in (
        TensorPool(inputs=pixels(), **fields),
        LazyPool(rows=TensorRows(pixels()), **fields),
    ):
        source, batches = generator(3), torch.arange(COUNT).split(5)
        turns = zip(
            pool.stream(batches, augment=source),
            pool.stream(batches, augment=source),
            strict=True,
        )
        seen.append([torch.stack(pair) for pair in turns])
    assert all(torch.equal(*both) for both in zip(*seen, strict=True))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_it_can_be_read_where_nothing_is_trained(files, mode):
    """Inference mode is known to its own thread alone."""
    resident, streamed = pools(files)
    with mode():
        for pool in streamed:
            batches = View(pool, torch.arange(COUNT)).batches(8)
            for batch in batches:
                assert torch.equal(batch.inputs, resident.fetch(batch.ids))
            assert torch.equal(pool.digests(batch.ids), resident.digests(batch.ids))


def test_no_more_is_read_than_may_be_ahead():
    rows = counting(pixels())
    batches = torch.arange(36).split(3)
    read = read_ahead(rows, batches, workers=2, ahead=2)
    next(read)
    time.sleep(0.05)
    assert {number for _, ids in rows.reads for number in ids} <= set(range(6))
    next(read)
    time.sleep(0.05)
    assert {number for _, ids in rows.reads for number in ids} <= set(range(9))
    read.close()


def test_normalizing_a_batch_leaves_the_samples_as_they_are():
    images = torch.rand(COUNT, 3, 4, 4, generator=generator(0))
    kept = images.clone()
    fields = {**labels(), **SHOWN}
    resident = TensorPool(inputs=images, **fields)
    streamed = LazyPool(rows=TensorRows(images), **fields)
    index = torch.arange(COUNT)
    mean, std = (torch.tensor(SHOWN[name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    for pool in (resident, streamed, resident, streamed):
        torch.testing.assert_close(pool.fetch(index), (kept / 255 - mean) / std)
    assert torch.equal(images, kept)


def test_the_next_batches_are_read_while_the_reader_computes():
    rows = counting(pixels(), pause=0.01)
    batches = read_ahead(rows, torch.arange(36).split(6), workers=3, ahead=3)
    next(batches)
    # While the reader computes, the two pieces of each of two further batches are read.
    wait_until(lambda: len({n for _, ids in rows.reads for n in ids}) == 18, "two batches ahead")
    assert len({thread for thread, _ in rows.reads}) > 1
    assert threading.get_ident() not in {thread for thread, _ in rows.reads}
    batches.close()


def test_an_abandoned_iterator_leaves_no_thread():
    pool = LazyPool(rows=counting(pixels(), pause=0.002), **labels())
    for _ in View(pool, torch.arange(COUNT)).batches(4):
        break
    batches = View(pool, torch.arange(COUNT)).batches(4)
    next(batches)
    del batches
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("erasure-rows")]
    pool.stream(torch.arange(COUNT).split(4))  # never started


def test_a_file_that_cannot_be_decoded_is_named_where_it_is_needed(files, tmp_path):
    broken = tmp_path / "cut.png"
    broken.write_bytes(files[9].read_bytes()[:60])
    pool = LazyPool(rows=decoded((*files[:9], broken, *files[10:])), **labels())
    batches = View(pool, torch.arange(COUNT)).batches(3)
    assert [next(batches).ids.tolist() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    with pytest.raises(DataError, match=r"cut\.png cannot be decoded: ") as error:
        next(batches)
    assert error.value.__cause__ is not None
    with pytest.raises(DataError, match=r"cut\.png"):
        _ = pool.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample": (1, 10, 12)}, r"000\.png has shape \(3, 10, 12\).*\(1, 10, 12\)"),
        ({"dtype": torch.float32}, r"type torch\.uint8, the others have .*torch\.float32"),
    ],
)
def test_a_sample_of_another_form_is_refused_by_name(files, changes, message):
    rows = DecodedRows(**{"items": files, "decode": decode, "sample": (3, 10, 12)} | changes)
    with pytest.raises(DataError, match=message):
        LazyPool(rows=rows, **labels()).fetch(torch.tensor([0]))


def test_what_is_no_file_is_named_by_its_number():
    rows = DecodedRows(items=[3, 0], decode=lambda n: torch.tensor([6 // n]), sample=(1,))
    with pytest.raises(DataError, match=r"sample 1 cannot be decoded: integer division"):
        LazyPool(rows=rows, targets=torch.zeros(2).long(), class_names=("a",)).fetch(
            torch.tensor([1])
        )


def test_a_missing_file_is_named(files):
    missing = files[0].with_name("gone.png")
    pool = LazyPool(rows=decoded((missing,)), **labels(1))
    with pytest.raises(DataError, match=r"gone\.png cannot be decoded: .*No such file"):
        pool.fetch(torch.tensor([0]))


def test_one_pass_finds_hashes_thumbnails_and_fingerprint():
    rows = counting(pixels())
    pool = LazyPool(rows=rows, **labels())
    for _ in range(2):
        _ = pool.fingerprint, pool.digests(torch.arange(3)), pool.sketch(torch.arange(3))
    assert sorted(n for _, ids in rows.reads for n in ids) == list(range(COUNT))


def test_hashes_that_are_known_spare_the_pass():
    rows = counting(pixels())
    hashes = row_hashes(pixels())
    pool = LazyPool(rows=rows, hashes=hashes, **labels())
    assert torch.equal(pool.digests(torch.tensor([4, 2])), hashes[[4, 2]])
    assert len(pool.fingerprint) == 32
    assert rows.reads == []
    other = hashes.clone()
    other[0] += 1
    assert LazyPool(rows=rows, hashes=other, **labels()).fingerprint != pool.fingerprint


def test_samples_that_are_no_images_are_their_own_sketch():
    inputs = torch.randn(COUNT, 6, generator=generator(0))
    fields = labels()
    index = torch.tensor([3, 1, 30])
    streamed = LazyPool(rows=TensorRows(inputs), **fields)
    assert torch.equal(streamed.sketch(index), TensorPool(inputs=inputs, **fields).sketch(index))
    assert streamed.sketch(index[:0]).shape == (0, 6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_a_pass_in_pieces_gives_the_fingerprint_of_the_whole(dtype, monkeypatch):
    monkeypatch.setattr("erasure.data.pools.rows.CHUNK_BYTES", 500)
    inputs = pixels(shape=(3, 5)).to(dtype)
    assert len(list(passage(TensorRows(inputs)))) > 1
    fields = labels()
    one, other = LazyPool(rows=TensorRows(inputs), **fields), TensorPool(inputs=inputs, **fields)
    assert one.fingerprint == other.fingerprint
    assert one._survey.contents == tensor_fingerprint(inputs)


def test_anything_a_model_could_learn_from_changes_the_fingerprint():
    changed = pixels()
    changed[-1, -1, -1, -1] += 1
    base = {"rows": TensorRows(pixels()), **labels()}
    variants = [
        {},
        {"rows": TensorRows(changed)},
        {"divisor": 255.0},
        {"mean": (0.0,) * 3, "std": (1.0,) * 3},
        {"augmentation": CropFlip(padding=1)},
        {"attributes": {"who": Column(torch.zeros(COUNT))}},
    ]
    assert len({LazyPool(**base | fields).fingerprint for fields in variants}) == len(variants)


def test_how_it_is_read_does_not_change_the_fingerprint():
    base = {"rows": TensorRows(pixels()), **labels()}
    assert LazyPool(workers=1, ahead=1, **base).fingerprint == LazyPool(**base).fingerprint


def test_what_the_pass_found_is_kept_for_other_processes(files, tmp_path):
    data_config = DataConfig(root=tmp_path)
    rows = decoded(files, stamp=files_stamp(files, {}))
    first = LazyPool(rows=rows, data_config=data_config, **labels())
    assert len(first.fingerprint) == 32
    (entry,) = (path for path in data_config.prepared.iterdir() if path.is_dir())
    assert entry.name.startswith("survey-")
    again = LazyPool(rows=rows, data_config=data_config, **labels())
    before = entry.stat().st_mtime_ns
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.sketch(torch.arange(3)), first.sketch(torch.arange(3)))
    assert torch.equal(again.digests(torch.arange(3)), first.digests(torch.arange(3)))
    assert entry.stat().st_mtime_ns == before


def test_without_a_version_nothing_is_kept(tmp_path):
    data_config = DataConfig(root=tmp_path)
    _ = LazyPool(rows=TensorRows(pixels()), data_config=data_config, **labels()).fingerprint
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_setting_or_form_is_another_version(files, tmp_path):
    moved = tmp_path / files[0].name
    moved.write_bytes(files[0].read_bytes())
    stamps = {
        files_stamp(files, {}),
        files_stamp(files, {"size": 8}),
        files_stamp(files[1:], {}),
        files_stamp((moved, *files[1:]), {}),
    }
    assert len(stamps) == 4
    versions = {
        decoded(files, stamp="x").version,
        decoded(files, stamp="y").version,
        decoded(files, stamp="x", dtype=torch.int64).version,
        DecodedRows(items=files, decode=decode, sample=(3, 9, 12), stamp="x").version,
        DecodedRows(items=files, decode=row_hashes, sample=(3, 10, 12), stamp="x").version,
    }
    assert len(versions) == 5
    assert decoded(files).version == ""


def test_prepared_data_are_streamed_from_their_file(tmp_path):
    data_config = DataConfig(root=tmp_path, resident_limit=0.0)

    def make():
        return Prepared({"inputs": pixels()})

    entry = prepared(data_config, "images", {}, make)
    rows = TensorRows(entry.tensors["inputs"], entry.key)
    assert rows.version.startswith("images-")
    pool = LazyPool(rows=rows, data_config=data_config, **labels()).placed()
    assert isinstance(pool, LazyPool)
    index = torch.tensor([30, 2])
    assert torch.equal(pool.fetch(index), pixels()[index].float())
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert "images-" in maps.read_text()  # mapped, not copied


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    data_config = DataConfig(root=tmp_path)
    entry = prepared(data_config, "images[1]", {}, lambda: Prepared({"inputs": pixels()}))
    folder = data_config.prepared / entry.key
    others = data_config.prepared / ".images[2]-0-0"
    left = data_config.prepared / f".{entry.key}-123-abc"
    for place in (left, others):
        place.mkdir()
        (place / "tensors.safetensors").write_bytes(b"half")
    shutil.rmtree(folder)
    again = prepared(data_config, "images[1]", {}, lambda: Prepared({"inputs": pixels()}))
    assert torch.equal(again.tensors["inputs"], pixels())
    assert (folder.is_dir(), others.is_dir(), left.exists()) == (True, True, False)


def test_what_fits_is_placed_on_the_device(files):
    size = COUNT * 3 * 10 * 12 / 2**30
    for rows in (TensorRows(pixels()), decoded(files)):
        for limit, kind in ((size, TensorPool), (size * 0.99, LazyPool)):
            data_config = DataConfig(resident_limit=limit)
            official = torch.zeros(COUNT, dtype=torch.int8)
            attributes = {"who": Column(torch.zeros(COUNT))}
            fields = {**labels(), **SHOWN, "official": official, "attributes": attributes}
            lazy = LazyPool(
                rows=rows, data_config=data_config, augmentation=CropFlip(flip=True), **fields
            )
            placed = lazy.placed()
            assert type(placed) is kind
            assert placed.fingerprint == lazy.fingerprint
            assert placed.augments
            assert placed.official is official
            index = torch.tensor([1, 8])
            assert torch.equal(placed.fetch(index), lazy.fetch(index))


def test_an_audited_pool_counts_what_was_taken_not_what_was_read_ahead():
    audited = AuditedPool.watch(LazyPool(rows=TensorRows(pixels()), ahead=5, **labels()))
    batches = View(audited, torch.arange(COUNT)).batches(4)
    next(batches), next(batches)
    assert audited.reads.tolist() == [1] * 8 + [0] * (COUNT - 8)


@pytest.mark.parametrize("name", ["workers", "ahead"])
def test_nobody_to_read_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} must be >= 1, got 0"):
        LazyPool(rows=TensorRows(pixels()), **labels(), **{name: 0})


def test_lengths_that_differ_are_refused():
    with pytest.raises(DataError, match="targets has 36 rows for 37 inputs"):
        LazyPool(rows=TensorRows(pixels()), **labels(36))
    with pytest.raises(DataError, match="hashes has 5 rows for 37 inputs"):
        LazyPool(rows=TensorRows(pixels()), hashes=torch.zeros(5).long(), **labels())


def test_no_batches_are_no_work():
    pool = LazyPool(rows=TensorRows(pixels()), **labels())
    assert list(pool.stream([])) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_shows_the_same_bits_as_a_resident_pool():
    data_config = DataConfig(device=torch.device("cuda"), resident_limit=0.0)
    fields = {**SHOWN, "augmentation": CropFlip(padding=2, flip=True)}
    streamed = LazyPool(rows=counting(pixels()), data_config=data_config, **labels(), **fields)
    resident = TensorPool(
        inputs=pixels().cuda(),
        targets=labels()["targets"].cuda(),
        class_names=("a", "b"),
        **fields,
    )
    passes = [
        list(View(p, torch.arange(COUNT)).batches(5, generator=generator(0), augment=True))
        for p in (streamed, resident)
    ]
    for one, other in zip(*passes, strict=True):
        assert one.inputs.is_cuda
        assert torch.equal(one.inputs, other.inputs)
    assert streamed.fingerprint == resident.fingerprint
