"""A small network that tells members from non-members by features of a prediction."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

BATCH = 256
RATE = 0.005


@dataclass(frozen=True)
class AttackNetwork:
    """One hidden layer between standardized features and the log-odds of being a member.

    Args:
        centre: Subtracted from features, ``(D,)``.
        scale: Features are divided by it, ``(D,)``.
        weights: First layer, its bias, second layer, its bias.
    """

    centre: Tensor
    scale: Tensor
    weights: tuple[Tensor, Tensor, Tensor, Tensor]

    def __call__(self, features: Tensor) -> Tensor:
        """Return the log-odds ``(n,)`` of being a member for features ``(n, D)``."""
        first, first_bias, second, second_bias = self.weights
        hidden = torch.relu((features - self.centre) / self.scale @ first + first_bias)
        return (hidden @ second + second_bias).squeeze(-1)


def fit_attack_network(
    features: Tensor, label: Tensor, *, hidden: int, epochs: int, generator: Generator
) -> AttackNetwork:
    """Train a network by Adam on the cross-entropy; every draw comes from ``generator``.

    Args:
        features: ``(n, D)`` float32.
        label: Who is a member, ``(n,)`` bool.
        hidden: Width of the hidden layer.
        epochs: Passes over the samples.
        generator: Initial weights and order of samples.
    """
    scale = features.std(dim=0)
    width = features.shape[1]
    weights = (
        _normal(width, hidden, generator),
        torch.zeros(hidden, requires_grad=True),
        _normal(hidden, 1, generator),
        torch.zeros(1, requires_grad=True),
    )
    network = AttackNetwork(features.mean(dim=0), scale.where(scale > 0, 1.0), weights)
    optimizer = torch.optim.Adam(weights, lr=RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(features), generator=generator).split(BATCH):
            loss = F.binary_cross_entropy_with_logits(network(features[rows]), label[rows].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for weight in weights:
        weight.requires_grad_(False)
    return network


def _normal(fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """Return weights ``(fan_in, fan_out)`` of variance ``2 / fan_in``, for rectified units."""
    drawn = torch.randn(fan_in, fan_out, generator=generator) * math.sqrt(2 / fan_in)
    return drawn.requires_grad_()
