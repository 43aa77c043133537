"""The base split: what is trained on and what is held out, before anything is forgotten."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import torch
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.core.pool import Pool
from erasure.data.pools.labelled import NOWHERE, TEST, TRAIN, VAL
from erasure.data.splits.selecting import column, label_codes


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The base split: draw test, then val, stratified by class; the rest is the training set.

    It knows nothing about forgetting, so one original model serves every forget set of a sweep.
    Where the authors of the data have fixed parts, these are kept: only what they left open,
    usually val, is drawn from their training set.

    Args:
        test: Share of all samples, in (0, 1).
        val: Share of what is left after test, in (0, 1).
        official: Keep the parts that the authors of the data have fixed.
        group: Attribute of which no value may occur in two parts, such as ``identity``; shares
            are then reached as nearly as whole groups allow, and classes are not balanced.
        train: Train on a random share of the training set, in (0, 1]; the rest is not used.
    """

    test: float = 0.2
    val: float = 0.1
    official: bool = True
    group: str | None = None
    train: float = 1.0

    def __post_init__(self) -> None:
        for name in ("test", "val"):
            share = getattr(self, name)
            if not 0.0 < share < 1.0:
                raise ConfigError(f"{name} must be in (0, 1), got {share}")
        if not 0.0 < self.train <= 1.0:
            raise ConfigError(f"train must be in (0, 1], got {self.train}")

    def __call__(self, pool: Pool, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sorted ids of train, val and test.

        Raises:
            ConfigError: If there is no such group, a group is in two official parts, or no
                sample is left for one of the three.
        """
        official = pool.official if self.official else None
        every = torch.arange(len(pool.targets))
        codes = torch.full_like(every, NOWHERE) if official is None else official.cpu().long()
        fixed_test, fixed_val = every[codes == TEST], every[codes == VAL]
        # beside an official test part, samples of no part are not used; without one they are
        rest = every[codes == TRAIN] if len(fixed_test) else every[codes != VAL]
        groups = None if self.group is None else _group_codes(column(pool, self.group, "group"))
        divide: Callable[..., tuple[Tensor, Tensor]] = (
            partial(stratified, targets=label_codes(pool))
            if groups is None
            else partial(_by_group, groups)
        )
        test = fixed_test
        if not len(fixed_test):
            rest, test = divide(rest, share=self.test, generator=generator)
        val = fixed_val
        if not len(fixed_val):
            rest, val = divide(rest, share=self.val, generator=generator)
        if self.train < 1.0:
            # what is drawn is trained on here, and what stays is not used
            _, rest = divide(rest, share=self.train, generator=generator)
        parts = {"train": rest, "val": val, "test": test}
        self._check(parts, groups)
        return rest, val, test

    def _check(self, parts: Mapping[str, Tensor], groups: Tensor | None) -> None:
        for name, ids in parts.items():
            if len(ids) == 0:
                raise ConfigError(f"the {name} set of this split is empty")
        if groups is None:
            return
        for (name, ids), (other, other_ids) in combinations(parts.items(), 2):
            shared = torch.isin(groups[ids], groups[other_ids]).sum()
            if shared:
                raise ConfigError(
                    f"group={self.group} has values in both the official {name} and {other} sets "
                    f"({shared} samples of {name}); official=false draws all parts anew"
                )


def stratified(
    ids: Tensor, targets: Tensor, share: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Part ``ids`` (n,) into the rest and ``share`` of them, class by class.

    The second part has exactly ``round(share * n)`` members; what rounding leaves over goes to
    the classes with the largest remainders.

    Args:
        ids: Sample ids.
        targets: Label of every sample of the pool, ``(N,)``.
        share: Share of ``ids`` to draw.
        generator: Where the draws come from.

    Returns:
        The ids that stay and the ids that were drawn, each in ascending order.
    """
    order = ids[torch.randperm(len(ids), generator=generator)]
    labels = targets[order]
    classes, counts = labels.unique(return_counts=True)
    exact = counts.double() * share
    sizes = exact.floor().long()
    # at most one per class, since rounding down took less than one from each
    missing = round(share * len(ids)) - int(sizes.sum())
    sizes[torch.argsort(exact - sizes, descending=True, stable=True)[:missing]] += 1
    drawn = torch.zeros(len(order), dtype=torch.bool)
    for label, size in zip(classes.tolist(), sizes.tolist(), strict=True):
        drawn[(labels == label).nonzero().flatten()[:size]] = True
    return order[~drawn].sort().values, order[drawn].sort().values


def _group_codes(column: Column) -> Tensor:
    """Return the group of each sample ``(N,)``; one without a value is a group of its own."""
    if column.kind == "set":
        raise ConfigError("group must be an attribute with one value per sample, got one of sets")
    codes = column.values.cpu()
    if column.kind == "number":
        # unique takes every NaN for a value of its own; what they become here is overwritten
        inverse = codes.nan_to_num().unique(return_inverse=True)[1]
        codes = torch.where(codes.isnan(), -1, inverse)
    first = int(codes.max()) + 1
    # codes above all others, by row number: no two samples without a value share one
    return torch.where(codes < 0, first + torch.arange(len(codes)), codes)


def _by_group(
    groups: Tensor, ids: Tensor, share: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Draw whole groups in random order until they hold ``share`` of the samples."""
    values, group_index, counts = groups[ids].unique(return_inverse=True, return_counts=True)
    order = torch.randperm(len(values), generator=generator)
    # samples in the groups ahead: a group is drawn as long as these do not reach the share
    before = counts[order].cumsum(0) - counts[order]
    chosen = torch.zeros(len(values), dtype=torch.bool)
    chosen[order[before < round(share * len(ids))]] = True
    drawn = chosen[group_index]
    return ids[~drawn], ids[drawn]
