"""The table at the end of a trial."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from erasure.core.errors import TrackingError
from erasure.results.outage import outage
from erasure.results.record import TrialResult
from erasure.results.tracker import Tracker

ROWS = (
    ("forget accuracy", "forget/accuracy", "percent"),
    ("retain accuracy", "retain/accuracy", "percent"),
    ("validation accuracy", "val/accuracy", "percent"),
    ("test accuracy", "test/accuracy", "percent"),
    ("loss-MIA AUC", "mia/loss/auc", "number"),
    ("average gap to gold", "gap/avg", "number"),
)


def show_result(result: TrialResult, console: Console) -> None:
    """Print the models of a trial side by side."""
    metrics = result.metrics
    table = Table(title=result.trial.name, title_justify="left", title_style="bold")
    table.add_column("")
    for heading in ("original", "unlearned", "retrained gold"):
        table.add_column(heading, justify="right")
    for label, name, style in ROWS:
        cells = [metrics.get(f"{who}{name}") for who in ("original/", "", "gold/")]
        if any(cell is not None for cell in cells):
            table.add_row(label, *(_cell(cell, style) for cell in cells))
    _add_costs(table, metrics)
    console.print(table)
    console.print(
        "[dim]Unlearning succeeds when the middle column looks like the right one: the model "
        "that never saw the forget set.[/dim]"
    )


def show_address(tracker: Tracker, console: Console) -> None:
    """Print how to look at the runs, if they are tracked anywhere: a command, then a page."""
    problem, lines = outage(tracker), ("", "")
    if not problem:
        try:
            lines = (tracker.address(), tracker.page())
        except TrackingError as error:
            problem = str(error)
    if problem:
        console.print(Text(f"the runs cannot be looked at now: {problem}"), style="yellow")
    if lines[0]:
        console.print("\nto look at the runs:")
        for line in dict.fromkeys(lines):  # a server has a page and needs no command
            console.print(Text(f"  {line}"), soft_wrap=True)


def _add_costs(table: Table, metrics: Mapping[str, float]) -> None:
    seconds = [metrics.get(f"cost/{name}_seconds") for name in ("original", "unlearn", "retrain")]
    table.add_section()
    table.add_row("seconds", *(_cell(value, "seconds") for value in seconds))
    if "cost/speedup" in metrics:
        table.add_row("speed-up over retraining", "", f"{metrics['cost/speedup']:.1f}x", "1.0x")


def _cell(value: float | None, style: str) -> str:
    if value is None:
        return "-"
    if style == "percent":
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if style == "seconds" else f"{value:.3f}"
