"""Information that a model holds on the forget set, by the Fisher information."""

import copy
import math
from dataclasses import dataclass

import torch

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Values, amount
from erasure.core.values import MetricValue, NotComputableError
from erasure.training.per_sample.gradients import mean_squared_sample_gradients


@dataclass(frozen=True, kw_only=True)
class EpistemicEfficacy:
    r"""How little the loss of the forget set still depends on the weights.

    ``trace`` is that of the empirical Fisher information,
    :math:`i = \frac{1}{n} \sum_j ||\nabla_\theta \log p(y_j | x_j)||^2` over the forget set, and
    ``efficacy`` is :math:`1 / i`, infinite where every gradient is zero. The gradients are those
    of a copy of the model in eval mode, with respect to the parameters that can be trained.

    Notes:
        The retrained model is what to compare with. A model that predicts nothing has small
        gradients too, and so has one that fits the forget set perfectly: this is no guarantee.

    References:
        A. Becker and T. Liebig, "Evaluating Machine Unlearning via Epistemic Uncertainty", 2022,
        arXiv:2208.10836.
    """

    runs_models = True

    def values(self, parts: Parts) -> Values:
        trace = "Mean squared norm of the gradient of each forget sample's loss."
        efficacy = "One over the trace of the Fisher information of the forget set."
        meanings = {
            "epistemic_efficacy/trace": amount("closer_to_gold", trace),
            "epistemic_efficacy/efficacy": amount("closer_to_gold", efficacy),
        }
        return Values(meanings, self._information)

    def _information(self, ctx: EvalContext) -> dict[str, MetricValue]:
        ctx.logits("forget")  # refuses a missing or broken model
        # A copy: hooks and gradients must not be left on a model that others measure.
        model, forget = copy.deepcopy(ctx.models[ctx.subject]), ctx.splits.forget
        if not any(weight.requires_grad for weight in model.parameters()):
            raise NotComputableError("degenerate", "no_trainable_parameters")
        squares = mean_squared_sample_gradients(model, forget, ctx.task_type.loss)
        trace = torch.stack([value.double().sum() for value in squares.values()]).sum().item()
        if not math.isfinite(trace):
            raise NotComputableError("degenerate", "nonfinite_gradients")
        efficacy = 1 / trace if trace > 0 else math.inf
        return {
            "epistemic_efficacy/trace": MetricValue(value=trace, n=len(forget)),
            "epistemic_efficacy/efficacy": MetricValue(value=efficacy, n=len(forget)),
        }
