"""The command line: ``python -m multirun_analysis``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multirun_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from multirun_analysis.read.frame import Results

COMMANDS = ("leaderboard", "compare", "best", "report")
EXAMPLES = """examples:
  python -m multirun_analysis                              the last sweep's leaderboard
  python -m multirun_analysis --experiment mine            all trials of an experiment
  python -m multirun_analysis compare scrub finetune       two methods, seed by seed
  python -m multirun_analysis compare 1f9a8104 ab81a5cc    two runs, settings and results
  python -m multirun_analysis best --metric mia/loss/auc   a trial and its command
  python -m multirun_analysis --output report              a web page, tables, figures
  python -m multirun_analysis --tracking-uri http://host:5000 --parent c2542709

In a notebook: from multirun_analysis import load, leaderboard, aggregate
"""


def main(
    arguments: Sequence[str] | None = None, program: str = "python -m multirun_analysis"
) -> int:
    """Run the command line and return the exit code: 1 for nothing to show, 2 for misuse.

    Args:
        arguments: What was typed after the name of the program, None for that of this process.
        program: Its name, as help shows it.
    """
    parser = _parser(program)
    # intermixed: the names of compare may follow its options
    options = parser.parse_intermixed_args(arguments)
    command = options.command or ("report" if options.output else "leaderboard")
    problem = _misuse(command, options)
    if problem:
        parser.error(problem)
    try:
        _ACTIONS[command](_loaded(options), options)
    except AnalysisError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - before anything heavy loads
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        # or the interpreter complains at its end that it could not flush
        sys.stderr.close()
    return 0


def _misuse(command: str, options: argparse.Namespace) -> str:
    if command == "compare" and len(options.names) != 2:
        return f"compare needs two runs or two methods, got {len(options.names)}"
    if command != "compare" and options.names:
        return f"{command} takes no names, got {' '.join(options.names)}"
    if command == "report" and options.output is None:
        return "report needs --output DIR"
    if command != "report" and options.output is not None:
        return f"{command} writes no files, --output belongs to report"
    if command != "report" and (options.baseline or not options.attach):
        return f"{command} makes no report, --baseline and --no-attach belong to report"
    if options.metric and command == "report":
        return "report shows every metric, --metric belongs to the other commands"
    if command == "best" and len(options.metric) > 1:
        return "best takes one --metric"
    return ""


def _loaded(options: argparse.Namespace) -> "Results":
    from multirun_analysis.read.loading import load

    return load(
        options.tracking_uri,
        options.experiment,
        options.parent,
        allow_mixed=options.allow_mixed,
    )


def _show_leaderboard(results: "Results", options: argparse.Namespace) -> None:
    from rich.console import Console

    from multirun_analysis.tables.build import leaderboard
    from multirun_analysis.tables.terminal import show_board

    board = leaderboard(results, options.metric or None, level=options.level)
    show_board(board, results, Console(), options.rows)


def _compare(results: "Results", options: argparse.Namespace) -> None:
    from rich.console import Console

    from multirun_analysis.tables.comparison import side_by_side
    from multirun_analysis.tables.terminal import show_comparison

    a, b = options.names
    show_comparison(side_by_side(results, a, b, options.metric or None), Console())


def _show_best(results: "Results", options: argparse.Namespace) -> None:
    from rich.console import Console

    from multirun_analysis.tables.best_trial import best
    from multirun_analysis.tables.terminal import show_best

    show_best(best(results, *options.metric), Console())


def _report(results: "Results", options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.text import Text

    from multirun_analysis.report.build import attach_report, write_report

    console = Console()
    written = write_report(results, options.output, level=options.level, baseline=options.baseline)
    console.print(Text(f"written to {written}"), soft_wrap=True)
    if options.attach and results.sweeps:
        sweep = attach_report(results, options.output)
        console.print(Text(f"attached to {sweep}, folder report"), soft_wrap=True)


_ACTIONS: dict[str, Callable[["Results", argparse.Namespace], None]] = {
    "leaderboard": _show_leaderboard,
    "compare": _compare,
    "best": _show_best,
    "report": _report,
}


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [leaderboard | compare A B | best | report --output DIR] [options]",
        description="From tracked trials to results: tables, comparisons, reports.",
        epilog=EXAMPLES.replace("python -m multirun_analysis", program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("command", nargs="?", choices=COMMANDS, metavar="command", help=", ".join(COMMANDS))
    add("names", nargs="*", metavar="A B", help="compare: two runs, by id or name, or two methods")
    add(
        "--tracking-uri",
        default="",
        metavar="URI",
        help="database or server (MLFLOW_TRACKING_URI, or sqlite:///mlruns/mlflow.db)",
    )
    add("--experiment", action="append", metavar="NAME", help="all its trials; may be repeated")
    add(
        "--parent",
        action="append",
        metavar="RUN",
        help="a sweep, by id, beginning of an id, or name; may be repeated (the last sweep)",
    )
    add("--allow-mixed", action="store_true", help="accept several commits or machines")
    add("--metric", action="append", default=[], metavar="NAME", help="a column; may be repeated")
    add("--level", type=_share, default=0.95, help="confidence of the intervals (0.95)")
    add("--rows", type=_count, default=30, help="methods shown per block, 0 for all (30)")
    add("--output", type=Path, metavar="DIR", help="report: the folder to write")
    add(
        "--baseline",
        default="",
        metavar="METHOD",
        help="report: what methods are compared with seed by seed (the best of each block)",
    )
    add(
        "--no-attach",
        dest="attach",
        action="store_false",
        help="report: do not attach it to its sweep in MLflow",
    )
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return value
