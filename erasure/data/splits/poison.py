"""Forget samples that were trained on with a backdoor: a trigger, and the label it stands for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import combine, fingerprint, ids_fingerprint
from erasure.core.pool import Inputs, Pool
from erasure.core.splits import SplitIndices, View
from erasure.core.trial_data import TrialData, altered_data, plain_data
from erasure.data.pools.hashing import row_hashes
from erasure.data.pools.through import Through
from erasure.data.splits.confusion import Relabelled
from erasure.data.splits.drawn import amount, check_amount
from erasure.data.splits.forgetting import Forgetting
from erasure.data.splits.selecting import labels

Corner = Literal["top_left", "top_right", "bottom_left", "bottom_right"]

CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")
CHUNK = 1024
"""Samples fetched at once to hash them or to look for their brightest pixel."""


@dataclass(frozen=True, kw_only=True)
class PoisonForget(Forgetting):
    """Stamp a patch on some training images, give them one class, and forget these samples.

    An original trained on them predicts the class wherever the patch is; a method that forgets
    them has to close this backdoor. ``triggered``, a part that metrics can look at, has the
    held-out images of all other classes with the patch on, under their true labels.

    The patch is stamped on what the model sees: after scaling, normalization and augmentation,
    so that it is in its corner whatever an augmentation moved, and in the units of the model
    whether the pool holds bytes or numbers.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        target: The class that the patch stands for, by number or name.
        fraction: Share of the training set to poison, in (0, 1); give this or ``count``.
            Samples of the target class are not poisoned.
        count: Number of samples.
        size: Side of the patch in pixels.
        value: Value of its pixels as the model sees them; null takes for each channel the
            largest value in the images that are poisoned.
        corner: Where the patch is.

    References:
        T. Gu, B. Dolan-Gavitt, S. Garg, "BadNets: Identifying Vulnerabilities in the Machine
        Learning Model Supply Chain", 2017, arXiv:1708.06733; as a check of unlearning in
        D. M. Sommer, L. Song, S. Wagh, P. Mittal, "Athena: Probabilistic Verification of Machine
        Unlearning", PoPETs 2022.
    """

    target: int | str = 0
    fraction: float | None = 0.05
    count: int | None = None
    size: int = 3
    value: float | None = None
    corner: Corner = "bottom_right"

    def validate(self) -> None:
        """Refuse amounts, sizes and corners that do not exist."""
        check_amount(self.fraction, self.count)
        if self.size < 1:
            raise ConfigError(f"size must be >= 1, got {self.size}")
        if self.corner not in CORNERS:
            raise ConfigError(f"corner must be {', '.join(CORNERS)}, got {self.corner!r}")

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Draw training samples of other classes; a larger fraction contains a smaller one."""
        target_code = self._target_code(pool)
        self._check_images(pool)
        size = amount(self.fraction, self.count, len(train))
        # shuffled before the target class is left out, so that draws do not depend on the target
        order = train[torch.randperm(len(train), generator=generator)]
        others = order[pool.targets.cpu()[order] != target_code]
        if size > len(others):
            raise ConfigError(
                f"{'fraction' if self.count is None else 'count'} asks to poison {size} training "
                f"samples, but only {len(others)} are not of the target class"
            )
        return others[:size]

    def scenario(self, pool: Pool) -> Mapping[str, Any]:
        """Name the target by number, and the patch."""
        patch = {"size": self.size, "value": self.value, "corner": self.corner}
        return {"kind": "poison", "target": self._target_code(pool), **patch}

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Divide ``pool``, then stamp the forget set and give it the target class.

        The probe ``triggered`` has the held-out images of other classes with the patch on.
        """
        data = plain_data(pool, self(pool, generator))
        probes = triggered(data.pool, data.indices)
        return altered_data(data, poisoned(data.pool, data.indices), probes)

    def _target_code(self, pool: Pool) -> int:
        classes = labels(pool)
        if classes.kind == "set":
            raise UnsupportedError(
                "a backdoor needs data where every sample has one class, which this data set has "
                "not; use another split, such as random"
            )
        return classes.code(self.target, "target", "classes")

    def _check_images(self, pool: Pool) -> None:
        shape = pool.input_shape
        if len(shape) != 3:
            raise UnsupportedError(
                f"split=poison stamps images (channels, height, width); samples of this data set "
                f"have the shape {shape}; use another split, such as confusion"
            )
        if self.size > min(shape[1:]):
            raise ConfigError(f"size must be <= {min(shape[1:])} pixels here, got {self.size}")


def poisoned(pool: Pool, indices: SplitIndices) -> Pool:
    """Return ``pool`` with the forget set stamped as ``indices.scenario`` says, and relabelled."""
    ids = indices.forget.to(pool.targets.device)
    targets = pool.targets.index_fill(0, ids, indices.scenario["target"])
    return _stamped(Relabelled(pool, targets), ids, indices)


def triggered(pool: Pool, indices: SplitIndices) -> Mapping[str, View]:
    """Return the held-out samples of other classes, stamped, under their true labels.

    Raises:
        ConfigError: If all held-out samples are of the target class.
    """
    # of val and test: an evaluation takes out those of the part it may not look at
    heldout = torch.cat([indices.val, indices.test]).sort().values.to(pool.targets.device)
    others = heldout[pool.targets[heldout] != indices.scenario["target"]]
    if len(others) == 0:
        raise ConfigError("target must be a class that some held-out samples are not of")
    return {"triggered": View(_stamped(pool, others, indices), others)}


def _stamped(pool: Pool, ids: Tensor, indices: SplitIndices) -> "Stamped":
    scenario = indices.scenario
    channels, height, width = pool.input_shape
    size, corner = scenario["size"], scenario["corner"]
    rows = slice(0, size) if corner.startswith("top") else slice(height - size, height)
    columns = slice(0, size) if corner.endswith("left") else slice(width - size, width)
    where = torch.zeros((1, height, width), dtype=torch.bool, device=pool.targets.device)
    where[:, rows, columns] = True
    marked = torch.zeros(len(pool.targets), dtype=torch.bool, device=where.device)
    marked[ids] = True
    value = scenario["value"]
    colour = _brightest(pool, indices.forget) if value is None else [float(value)] * channels
    return Stamped(pool, marked, where, tuple(colour))


def _brightest(pool: Pool, ids: Tensor) -> Sequence[float]:
    """Return the largest value of each channel in some images, as the model sees them."""
    chunks = ids.to(pool.targets.device).split(CHUNK)
    # fetched without augmentation, on whose draws a colour must not depend
    highest = torch.stack([pool.fetch(chunk).amax(dim=(0, 2, 3)) for chunk in chunks])
    maxima: list[float] = highest.amax(dim=0).tolist()
    return maxima


@dataclass(frozen=True)
class Stamped(Through):
    """A pool of images, some of which have a patch of one colour.

    Args:
        pool: The pool looked through.
        marked: Which samples have it, ``(N,)`` bool.
        where: Which pixels it covers, ``(1, H, W)`` bool.
        colour: The value of each channel there.
    """

    marked: Tensor
    where: Tensor
    colour: tuple[float, ...]

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Tensor:
        """Fetch, augment, then stamp."""
        return self._stamp(self.pool.fetch(index, augment=augment), index)

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Inputs]:
        """Stamp what the pool streams."""
        inputs_by_batch = self.pool.stream(batches, augment=augment)
        for index, inputs in zip(batches, inputs_by_batch, strict=True):
            yield self._stamp(inputs, index)

    def digests(self, index: Tensor) -> Tensor:
        """Return the pool's hashes, and others for stamped samples; a sketch ignores the patch."""
        hashes = self.pool.digests(index).clone()
        positions = self.marked[index].nonzero().flatten()
        for some in positions.split(CHUNK):
            hashes[some] = row_hashes(self.fetch(index[some]))
        return hashes

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the pool, of the patch, and of who has it."""
        patch = [list(self.colour), self.where.nonzero().tolist()]
        marked = ids_fingerprint(self.marked.nonzero().flatten())
        return combine([self.pool.fingerprint, fingerprint(patch), marked])

    def _stamp(self, images: Tensor, index: Tensor) -> Tensor:
        colour = torch.tensor(self.colour, dtype=images.dtype, device=images.device)
        # (B, 1, 1, 1) and (1, H, W) to (B, 1, H, W), the same for all channels
        covered = self.marked[index].reshape(-1, 1, 1, 1) & self.where
        return torch.where(covered, colour.reshape(1, -1, 1, 1), images)
