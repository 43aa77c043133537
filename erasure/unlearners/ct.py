"""Convolution transpose: mirror every kernel, then train on."""

from dataclasses import dataclass

import torch
from torch import nn

from erasure.core.errors import UnsupportedError
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import shuffled


@dataclass(frozen=True, kw_only=True)
class ConvolutionTranspose:
    r"""Swap the two spatial axes of every square kernel and train on the retain set.

    :math:`W_{oixy} \leftarrow W_{oiyx}`, then fine-tuning. The forget set is never read. Kernels
    of one pixel, norms and the head are left as they are.

    Args:
        fit: Optimizer, epochs and batch size; no epochs leave the swap alone, which twice is
            nothing.

    Passes:
        0 over forget, E over retain.

    Deviations:
        Refuses models without square kernels larger than 1 x 1.

    References:
        X. F. Cadet et al., "Deep Unlearn: Benchmarking Machine Unlearning for Image
        Classification", arXiv:2410.01276, for a method of the NeurIPS 2023 unlearning
        competition (fifth: toshi_k and marvelworld; E. Triantafillou et al., arXiv:2406.09073).
    """

    fit: Fit

    def __call__(self, task: UnlearningTask) -> nn.Module:
        layers = _mirrored(task.model)
        if not layers:
            raise UnsupportedError(
                "ct needs two-dimensional convolutions with square kernels larger than one "
                "pixel, which this model has not; use unlearner=prmq, rni or finetune"
            )
        with torch.no_grad():
            for layer in layers:
                # (out, in, height, width): the mirror image about the diagonal of each kernel.
                layer.weight.copy_(layer.weight.transpose(2, 3).clone())
        batches = shuffled(
            task.retain, self.fit.batch_size, task.generator, augment=self.fit.augment
        )
        return self.fit(task.model, batches, task.objective, report=task.report)


def _mirrored(model: nn.Module) -> list[nn.Conv2d]:
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return [conv for conv in convolutions if conv.kernel_size[0] == conv.kernel_size[1] > 1]
