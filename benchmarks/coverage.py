"""How often the intervals that are printed hold the truth, by simulation with known truth.

    python benchmarks/coverage.py

Every case draws data whose truth is known, asks the code that measures trials for its interval,
and counts. The table of docs/metrics.md is what this prints; it takes four minutes.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Generator, Tensor

from erasure.core.seeding import stream
from erasure.evaluation.attacks.unlearning_attack import UnlearningAttack
from erasure.evaluation.attacks.values import attack_auc, attack_tpr, balanced_accuracy
from erasure.evaluation.statistics.estimates import mean, mean_of_draws, proportion, t_quantile
from erasure.evaluation.statistics.low_fpr import null_rate
from erasure.metrics.privacy.umia_lr import AttackSides, kfold_values, starting_kit

SIZES = (30, 130, 1000)
NORMAL = NormalDist()

Draw = Callable[[int, Generator], tuple[float, float, float]]
"""Draws data of a size and returns value, low and high end."""


@dataclass(frozen=True)
class Case:
    """An interval, and data of which its truth is known.

    Args:
        name: What is measured, on what.
        draw: Measures once.
        truth: By size; None takes the mean of the values, where the truth has no closed form.
        repeats: How often it is measured.
        sizes: Samples a side.
    """

    name: str
    draw: Draw
    truth: Callable[[int], float] | None = None
    repeats: int = 600
    sizes: tuple[int, ...] = SIZES


def coverage(case: Case, size: int) -> float:
    """Return the share of intervals that hold the truth.

    An interval that is NaN says that nothing is known, and is left out.
    """
    generator = stream(0, "coverage", case.name, str(size))
    drawn = torch.tensor([case.draw(size, generator) for _ in range(case.repeats)]).double()
    truth = case.truth(size) if case.truth is not None else drawn[:, 0].mean().item()
    ends = drawn[~drawn[:, 1].isnan(), 1:]
    inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return inside.double().mean().item()


def normal(size: int, generator: Generator, shift: float = 0.0) -> Tensor:
    """Return normal scores ``(size,)``."""
    return torch.randn(size, generator=generator, dtype=torch.float64) + shift


def exponential(size: int, generator: Generator) -> Tensor:
    """Return losses ``(size,)``."""
    return torch.empty(size, dtype=torch.float64).exponential_(generator=generator)


def auc_case(area: float) -> Case:
    """The AUC of two normal distributions."""
    shift = NORMAL.inv_cdf(area) * math.sqrt(2)

    def draw(size: int, generator: Generator) -> tuple[float, float, float]:
        value = attack_auc(normal(size, generator, shift), normal(size, generator))
        return value.value, value.ci_low, value.ci_high

    return Case(f"AUC of an attack, {area:g}", draw, lambda _: area)


def tpr_case(area: float, fpr: float) -> Case:
    """The true-positive rate at the false-positive rate that the threshold has on average."""
    shift = NORMAL.inv_cdf(area) * math.sqrt(2)

    def draw(size: int, generator: Generator) -> tuple[float, float, float]:
        value = attack_tpr(normal(size, generator, shift), normal(size, generator), fpr)
        return value.value, value.ci_low, value.ci_high

    def truth(size: int) -> float:
        return NORMAL.cdf(shift + NORMAL.inv_cdf(null_rate(fpr, size)))

    return Case(f"TPR at {100 * fpr:g} % FPR, AUC {area:g}", draw, truth, repeats=300)


def rate_case(rate: float) -> Case:
    """An accuracy."""

    def draw(size: int, generator: Generator) -> tuple[float, float, float]:
        hits = int((torch.rand(size, generator=generator) < rate).sum())
        value = proportion(hits, size)
        return value.value, value.ci_low, value.ci_high

    return Case(f"accuracy {rate:g}", draw, lambda _: rate)


def balanced_case(tpr: float, tnr: float) -> Case:
    """The mean of two rates."""

    def draw(size: int, generator: Generator) -> tuple[float, float, float]:
        rates = [
            (torch.rand(size, generator=generator) < rate).double().mean().item()
            for rate in (tpr, tnr)
        ]
        value = balanced_accuracy(rates[0], rates[1], size, size)
        return value.value, value.ci_low, value.ci_high

    return Case(f"balanced accuracy of {tpr:g} and {tnr:g}", draw, lambda _: (tpr + tnr) / 2)


def loss_case(name: str, losses: Callable[[int, Generator], Tensor], truth: float) -> Case:
    """The mean of losses."""

    def draw(size: int, generator: Generator) -> tuple[float, float, float]:
        value = mean(losses(size, generator), low=0.0, high=math.inf)
        return value.value, value.ci_low, value.ci_high

    return Case(f"mean loss, {name}", draw, lambda _: truth)


def draws_case(draws: int) -> Case:
    """The mean of a few random draws, as of relearning."""

    def draw(_: int, generator: Generator) -> tuple[float, float, float]:
        value = mean_of_draws(normal(draws, generator), low=-math.inf, high=math.inf)
        return value.value, value.ci_low, value.ci_high

    return Case(f"mean of {draws} draws", draw, lambda _: 0.0, sizes=(draws,))


def band_case(models: int) -> Case:
    """The gap of two further retrained models, of which the band is to hold 95 %."""

    def draw(_: int, generator: Generator) -> tuple[float, float, float]:
        golds, pair = normal(models, generator), normal(2, generator)
        band = t_quantile(models - 1) * math.sqrt(2) * golds.std().item()
        # The gap is what is random here: the truth is inside if it is below the band.
        gap = (pair[0] - pair[1]).abs().item()
        return gap, gap - band, math.inf if gap <= band else gap - band

    return Case(f"null_band of {models} models", draw, lambda _: 0.0, sizes=(models,))


def umia_case(name: str, strength: float) -> Case:
    """The attack by logistic regression on losses, which are exponential."""

    def draw(size: int, generator: Generator) -> tuple[float, float, float]:
        unseen, forget = (exponential(size, generator) for _ in range(2))
        losses = torch.cat([unseen, forget * math.exp(-strength)])
        sides = AttackSides(losses, torch.arange(2 * size) >= size)
        if name == "starting_kit":
            value = starting_kit(sides)
        else:
            value = kfold_values(sides)[f"umia_lr/{name}"]
        return value.value, value.ci_low, value.ci_high

    kind = "nothing to find" if strength == 0 else "something to find"
    # Under the null the truth is 0.5; else it is that of as many samples, which has no formula.
    truth = (lambda _: 0.5) if strength == 0 else None
    return Case(f"umia_lr/{name}, {kind}", draw, truth, repeats=100)


def ulira_case(models: int, shift: float) -> Case:
    """U-LiRA: samples of their own level, models with an effect of their own."""

    def draw(size: int, generator: Generator) -> tuple[float, float, float]:
        level = 3 * normal(size, generator)
        moved = shift * normal(size, generator).abs()

        def side(by: Tensor) -> Tensor:
            noise = torch.randn(models, size, generator=generator, dtype=torch.float64)
            effect = torch.randn(models, 1, generator=generator, dtype=torch.float64)
            return level + by + noise + effect / 2

        value = UnlearningAttack(side(moved), side(0 * moved), 0).auc({})
        return value.value, value.ci_low, value.ci_high

    kind = "nothing to find" if shift == 0 else "something to find"
    truth = (lambda _: 0.5) if shift == 0 else None
    return Case(f"ulira/auc, {models} models, {kind}", draw, truth, repeats=60, sizes=(30, 130))


CASES = (
    *(auc_case(area) for area in (0.5, 0.76, 0.95)),
    *(tpr_case(area, 0.01) for area in (0.5, 0.76, 0.95)),
    tpr_case(0.95, 0.001),
    *(rate_case(rate) for rate in (0.5, 0.95)),
    *(balanced_case(*rates) for rates in ((0.6, 0.5), (0.99, 0.95))),
    loss_case("exponential", exponential, 1.0),
    loss_case("log-normal", lambda n, g: normal(n, g).exp(), math.exp(0.5)),
    *(umia_case(name, s) for name in ("auc", "accuracy", "starting_kit") for s in (0.0, 1.0)),
    *(draws_case(draws) for draws in (3, 5)),
    *(band_case(models) for models in (5, 20)),
    *(ulira_case(models, shift) for models in (8, 16) for shift in (0.0, 0.5)),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    only = parser.parse_args().only
    print("| interval | 30 | 130 | 1,000 |")
    print("| --- | --- | --- | --- |")
    for case in CASES:
        if only in case.name:
            shares = {size: f"{100 * coverage(case, size):.0f} %" for size in case.sizes}
            # A case of few models or draws has one size, which its name says.
            cells = (
                [shares.get(size, "") for size in SIZES]
                if len(shares) > 1
                else [*shares.values(), "", ""]
            )
            print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
