"""SCRUB+R: rewind SCRUB to the epoch that forgot as much as unseen data would have it."""

import copy
from dataclasses import dataclass, replace

from torch import nn

from erasure.core.errors import UnsupportedError
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.scoring import accuracy
from erasure.unlearners.scrub import Scrub


@dataclass(frozen=True, kw_only=True)
class ScrubR:
    r"""Run SCRUB, keep the weights of every epoch, and return the best of them.

    The target is the error of the *last* model on validation samples whose labels occur in the
    forget set. With :math:`e = 0` for the original, the model of the epoch
    :math:`\arg\min_e |error_{forget}(e) - target|` is returned.

    Args:
        scrub: The method that is rewound; E epochs keep E + 1 copies of the weights.

    Passes:
        ``msteps`` + E + 2 over forget, E + 1 over retain.

    Deviations:
        Among equally close epochs the last wins, in the authors' code the first (often the
        original).

    References:
        M. Kurmanji, P. Triantafillou, J. Hayes and E. Triantafillou, "Towards Unbounded Machine
        Unlearning", NeurIPS 2023, arXiv:2302.09880.

    Notes:
        Among epochs that are equally close the last is taken, in the authors' code the first:
        at a tie the original would otherwise win over every epoch that did something.
        If the original alone is closest it is returned, and the trial fails as one without
        effect; more epochs or maximizing passes (``scrub.msteps``) are then needed.
        With several labels per sample, the labels of a validation sample occur in the forget set
        if the same set of labels does.
    """

    scrub: Scrub

    def __call__(self, task: UnlearningTask) -> nn.Module:
        unseen = _alike(task.val, task.forget)
        weights = [copy.deepcopy(task.model.state_dict())]
        errors = [1.0 - accuracy(task.model, task.forget)]

        def keep(step: int, of: int, **values: float) -> None:
            weights.append(copy.deepcopy(task.model.state_dict()))
            errors.append(1.0 - accuracy(task.model, task.forget))
            task.report(step, of, forget_error=errors[-1], **values)

        model = self.scrub(replace(task, report=keep))
        target = 1.0 - accuracy(model, unseen)
        gaps = [abs(error - target) for error in errors]
        # Closest to the target; among equals the last, which has forgotten longest. Index 0 is the
        # original itself.
        chosen = max(range(len(gaps)), key=lambda epoch: (-gaps[epoch], epoch))
        model.load_state_dict(weights[chosen])
        return model


def _alike(val: View, forget: View) -> View:
    """Return the samples of ``val`` whose labels occur in ``forget``."""
    labels = forget.targets.unique(dim=0)
    # (n, K, labels per sample): all labels of a sample have to agree where there are several.
    same = (val.targets[:, None] == labels[None]).reshape(len(val), len(labels), -1)
    same_labels = val.take(same.all(dim=-1).any(dim=-1))
    if len(same_labels) == 0:
        raise UnsupportedError(
            "scrub_r needs validation samples with labels of the forget set, and there are none; "
            "use a larger validation set (split.base.val) or unlearner=scrub"
        )
    return same_labels
