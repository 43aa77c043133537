"""What a task's labels mean: losses and divergences that fit them, one value per sample."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Logits ``(B, C)`` and targets ``(B,)`` to one loss per sample ``(B,)``."""


class TaskType(Protocol):
    """The part of a task that depends on the kind of its labels.

    ``C`` is the number of classes, or of labels that are each on or off. Everything returns one
    value per sample; whoever takes a mean says so.
    """

    @property
    def name(self) -> str:
        """Short name, used in messages and tags."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss of each sample, ``(B, C)`` and targets to ``(B,)``."""

    def soft_loss(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """Return the loss against the predictions of ``teacher`` logits ``(B, C)``, ``(B,)``."""

    def predictive_kl(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """Return ``T^2 KL(teacher || student)`` per sample, ``(B, C)`` twice to ``(B,)``."""

    def uniform_kl(self, logits: Tensor) -> Tensor:
        """Return ``KL(uniform || prediction)`` of each sample, ``(B,)``."""

    def entropy(self, logits: Tensor) -> Tensor:
        """Return the entropy of each prediction in nats, ``(B,)``."""

    def log_probs(self, logits: Tensor) -> Tensor:
        """Return log-probabilities ``(..., L, K)`` of L independent choices of K outcomes each."""

    def predicted(self, logits: Tensor) -> Tensor:
        """Return the likeliest targets, int64 and shaped as targets are."""

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return whether each sample is predicted correctly, ``(B,)`` bool."""

    def indicators(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return which classes each sample has, ``(B, C)`` bool."""

    def average(self, logits: Tensor) -> Tensor:
        """Return logits of the mean prediction of K models, ``(K, B, C)`` to ``(B, C)``."""

    def any_labels(self, targets: Tensor, num_classes: int, generator: Generator) -> Tensor:
        """Return random labels shaped like ``targets``, the true ones allowed."""

    def wrong_labels(self, targets: Tensor, num_classes: int, generator: Generator) -> Tensor:
        """Return random labels shaped like ``targets``, each different from the true one."""

    def label_expectation(self, logits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every label as ``(weight, loss)``, each ``(B,)``.

        Weights are the model's own probabilities, detached; a quantity summed over what is
        yielded is its expectation under the model's own labels. For labels that are independent
        of one another each is expected by itself, and the weights sum to their number.
        """


@dataclass(frozen=True)
class Multiclass:
    """Exactly one of C classes per sample; logits ``(B, C)``, targets ``(B,)`` int64."""

    name: str = "multiclass"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each sample."""
        return F.cross_entropy(logits, targets, reduction="none")

    def soft_loss(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """Return the cross-entropy against the teacher's softmax, both at ``temperature``."""
        target = F.softmax(teacher / temperature, dim=-1)
        return F.cross_entropy(logits / temperature, target, reduction="none")

    def predictive_kl(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """Return ``T^2 KL(softmax(teacher / T) || softmax(student / T))`` of each sample.

        The factor keeps the size of the gradient independent of the temperature (Hinton et al.,
        "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531).
        """
        log_p = F.log_softmax(teacher / temperature, dim=-1)
        log_q = F.log_softmax(student / temperature, dim=-1)
        return temperature**2 * _kl(log_p, log_q)

    def uniform_kl(self, logits: Tensor) -> Tensor:
        """Return ``-log C - mean_c log p_c``."""
        classes = logits.shape[-1]
        log_p = F.log_softmax(logits, dim=-1)
        return _kl(torch.full_like(log_p, 1.0 / classes).log(), log_p)

    def entropy(self, logits: Tensor) -> Tensor:
        """Return ``-sum_c p_c log p_c``."""
        log_p = F.log_softmax(logits, dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1)

    def log_probs(self, logits: Tensor) -> Tensor:
        """Return one choice of C outcomes, ``(..., 1, C)``."""
        return F.log_softmax(logits, dim=-1).unsqueeze(-2)

    def predicted(self, logits: Tensor) -> Tensor:
        """Return the class with the largest logit."""
        return logits.argmax(dim=-1)

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return whether the largest logit is the target's."""
        return self.predicted(logits) == targets

    def indicators(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return one true value per row."""
        return F.one_hot(targets, num_classes).bool()

    def average(self, logits: Tensor) -> Tensor:
        """Return the logarithm of the mean softmax."""
        # log(sum_k p_k / K) without leaving logarithms
        return F.log_softmax(logits, dim=-1).logsumexp(dim=0) - math.log(len(logits))

    def any_labels(self, targets: Tensor, num_classes: int, generator: Generator) -> Tensor:
        """Return labels uniform over all classes."""
        # drawn on the CPU, where the generator is: every device gets the same labels
        drawn = torch.randint(num_classes, tuple(targets.shape), generator=generator)
        return drawn.to(targets.device)

    def wrong_labels(self, targets: Tensor, num_classes: int, generator: Generator) -> Tensor:
        """Return labels uniform over the other classes."""
        # a step of 1 to C - 1 around the circle of classes never ends where it began
        step = torch.randint(1, num_classes, tuple(targets.shape), generator=generator)
        return (targets + step.to(targets.device)) % num_classes

    def label_expectation(self, logits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every class with its probability and the cross-entropy of being it."""
        log_p = F.log_softmax(logits, dim=-1)
        for label in range(logits.shape[-1]):
            yield log_p[:, label].detach().exp(), -log_p[:, label]


@dataclass(frozen=True)
class Multilabel:
    """Any number of C labels per sample; logits ``(B, C)``, targets ``(B, C)`` of 0 and 1.

    The loss is the mean over labels, which is what learning rates are meant for.
    """

    name: str = "multilabel"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross-entropy of each sample, mean over its labels."""
        return F.binary_cross_entropy_with_logits(
            logits, targets.to(logits.dtype), reduction="none"
        ).mean(dim=-1)

    def soft_loss(self, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """Return the cross-entropy against the teacher's probabilities, summed over labels.

        It is a sum as :meth:`predictive_kl` is, which is ``T^2`` times it but for a constant.
        """
        target = torch.sigmoid(teacher / temperature)
        return F.binary_cross_entropy_with_logits(
            logits / temperature, target, reduction="none"
        ).sum(dim=-1)

    def predictive_kl(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """Return ``T^2`` times the sum over labels of the divergence of Bernoulli variables."""
        log_p, log_q = _bernoulli(teacher / temperature), _bernoulli(student / temperature)
        return temperature**2 * _kl(log_p, log_q).sum(dim=-1)

    def uniform_kl(self, logits: Tensor) -> Tensor:
        """Return the sum over labels of ``KL(Bernoulli(1/2) || prediction)``."""
        log_q = _bernoulli(logits)
        return _kl(torch.full_like(log_q, 0.5).log(), log_q).sum(dim=-1)

    def entropy(self, logits: Tensor) -> Tensor:
        """Return the sum over labels of the entropy of each."""
        log_p = _bernoulli(logits)
        return -(log_p.exp() * log_p).sum(dim=(-2, -1))

    def log_probs(self, logits: Tensor) -> Tensor:
        """Return C choices between off and on, ``(..., C, 2)``."""
        return _bernoulli(logits)

    def predicted(self, logits: Tensor) -> Tensor:
        """Return which labels have a probability above one half."""
        return (logits > 0).long()

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return whether every label is predicted correctly at the threshold one half."""
        return (self.predicted(logits) == targets).all(dim=-1)

    def indicators(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return the labels that are on."""
        del num_classes  # there is a column for each
        return targets.bool()

    def average(self, logits: Tensor) -> Tensor:
        """Return the log-odds of the mean probability of each label."""
        # both sums lack the factor 1 / K, which cancels in the difference
        off, on = _bernoulli(logits).logsumexp(dim=0).unbind(dim=-1)
        return on - off

    def any_labels(self, targets: Tensor, num_classes: int, generator: Generator) -> Tensor:
        """Return labels each drawn with its frequency in ``targets``.

        Drawing every label with probability one half would make label sets that do not occur.
        """
        drawn = torch.rand((len(targets), num_classes), generator=generator)
        frequency = targets.double().mean(dim=0).to(drawn)
        return (drawn < frequency).to(targets)

    def wrong_labels(self, targets: Tensor, num_classes: int, generator: Generator) -> Tensor:
        """Return :meth:`any_labels`, with one label flipped where they hit the true set."""
        drawn = self.any_labels(targets, num_classes, generator)
        column = torch.randint(num_classes, (len(targets), 1), generator=generator)
        column = column.to(targets.device)
        hit = (drawn == targets).all(dim=-1, keepdim=True)
        flipped = drawn.scatter(1, column, 1 - drawn.gather(1, column))
        return torch.where(hit, flipped, drawn)

    def label_expectation(self, logits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each label on and off, with the share of the loss that it has."""
        labels = logits.shape[-1]
        log_p = _bernoulli(logits)
        for label in range(labels):
            for value in (0, 1):
                chosen = log_p[:, label, value]
                yield chosen.detach().exp(), -chosen / labels


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    # a probability that underflows adds 0: its logarithm is finite wherever logits are
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def _bernoulli(logits: Tensor) -> Tensor:
    """Return log-probabilities of off and on, ``(B, C, 2)``."""
    # log(1 - sigmoid(z)) is logsigmoid(-z), which loses no digits where sigmoid(z) rounds to 1
    return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=-1)
