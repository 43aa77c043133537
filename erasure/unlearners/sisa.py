"""SISA: train again only what has seen the forget set."""

from dataclasses import dataclass

from torch import nn

from erasure.core.errors import UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.task import UnlearningTask
from erasure.training.sharded import Ensemble


@dataclass(frozen=True, kw_only=True)
class SISA:
    """Train the ensemble of ``trainer=sharded`` on the retain set, from its checkpoints.

    The result is, bit for bit, the ensemble trained without the forget set. Members whose shard
    holds none of it stay as they are; the others are trained again from the first slice that
    does. With a forget set of many random samples that is nearly everything.

    Passes:
        0 over forget, share of E over retain.

    Deviations:
        Shards by a seeded permutation of ids; gold is the same model, so the speed-up over
        retraining is 1 by construction.

    References:
        L. Bourtoule et al., "Machine Unlearning", IEEE S&P 2021, arXiv:1912.03817.

    Notes:
        The work is that of the trainer, so the gold model of the same trial is the same model,
        and the time to retrain it is the time of this method. What the retain set is said to be
        read is the number of sample visits over its size, rounded.
    """

    def __call__(self, task: UnlearningTask) -> nn.Module:
        if not isinstance(task.model, Ensemble):
            raise UnsupportedError(
                "sisa needs an original that was trained in shards and slices; use "
                "trainer=sharded, or unlearner=retrain with any other trainer"
            )
        # The store returns untouched shards as they are; what differs was trained again.
        before = _fingerprints(task.model)
        ensemble = task.train(task.retain)
        changed = sum(a != b for a, b in zip(before, _fingerprints(ensemble), strict=True))
        task.report(1, 1, shards_retrained=float(changed))
        return ensemble


def _fingerprints(ensemble: nn.Module) -> list[str]:
    return [model_fingerprint(member) for member in ensemble.get_submodule("members").children()]
