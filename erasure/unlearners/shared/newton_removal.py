"""Training of linear classifiers with a noisy objective, and removal of samples by Newton steps.

In a file of its own, since with :mod:`.certified_linear` it would be over 250 lines.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.training.logistic import LogisticObjective, minimize


@dataclass(frozen=True)
class LabelledRows:
    """Samples of linear classifiers.

    Args:
        inputs: ``(n, d)`` float64.
        signs: 1 where a sample belongs to a class, -1 elsewhere, ``(n, C)``.
    """

    inputs: Tensor
    signs: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def __add__(self, other: "LabelledRows") -> "LabelledRows":
        inputs, signs = (self.inputs, other.inputs), (self.signs, other.signs)
        return LabelledRows(torch.cat(inputs), torch.cat(signs))

    def cut(self, count: int) -> tuple["LabelledRows", "LabelledRows"]:
        """Return the first ``count`` rows and the rest."""
        first = LabelledRows(self.inputs[:count], self.signs[:count])
        return first, LabelledRows(self.inputs[count:], self.signs[count:])

    def objective(self, noise: Tensor, lam: float) -> LogisticObjective:
        """Return loss, penalty ``lam`` per row, and ``noise`` (C, d) times w, of all classes."""
        return LogisticObjective(
            rows=self.inputs,
            signs=self.signs.T,
            weights=self.inputs.new_ones(1),
            penalty=self.inputs.new_full((self.inputs.shape[1],), lam * len(self)),
            linear=noise,
        )


def train(rows: LabelledRows, noise: Tensor, lam: float, rounds: int) -> Tensor:
    """Return the classifiers ``(C, d)`` that minimize loss, penalty and ``noise`` (C, d) times w.

    Args:
        rows: The samples.
        noise: Linear term of the objective.
        lam: Strength of the penalty per row.
        rounds: Most Newton steps.
    """
    return minimize(rows.objective(noise, lam), rounds)


def residual(weight: Tensor, rows: LabelledRows, noise: Tensor, lam: float) -> float:
    """Return the norm of the gradient that training left, all classifiers together."""
    return float(rows.objective(noise, lam).slope(weight).norm())


def remove(
    weight: Tensor, gone: LabelledRows, kept: LabelledRows, lam: float
) -> tuple[Tensor, float]:
    """Take one Newton step that removes ``gone``.

    Returns:
        The classifiers ``(C, d)``, and a bound on the norm of the gradient on ``kept`` that the
        step adds, all classifiers together: the root of the sum of squares of
        ``|X| |step| |X step| / 4`` with the spectral norm of the kept inputs X.
    """
    # The noise belongs to no row: it is not removed, and a linear term has no curvature.
    quiet = torch.zeros_like(weight)
    slope = gone.objective(quiet, lam).slope(weight)
    step = kept.objective(quiet, lam).newton_step(weight, slope)
    # The root of the largest eigenvalue of X'X, a d by d matrix, is the spectral norm of X.
    spectral = torch.linalg.eigvalsh(kept.inputs.T @ kept.inputs)[-1].clamp(min=0.0).sqrt()
    bounds = spectral * step.norm(dim=1) * (kept.inputs @ step.T).norm(dim=0) / 4.0
    return weight + step, float(bounds.norm())
