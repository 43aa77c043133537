"""The data of a trial, as its split left them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from erasure.core.pool import FittingPool, Pool
from erasure.core.splits import DataSplits, SplitIndices, View


@dataclass(frozen=True, kw_only=True)
class TrialData:
    """The data of a trial, as its split left them.

    Args:
        pool: The data the original is trained on.
        indices: Which samples are in which part.
        retain: What the retrained model is trained on: the training data once the forget set is
            gone, perhaps of a pool in which neighbours or edges are missing.
        evaluated: The data, of the same samples, that models are evaluated on.
        probes: Held-out samples that show what was done to the forget set, by name.
        fingerprint: Hash of the data as they were loaded, before anything was fitted or altered.
    """

    pool: Pool
    indices: SplitIndices
    retain: View
    evaluated: Pool
    probes: Mapping[str, View] = field(default_factory=dict)
    fingerprint: str

    @property
    def train(self) -> View:
        """What the original is trained on: forget and retain, sorted by id."""
        return View(self.pool, self.indices.train)

    @property
    def parts(self) -> DataSplits:
        """Forget, retain, validation and test, as models are evaluated on them."""
        return DataSplits.of(self.evaluated, self.indices, self.probes)

    @property
    def deletes(self) -> bool:
        """Whether samples that stay look different once the forget set is gone."""
        return self.retain.pool is not self.pool


def plain_data(pool: Pool, indices: SplitIndices) -> TrialData:
    """Return the data of a split that divides them and does nothing else.

    Preprocessing that has parameters is fitted on the training samples.
    """
    fitted = pool.fitted(indices.train) if isinstance(pool, FittingPool) else pool
    return TrialData(
        pool=fitted,
        indices=indices,
        retain=View(fitted, indices.retain),
        evaluated=fitted,
        fingerprint=pool.fingerprint,
    )


def altered_data(data: TrialData, pool: Pool, probes: Mapping[str, View]) -> TrialData:
    """Return ``data`` with the pool altered before anything is trained or evaluated on it.

    Args:
        data: As they were divided.
        pool: The same samples, some of them under other labels or with a trigger.
        probes: Held-out samples that show the alteration's effect, by name.
    """
    return TrialData(
        pool=pool,
        indices=data.indices,
        retain=View(pool, data.indices.retain),
        evaluated=pool,
        probes=probes,
        fingerprint=data.fingerprint,
    )
