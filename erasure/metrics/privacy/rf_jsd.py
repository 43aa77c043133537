"""Forgetting measured without a retrained model."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, distance
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.signals import log_probs, require_multiclass
from erasure.evaluation.statistics.divergences import LN2, jensen_shannon


@dataclass(frozen=True, kw_only=True)
class RetrainFreeJSD:
    """Divergence of predictions on forgotten samples from the original's on unseen ones.

    The original never saw the held-out part: what it predicts there, class by class, is what a
    model should predict on the forget set. For each class of the forget set with held-out
    samples, the mean prediction of the subject on the forget samples is compared with that of the
    original on the held-out ones by the Jensen-Shannon divergence; the value is the mean over
    these classes.

    After the removal of a whole class it is misleading: the original knows the class.

    Notes:
        The released code normalizes over the whole matrix and divides by the number of rows once
        more, which makes its values depend on the number of classes.

    References:
        C. Spartalis et al., "LoTUS: Large-Scale Machine Unlearning with a Taste of Uncertainty",
        CVPR 2025, arXiv:2503.18314.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        text = (
            "Divergence of mean predictions per class on the forget set from the original's on "
            f"the {parts.heldout} set."
        )
        return {"rf_jsd/score": Value(distance(text, unit="nats", high=LN2), _score)}


def _score(ctx: EvalContext) -> MetricValue:
    require_multiclass(ctx)
    forget, in_forget = _class_means(log_probs(ctx, "forget"), ctx.targets("forget"))
    unseen = log_probs(ctx, ctx.heldout, "original")
    heldout, in_heldout = _class_means(unseen, ctx.targets(ctx.heldout))
    shared = in_forget & in_heldout
    if not shared.any():
        raise NotComputableError("degenerate", "no_shared_class")
    # A mean that rounds to 0 has the logarithm -inf, which the divergence takes for none.
    values = jensen_shannon(forget[shared].log(), heldout[shared].log())
    names = ctx.splits.forget.pool.class_names
    classes = [names[index] for index in shared.nonzero().squeeze(-1).tolist()]
    extras = {"per_class": dict(zip(classes, values.tolist(), strict=True))}
    return MetricValue(value=values.mean().item(), n=len(classes), extras=extras)


def _class_means(log_p: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean probabilities of each class ``(C, C)``, and which classes occur ``(C,)``."""
    num_classes = log_p.shape[-1]
    sums = log_p.new_zeros(num_classes, num_classes).index_add_(0, targets, log_p.exp())
    counts = targets.bincount(minlength=num_classes)
    return sums / counts.clamp_min(1).unsqueeze(-1), counts > 0
