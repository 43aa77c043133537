"""Pictures of one trial: losses, the attack on them, and training curves."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.values import NotComputableError
from erasure.evaluation.attacks.nonmembers import attack_losses, non_members
from erasure.evaluation.attacks.values import LOW_FPR
from erasure.evaluation.evaluator import SUBJECTS
from erasure.evaluation.statistics.roc import auc, roc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Values by name, one ``(step, value)`` per step."""

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#777777"
"""From the palette of Okabe and Ito, which color-blind readers can tell apart."""

STYLES: Mapping[Who, tuple[str, str]] = {
    "original": (ORANGE, "--"),
    "unlearned": (BLUE, "-"),
    "gold": (GREEN, "-."),
}
"""Color and line of each role, so that a copy in gray still reads."""

TITLES: Mapping[Who, str] = {
    "original": "original",
    "unlearned": "unlearned",
    "gold": "retrained (gold)",
}

LOSS_FLOOR = 1e-6
"""Smaller losses are drawn here: on a logarithmic axis zero has no place."""

Sides = tuple[Tensor, Tensor]


def write_pictures(ctx: EvalContext, curves: Curves, folder: Path) -> list[Path]:
    """Write every picture there are data for into ``folder`` and return the paths."""
    figures = {"loss_histograms": loss_histograms(ctx), "loss_attack_roc": roc_curves(ctx)}
    if curves:
        figures["training_curves"] = training_curves(curves)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=100)
    return paths


def loss_histograms(ctx: EvalContext) -> "Figure":
    """Draw the losses of forget and held-out samples under each role, on shared bins."""
    sides = {who: _sides(ctx, who) for who in _roles(ctx)}
    figure = _figure(width=4.2 * len(sides), height=3.8)
    edges = _edges([losses for pair in sides.values() if pair for losses in pair])
    floored = edges[0].item() < LOSS_FLOOR
    label = f"loss (below {LOSS_FLOOR:g} in the first bin)" if floored else "loss"
    panels = figure.subplots(1, len(sides), sharex=True, sharey=True, squeeze=False)[0]
    for who, panel in zip(sides, panels, strict=True):
        panel.set(title=TITLES[who], xlabel=label, xscale="log")
        _histogram(panel, sides[who], edges, ctx.heldout)
    panels[0].set_ylabel("share of samples")
    _tidy(panels)
    _legend(figure, panels)
    figure.suptitle(f"Loss of forget and {ctx.heldout} samples of the same classes")
    return figure


def roc_curves(ctx: EvalContext) -> "Figure":
    """Draw the ROC of the loss attack on each role, on linear and on logarithmic axes."""
    figure = _figure(width=9.4, height=4.6)
    linear, log = figure.subplots(1, 2)
    for who in _roles(ctx):
        _attack(linear, log, who, _sides(ctx, who))
    chance = torch.logspace(-6, 0, 50, dtype=torch.float64).numpy()
    for panel in (linear, log):
        panel.plot(chance, chance, color=GRAY, linewidth=1, linestyle=":", label="chance")
        panel.set(xlabel="false-positive rate", ylabel="true-positive rate", aspect="equal")
    linear.set(title="whole curve", xlim=(0, 1.01), ylim=(0, 1.01))
    linear.legend(loc="lower right", frameon=False)
    _mark_resolution(log, _num_non_members(ctx))
    _tidy((linear, log))
    figure.suptitle(f"Loss attack: forget against {ctx.heldout} samples of the same classes")
    return figure


def training_curves(curves: Curves) -> "Figure":
    """Draw each curve in a panel of its own."""
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = _figure(width=max(4.6, 3.8 * columns), height=0.5 + 2.7 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(curves) :]:
        panel.remove()
    for panel, (name, points) in zip(panels, curves.items(), strict=False):
        steps, values = [step for step, _ in points], [value for _, value in points]
        panel.plot(steps, values, color=BLUE, marker="o" if len(points) < 20 else "", markersize=3)
        panel.set(title=name, xlabel="step")
        panel.locator_params(axis="x", integer=True)
    _tidy(panels)
    return figure


def _figure(*, width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    # Not pyplot, whose figures are global and which picks a window system on import.
    return Figure(figsize=(width, height), layout="constrained")


def _tidy(panels: Iterable["Axes"]) -> None:
    """Leave out what costs time and shows nothing: minor ticks, typeset powers, frames."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_locator(NullLocator())
            if axis.get_scale() == "log":
                axis.set_major_locator(LogLocator(numticks=5))
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(figure: "Figure", panels: Iterable["Axes"]) -> None:
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        if handles:  # a panel that could not be computed has none
            figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
            return


def _roles(ctx: EvalContext) -> list[Who]:
    return [who for who in SUBJECTS if who in ctx.models]


def _sides(ctx: EvalContext, who: Who) -> Sides | None:
    try:
        return attack_losses(ctx, who, min_n=1)
    except NotComputableError:
        return None


def _edges(losses: Sequence[Tensor]) -> Tensor:
    # An empty tensor more: there may be no role whose losses could be computed.
    drawn = torch.cat([*losses, torch.empty(0)]).clamp_min(LOSS_FLOOR)
    low, high = (drawn.min().item(), drawn.max().item()) if len(drawn) else (LOSS_FLOOR, 1.0)
    # A margin, so that rounding leaves no loss outside, and a decade at least.
    exponents = math.log10(low * 0.99), math.log10(max(high, 10 * low) * 1.01)
    return torch.logspace(*exponents, 41, dtype=torch.float64)


def _histogram(panel: "Axes", sides: Sides | None, edges: Tensor, heldout: str) -> None:
    if sides is None:
        panel.text(0.5, 0.5, "not computable", transform=panel.transAxes, ha="center")
        return
    looks: tuple[dict[str, Any], ...] = (
        {"label": "forget", "color": BLUE, "histtype": "stepfilled", "alpha": 0.45},
        {"label": heldout, "color": ORANGE, "histtype": "step", "linewidth": 1.6},
    )
    for side, look in zip(sides, looks, strict=True):
        shares = torch.full_like(side, 1 / len(side)).numpy()
        values = side.clamp_min(LOSS_FLOOR).numpy()
        panel.hist(values, bins=edges.tolist(), weights=shares, **look)
    # Minus the loss: a low loss means member.
    panel.set_title(f"AUC {auc(roc(-sides[0], -sides[1])):.3f}", loc="right", fontsize="medium")


def _attack(linear: "Axes", log: "Axes", who: Who, sides: Sides | None) -> None:
    if sides is None:
        return
    curve = roc(-sides[0], -sides[1])
    color, line = STYLES[who]
    label = f"{TITLES[who]}, AUC {auc(curve):.3f}"
    for panel in (linear, log):
        fpr, tpr = curve.fpr.numpy(), curve.tpr.numpy()
        panel.plot(fpr, tpr, color=color, linestyle=line, label=label, linewidth=1.6)


def _num_non_members(ctx: EvalContext) -> int:
    try:
        return len(non_members(ctx))
    except NotComputableError:
        return 0


def _mark_resolution(panel: "Axes", num_non_members: int) -> None:
    # The smallest rate there is above zero; left of it the curve shows nothing.
    finest = 1 / max(num_non_members, 1)
    low = min(finest, LOW_FPR) / 2
    panel.set(title="low false-positive rates", xscale="log", yscale="log")
    panel.set(xlim=(low, 1.05), ylim=(low, 1.05))
    panel.set_xlabel(f"false-positive rate (gray: below 1/{num_non_members}, one alarm)")
    panel.axvspan(low, finest, color=GRAY, alpha=0.15, linewidth=0)
    panel.axvline(LOW_FPR, color="black", linewidth=0.8)
    panel.text(LOW_FPR * 1.1, low * 1.2, "1 %", ha="left", va="bottom")
