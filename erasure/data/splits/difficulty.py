"""Forget sets that are easy or hard: by how much samples have to be memorized."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, DataError
from erasure.core.pool import Pool
from erasure.data.splits.drawn import amount, check_amount
from erasure.data.splits.forgetting import Forgetting
from erasure.data.splits.ids import tensors_in
from erasure.data.splits.selecting import label_codes

Level = Literal["low", "mid", "high"]

BLOCK = 1024
"""Samples whose neighbours are looked for at once."""


@dataclass(frozen=True, kw_only=True)
class DifficultyForget(Forgetting):
    """Forget the training samples that are memorized least, most, or halfway.

    The memorization of a sample is how much likelier a network predicts its label when it was
    among the training samples (Feldman, "Does Learning Require Memorization?", STOC 2020,
    arXiv:1906.05271). What is highly memorized is hard to unlearn, and what is not memorized is
    a negative control (Zhao et al., "What makes unlearning hard and what to do about it",
    NeurIPS 2024, arXiv:2406.01257). Scores can be read from ``path``; without it a proxy takes
    their place that needs no network: how much closer a sample lies to training samples of
    other classes than to those of its own, see :func:`atypicality`. It ranks samples but does
    not estimate a probability.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        level: ``low`` takes the lowest scores, ``high`` the highest. ``mid`` takes those
            nearest to 0.5, as Zhao et al. do, or of the proxy those nearest to its median.
        fraction: Share of the training set, in (0, 1); give this or ``count``.
        count: Number of samples.
        path: A safetensors file of scores: ``ids`` (n,) and ``memorization`` (n,), which have
            every training sample once.
        neighbours: The proxy looks at this many samples of each side.
        references: The proxy looks for neighbours among this many training samples, drawn at
            random if there are more.
    """

    level: Level = "high"
    fraction: float | None = 0.1
    count: int | None = None
    path: str | None = None
    neighbours: int = 10
    references: int = 2000

    def validate(self) -> None:
        """Refuse an unknown level and what is out of range."""
        if self.level not in ("low", "mid", "high"):
            raise ConfigError(f"level must be low, mid or high, got {self.level!r}")
        check_amount(self.fraction, self.count)
        for name in ("neighbours", "references"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Rank the training samples and take those at the level, ties by id."""
        size = amount(self.fraction, self.count, len(train))
        train = train.sort().values
        if self.path is None:
            among = train[torch.randperm(len(train), generator=generator)[: self.references]]
            scores = atypicality(pool, train, among, self.neighbours)
            middle = scores.median().item()
        else:
            scores, middle = read_scores(Path(self.path), train), 0.5
        rank = {"low": scores, "mid": (scores - middle).abs(), "high": -scores}[self.level]
        # stable over sorted ids: ties go to the lower one
        return train[rank.argsort(stable=True)[:size]]

    def scenario(self, pool: Pool) -> Mapping[str, Any]:
        """Name the level and where the scores come from."""
        del pool
        scores = "proxy" if self.path is None else "file"
        return {"kind": "difficulty", "level": self.level, "scores": scores}


def atypicality(pool: Pool, samples: Tensor, among: Tensor, neighbours: int) -> Tensor:
    """Return how much more a sample resembles other classes than its own, ``(n,)`` in [-2, 2].

    It is the mean cosine of its sketch to those of its nearest samples of other classes, minus
    that to its nearest samples of its own class, itself excluded; -1 stands for a side that has
    nobody. Distances to samples of the same and of other labels are among the proxies that need
    no training run in Jiang et al., "Characterizing Structural Regularities of Labeled Data in
    Overparameterized Models", ICML 2021, arXiv:2002.03206.

    Args:
        pool: The data.
        samples: Ids ``(n,)`` to rank.
        among: Ids ``(m,)`` of possible neighbours.
        neighbours: How many of each side count.
    """
    codes, other_directions = label_codes(pool), _directions(pool, among)
    scores = []
    for ids in samples.split(BLOCK):
        cosines = _directions(pool, ids) @ other_directions.T
        # (n, m) like the cosines: who has the same label, and who is the sample itself
        same = codes[ids][:, None] == codes[among]
        itself = ids[:, None] == among
        to_same = _nearest(cosines.masked_fill(~same | itself, -torch.inf), neighbours)
        to_others = _nearest(cosines.masked_fill(same, -torch.inf), neighbours)
        scores.append(to_others - to_same)
    return torch.cat(scores)


def _directions(pool: Pool, ids: Tensor) -> Tensor:
    """Return sketches of length one, in float64 on the CPU: no device shall move a choice."""
    sketches = pool.sketch(ids.to(pool.targets.device)).cpu().double()
    return F.normalize(sketches, dim=1)


def _nearest(cosines: Tensor, neighbours: int) -> Tensor:
    """Return the mean of the largest cosines per row, of those that are finite."""
    best = cosines.topk(min(neighbours, cosines.shape[1]), dim=1).values
    there = best.isfinite()
    # 0 / 0 on a side that has nobody, which nan_to_num makes -1, the cosine of opposites
    mean = best.masked_fill(~there, 0.0).sum(dim=1) / there.sum(dim=1)
    return mean.nan_to_num(-1.0)


def read_scores(path: Path, train: Tensor) -> Tensor:
    """Return the memorization of the samples ``train`` (n,) from a file, float64 on the CPU.

    Raises:
        ConfigError: If there is no such file.
        DataError: If it is damaged, or lacks training samples or their scores.
    """
    if not path.is_file():
        raise ConfigError(f"path must be a safetensors file of scores, there is none at {path}")
    try:
        tensors = tensors_in(path)
        ids, scores = tensors["ids"].long(), tensors["memorization"].double()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} cannot be read as scores (tensors ids and memorization): {error}"
        ) from error
    if ids.ndim != 1 or ids.shape != scores.shape or len(ids.unique()) != len(ids):
        raise DataError(f"{path} must have one score per id, and each id once")
    ids, order = ids.sort()
    # an id behind the last would point outside; clamped, it is compared and found lacking
    position = torch.searchsorted(ids, train).clamp(max=len(ids) - 1)
    lacking = train[ids[position] != train] if len(ids) else train
    if len(lacking):
        raise DataError(
            f"{path} lacks scores of {len(lacking)} of {len(train)} training samples, for "
            f"example {lacking[:6].tolist()}"
        )
    chosen = scores[order[position]]
    if not chosen.isfinite().all():
        raise DataError(f"{path} has scores that are not finite")
    return chosen
