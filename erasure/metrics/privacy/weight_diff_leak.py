"""What the change of the weights says about the samples that were forgotten."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from erasure.core.context import EvalContext, Who
from erasure.core.errors import UnsupportedError
from erasure.core.metric import Parts, Value, share
from erasure.core.pool import Inputs
from erasure.core.splits import View
from erasure.core.values import Meaning, MetricValue, NotComputableError
from erasure.evaluation.signals import require_multiclass
from erasure.models.layers import head


@dataclass(frozen=True, kw_only=True)
class WeightDiffLeak:
    """Labels and inputs of the forget set, read from two sets of weights alone.

    ``label_correlation`` is that of the drop of each class's bias in the head, from the original
    to the model, with how much more frequent the class is in the forget set than in the retain
    set; without a bias it is the drop of the mean weight. ``input_cosine``, for networks whose
    first layer is linear, is the cosine, sign aside, between the direction of inputs along which
    that layer changed most and the difference of the mean inputs of forget and retain set. The
    retrained model leaks as well and is what to compare with; the extras have what a random
    direction gives. The original has no values.

    References:
        H. Hu et al., "Learn What You Want to Unlearn: Unlearning Inversion Attacks against
        Machine Unlearning", S&P 2024, arXiv:2404.03233; M. Bertran et al., "Reconstruction
        Attacks on Machine Unlearning: Simple Models are Vulnerable", NeurIPS 2024,
        arXiv:2405.20272.
    """

    subjects: ClassVar[tuple[Who, ...]] = ("unlearned", "gold")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        labels = Meaning(
            direction="closer_to_gold",
            low=-1.0,
            high=1.0,
            description="Correlation over classes of the drop of the head's bias with the share "
            "of the class among forget samples.",
        )
        inputs = share(
            "closer_to_gold",
            "Cosine between the main change of the first layer and the mean forget sample.",
        )
        return {
            "weight_diff_leak/label_correlation": Value(labels, _labels),
            "weight_diff_leak/input_cosine": Value(inputs, _inputs),
        }


def _labels(ctx: EvalContext) -> MetricValue:
    _require_two_models(ctx)
    require_multiclass(ctx)
    before, after = (_class_weight(ctx.models[who]) for who in ("original", ctx.subject))
    drop = before - after
    if len(drop) != ctx.num_classes:
        raise NotComputableError("skipped", "no_head")
    forget, retain = (
        ctx.targets(part).bincount(minlength=ctx.num_classes) / len(ctx.targets(part))
        for part in ("forget", "retain")
    )
    excess = (forget - retain).double()
    value = correlation(drop, excess)
    # The standard deviation of a correlation of C pairs that have nothing to do with each other.
    null_sd = 1 / math.sqrt(ctx.num_classes - 1)
    extras = {"null_sd": null_sd, "top_class_found": bool(drop.argmax() == excess.argmax())}
    return MetricValue(value=value, n=ctx.num_classes, extras=extras)


def _inputs(ctx: EvalContext) -> MetricValue:
    _require_two_models(ctx)
    first = ctx.splits.forget.pool.fetch(ctx.splits.forget.index[:1])
    before, after = (_first_layer(ctx.models[who], first) for who in ("original", ctx.subject))
    change = (before - after).double().cpu()
    if not change.any():
        raise NotComputableError("degenerate", "equal_weights")
    difference = _mean_input(ctx, ctx.splits.forget) - _mean_input(ctx, ctx.splits.retain)
    if not difference.any():
        raise NotComputableError("degenerate", "equal_means")
    # The gradient of a linear layer is a sum of inputs times errors: its main direction is one
    # of inputs. A singular vector has no sign.
    direction = torch.linalg.svd(change, full_matrices=False).Vh[0]
    value = torch.cosine_similarity(direction, difference, dim=0).abs().clamp_max(1.0).item()
    size = len(difference)
    # E|cos| of a random direction in d dimensions, from the ratio of two gamma functions.
    log_ratio = math.lgamma(size / 2) - math.lgamma((size + 1) / 2)
    extras = {"null_mean": math.exp(log_ratio) / math.sqrt(math.pi)}
    return MetricValue(value=value, n=size, extras=extras)


def _require_two_models(ctx: EvalContext) -> None:
    if "original" not in ctx.models:
        raise NotComputableError("skipped", "missing_original")
    ctx.logits("forget")  # refuses a broken model


def correlation(left: Tensor, right: Tensor) -> float:
    """Return Pearson's correlation of two vectors ``(n,)``.

    Raises:
        NotComputableError: If one of them is constant.
    """
    sides = [value.double() - value.double().mean() for value in (left, right)]
    # torch.corrcoef would give NaN, or noise, for a constant vector.
    scale = float(torch.stack(sides).square().sum(dim=1).sqrt().prod().item())
    if scale < 1e-12:
        raise NotComputableError("degenerate", "constant")
    product: float = (sides[0] @ sides[1]).item()
    return max(-1.0, min(1.0, product / scale))


def _class_weight(model: nn.Module) -> Tensor:
    last = _head(model)
    weight = last.weight.mean(dim=1) if last.bias is None else last.bias
    return weight.detach().double().cpu()


def _head(model: nn.Module) -> nn.Linear:
    try:
        return head(model)[1]
    except UnsupportedError as error:  # an ensemble has several, and several first layers
        raise NotComputableError("skipped", "no_head") from error


def _first_layer(model: nn.Module, sample: Inputs) -> Tensor:
    """Return the weight ``(H, D)`` of a first layer that sees whole samples of D numbers."""
    _head(model)
    weight = next((p for p in model.parameters() if p.ndim >= 2), None)
    tensor = isinstance(sample, Tensor) and sample.is_floating_point()
    if weight is None or not tensor or weight.ndim != 2 or weight.shape[1] != sample.numel():
        raise NotComputableError("skipped", "needs_linear_first_layer")
    return weight.detach()


def _mean_input(ctx: EvalContext, view: View) -> Tensor:
    sums = [
        batch.inputs.double().flatten(1).sum(dim=0).cpu() for batch in view.batches(ctx.batch_size)
    ]
    return torch.stack(sums).sum(dim=0) / len(view)
