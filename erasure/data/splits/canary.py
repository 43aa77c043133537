"""Canaries: samples of which a coin decides whether they are trained on, and then forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError
from erasure.core.pool import Pool
from erasure.core.seeding import branch, stream
from erasure.core.splits import SplitIndices, View
from erasure.core.trial_data import TrialData, altered_data, plain_data
from erasure.data.splits.confusion import Relabelled
from erasure.data.splits.difficulty import atypicality
from erasure.data.splits.drawn import amount, check_amount
from erasure.data.splits.forgetting import Forgetting

CanaryKind = Literal["mislabelled", "atypical", "random"]

NEIGHBOURS = 10
"""Samples of each side that decide how atypical a sample is."""

AMONG = 2000
"""Training samples among which these neighbours are looked for."""


@dataclass(frozen=True, kw_only=True)
class CanaryForget(Forgetting):
    """Toss a coin for each of some canaries: train on it and forget it, or never train on it.

    The canaries that the coin puts in are the forget set. The others are in no part: no model of
    the trial is trained on them, and ``canaries_out``, a part that metrics can look at, has them
    as they would have been trained on. ``one_run_audit`` then asks of a single model whether it
    tells the ones from the others. The coins are fair and independent, so that about half of
    the canaries are in and not exactly half: this is what the bound of the audit rests on.

    Attacks that compare the forget set with held-out samples tell wrong labels from right ones
    where canaries are mislabelled; the audit compares canaries with canaries.

    Who is a canary, the coins and the wrong labels are drawn by generators of their own. Val and
    test do not depend on them, nor does the coin or the label of a canary depend on how many
    others there are.

    Args:
        base: The base split.
        duplicates: What to do about copies of canaries; not ``move``, since a copy that is
            forgotten as well had no coin of its own.
        near: When samples count as near copies.
        kind: ``mislabelled`` gives randomly drawn samples a wrong label drawn from the others,
            in the training set or not; these are memorized most. ``atypical`` takes those that
            are closest to other classes, see ``split=difficulty``, under their own labels.
            ``random`` takes any, under their own labels: what an audit finds of ordinary samples.
        fraction: Canaries as a share of the training set, in (0, 1); give this or ``count``.
        count: Number of canaries.

    References:
        T. Steinke, M. Nasr, M. Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS
        2023, arXiv:2305.08846; wrong labels stand for the most vulnerable samples in M. Aerni,
        J. Zhang, F. Tramèr, "Evaluations of Machine Learning Privacy Defenses are Misleading",
        CCS 2024, arXiv:2404.17399.
    """

    kind: CanaryKind = "mislabelled"
    fraction: float | None = 0.1
    count: int | None = None

    def validate(self) -> None:
        """Refuse unknown kinds, amounts out of range, and copies that become canaries."""
        if self.kind not in get_args(CanaryKind):
            raise ConfigError(
                f"kind must be {' or '.join(get_args(CanaryKind))}, got {self.kind!r}"
            )
        check_amount(self.fraction, self.count)
        if self.duplicates == "move":
            raise ConfigError(
                "duplicates must be ignore, warn or error for canaries, got 'move': a copy that "
                "is forgotten as well had no coin of its own"
            )

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Return all canaries, in or out; a larger fraction contains a smaller one."""
        size = amount(self.fraction, self.count, len(train))
        train = train.sort().values
        order = train[torch.randperm(len(train), generator=branch(generator, "canaries"))]
        if self.kind == "atypical":
            scores = atypicality(pool, train, order[:AMONG], NEIGHBOURS)
            order = train[scores.argsort(stable=True, descending=True)]
        return order[:size]

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split ``pool``, then toss the coins.

        Raises:
            ConfigError: If all canaries are in, or all are out.
        """
        indices = super().__call__(pool, generator)
        canaries = indices.forget
        # one coin for every sample of the pool: that of a canary does not depend on the others
        coins = torch.rand(len(pool.targets), generator=branch(generator, "coins")) < 0.5
        forget, out = canaries[coins[canaries]], canaries[~coins[canaries]]
        if min(len(forget), len(out)) == 0:
            setting = "fraction" if self.count is None else "count"
            raise ConfigError(
                f"{setting} makes {len(canaries)} canaries, of which the coins put {len(forget)} "
                f"in the training set and {len(out)} out of it; make more"
            )
        scenario = {
            "kind": "canary",
            "canaries": self.kind,
            "out": out.tolist(),
            "seed": generator.initial_seed(),
        }
        return replace(indices, forget=forget, scenario=scenario)

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Divide ``pool``, then give mislabelled canaries their labels.

        The probe ``canaries_out`` has the canaries that nothing was trained on.
        """
        data = plain_data(pool, self(pool, generator))
        probes = canaries_out(data.pool, data.indices)
        return altered_data(data, with_canaries(data.pool, data.indices), probes)


def with_canaries(pool: Pool, indices: SplitIndices) -> Pool:
    """Return ``pool`` with the labels of all canaries, in or out, as ``indices.scenario`` says."""
    if indices.scenario["canaries"] != "mislabelled":
        return pool
    targets = pool.targets.cpu()
    labels = stream(indices.scenario["seed"], "labels")
    wrong = pool.task_type.wrong_labels(targets, pool.num_classes, labels)
    ids = torch.cat([indices.forget, _out(indices)])
    return Relabelled(pool, targets.index_copy(0, ids, wrong[ids]).to(pool.targets.device))


def canaries_out(pool: Pool, indices: SplitIndices) -> Mapping[str, View]:
    """Return the canaries that nothing was trained on, under the labels they would have had."""
    return {"canaries_out": View(with_canaries(pool, indices), _out(indices))}


def _out(indices: SplitIndices) -> Tensor:
    return torch.tensor(indices.scenario["out"], dtype=torch.int64)
