"""Regularized logistic regression in float64: training, and removal of samples by Newton steps."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Samples of linear classifiers.

    Args:
        inputs: ``(n, d)`` float64.
        signs: 1 where a sample belongs to a class, -1 elsewhere, ``(n, C)``.
    """

    inputs: Tensor
    signs: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def __add__(self, other: "Rows") -> "Rows":
        inputs, signs = (self.inputs, other.inputs), (self.signs, other.signs)
        return Rows(torch.cat(inputs), torch.cat(signs))

    def cut(self, count: int) -> tuple["Rows", "Rows"]:
        """Return the first ``count`` rows and the rest."""
        first = Rows(self.inputs[:count], self.signs[:count])
        return first, Rows(self.inputs[count:], self.signs[count:])

    def slope(self, weight: Tensor, lam: float) -> Tensor:
        """Return the gradient ``(C, d)`` of the losses and penalties of these rows, summed.

        A row contributes ``(sigmoid(y w x) - 1) y x + lam w`` to its classifier ``w``.
        """
        outer = (torch.sigmoid(self.signs * (self.inputs @ weight.T)) - 1.0) * self.signs
        return outer.T @ self.inputs + lam * len(self) * weight


def train(rows: Rows, noise: Tensor, lam: float, rounds: int) -> Tensor:
    """Return the classifiers ``(C, d)`` that minimize loss, penalty and ``noise`` (C, d) times w.

    Args:
        rows: The samples.
        noise: Linear term of the objective.
        lam: Strength of the penalty per row.
        rounds: Most iterations of L-BFGS.
    """
    weight = torch.zeros_like(noise, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight],
        max_iter=rounds,
        tolerance_grad=1e-12,
        tolerance_change=0.0,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            losses = F.softplus(-rows.signs * (rows.inputs @ weight.T)).sum()
            penalty = 0.5 * lam * len(rows) * weight.square().sum()
            loss = (losses + penalty + (noise * weight).sum()) / len(rows)
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach()


def residual(weight: Tensor, rows: Rows, noise: Tensor, lam: float) -> float:
    """Return the norm of the gradient that training left, all classifiers together."""
    return float((rows.slope(weight, lam) + noise).norm())


def remove(weight: Tensor, gone: Rows, kept: Rows, lam: float) -> tuple[Tensor, float]:
    """Take one Newton step that removes ``gone``.

    Returns:
        The classifiers ``(C, d)``, and a bound on the norm of the gradient on ``kept`` that the
        step adds, all classifiers together: the root of the sum of squares of
        ``|X| |step| |X step| / 4`` with the spectral norm of the kept inputs X.
    """
    wanted = gone.slope(weight, lam)
    share = torch.sigmoid(kept.inputs @ weight.T)
    curvature = share * (1.0 - share)
    ridge = lam * len(kept) * torch.eye(weight.shape[1]).to(weight)
    step = torch.stack(
        [
            torch.linalg.solve((kept.inputs * column[:, None]).T @ kept.inputs + ridge, slope)
            for column, slope in zip(curvature.T, wanted, strict=True)
        ]
    )
    spectral = torch.linalg.eigvalsh(kept.inputs.T @ kept.inputs)[-1].clamp(min=0.0).sqrt()
    bounds = spectral * step.norm(dim=1) * (kept.inputs @ step.T).norm(dim=0) / 4.0
    return weight + step, float(bounds.norm())
