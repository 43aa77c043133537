"""How fast a large sweep is read and reported: 2,000 runs with 60 metrics each, in one database.

    python benchmarks/analysis.py

The runs are written straight into the tables of an MLflow store, as the tracker would have left
them, with a ``metrics.json`` and a ``per_sample.parquet`` each. Reading them is timed as a whole
and against MLflow's own search and a call per run; the report is the whole web page with its
tables and figures. Last result: see benchmarks/README.md.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
logging.disable(logging.INFO)

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.store.tracking.dbmodels import models  # noqa: E402
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: E402

from multirun_analysis import aggregate, leaderboard, load, write_report  # noqa: E402

METHODS, BLOCKS, SEEDS = 20, 10, 10
METRICS, SETTINGS, SAMPLE = 60, 70, 100
FORGET, HELDOUT = 200, 800
ROOT = Path(__file__).parents[1]
NAMES = (
    *("forget/accuracy", "retain/accuracy", "test/accuracy", "mia/loss/auc", "gap/avg"),
    *("cost/unlearn_seconds", "cost/speedup"),
)


def metrics_of(method: int, block: int, seed: int) -> dict[str, float]:
    """Return 60 values: 20 metrics of three models."""
    names = [*NAMES, *(f"more/metric_{k}" for k in range(METRICS // 3 - len(NAMES)))]
    # The values of the original and the gold model are the same for every method.
    prefixes = {"": method, "original/": -1, "gold/": -2}
    return {
        f"{prefix}{name}": (31 * who + 17 * block + 7 * seed + k) % 97 / 97
        for (prefix, who), (k, name) in product(prefixes.items(), enumerate(names))
    }


def entries(values: Mapping[str, float]) -> str:
    """Return the values as a ``metrics.json``."""
    meaning = {"direction": "min", "range": [0.0, 1.0], "ideal": None, "unit": "", "n": 500}
    rest = {"status": "ok", "reason": "", "ci": [0.0, 1.0], "extras": {}, "description": "x"}
    written = {name: {"value": value, **meaning, **rest} for name, value in values.items()}
    return json.dumps(written, indent=1)


def samples(seed: int) -> pd.DataFrame:
    """Return the samples of a run as a ``per_sample.parquet`` has them."""
    random = np.random.default_rng(seed)
    count = FORGET + HELDOUT
    parts = np.repeat(["forget", "test"], [FORGET, HELDOUT])
    frame = pd.DataFrame(
        {"id": np.arange(count), "part": parts, "target": random.integers(0, 10, count)}
    )
    for role in ("original", "unlearned", "gold"):
        frame[f"{role}_loss"] = random.lognormal(-2.0, 2.0, count).astype(np.float32)
        frame[f"{role}_predicted"] = random.integers(0, 10, count)
    return frame


def rows_of(folder: Path) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Yield the rows of every run by table, and write its artifact."""
    for number, (method, block, seed) in enumerate(
        product(range(METHODS), range(BLOCKS), range(SEEDS))
    ):
        run = f"{number:032x}"
        artifacts = folder / "artifacts" / run / "artifacts"
        artifacts.mkdir(parents=True)
        values = metrics_of(method, block, seed)
        (artifacts / "metrics.json").write_text(entries(values))
        samples(number).to_parquet(artifacts / "per_sample.parquet", index=False)
        seeds = {f"seed.{kind}": seed for kind in ("split", "train", "unlearn", "evaluate")}
        tags = {
            "unlearner": f"method_{method}",
            "dataset": f"data_{block}",
            "model": "mlp",
            "split": "random",
            "trainer": "adam",
            "evaluator": "standard",
            "seed": seed,
            **seeds,
            "erasure.fingerprint": run,
            "erasure.outcome": "finished",
            "erasure.host": "box",
            "mlflow.source.git.commit": "0" * 40,
            "store.gold": f"{block}-{seed}",
            "store.original": f"{block}-{seed}",
        }
        params = {f"trainer.setting_{k}": k for k in range(SETTINGS)}
        params |= {"unlearner._target_": "x.Method", "seed": seed, "device": "cpu", "threads": 1}
        info = {"run_uuid": run, "name": f"run {number}", "status": "FINISHED"}
        info |= {"source_type": "LOCAL", "source_name": "run.py", "entry_point_name": ""}
        info |= {"user_id": "x", "source_version": "", "lifecycle_stage": "active"}
        info |= {"start_time": number, "end_time": number + 1, "artifact_uri": artifacts.as_uri()}
        points = [
            {"run_uuid": run, "key": k, "value": v, "timestamp": 0, "step": 0, "is_nan": False}
            for k, v in values.items()
        ]
        yield {
            "runs": [info],
            "metrics": points,
            "latest_metrics": points,
            "params": [{"run_uuid": run, "key": k, "value": str(v)} for k, v in params.items()],
            "tags": [{"run_uuid": run, "key": k, "value": str(v)} for k, v in tags.items()],
        }


def write(folder: Path) -> str:
    """Write the database and return its address."""
    uri = f"sqlite:///{folder}/mlflow.db"
    store = SqlAlchemyStore(uri, (folder / "artifacts").as_uri())
    experiment = int(store.create_experiment("erasure"))
    rows: dict[str, list[dict[str, Any]]] = {}
    for tables in rows_of(folder):
        for table, table_rows in tables.items():
            rows.setdefault(table, []).extend(table_rows)
    for info in rows["runs"]:
        info["experiment_id"] = experiment
    with store.engine.begin() as connection:
        for table, table_rows in rows.items():
            connection.execute(models.Base.metadata.tables[table].insert(), table_rows)
    store.engine.dispose()
    return uri


def seconds(action: Callable[[], object], rounds: int = 3) -> float:
    """Return the median wall time of an action."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return median(times)


def searched(uri: str) -> int:
    """Read all runs by MLflow's search, in its largest usual pages."""
    client, token, count = MlflowClient(tracking_uri=uri), None, 0
    while True:
        page = client.search_runs(["1"], max_results=1000, page_token=token)
        count, token = count + len(page), page.token
        if not token:
            return count


def called(uri: str) -> None:
    """Read some runs by a call each."""
    client = MlflowClient(tracking_uri=uri)
    for number in range(SAMPLE):
        client.get_run(f"{number:032x}")


def help_seconds() -> float:
    """Show the help screen, wall time of the whole process."""
    command = [sys.executable, "-m", "multirun_analysis", "--help"]
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True, cwd=ROOT), 5)


def main() -> None:
    """Measure and print the table."""
    runs = METHODS * BLOCKS * SEEDS
    with tempfile.TemporaryDirectory() as folder:
        uri = write(Path(folder))
        results = load(uri)
        if len(results.runs) != runs or len(results.values) != runs * METRICS:
            raise SystemExit(f"read {len(results.runs)} runs, {len(results.values)} values")
        loading = seconds(lambda: load(uri))
        called(uri)
        per_run = seconds(lambda: called(uri)) / SAMPLE * runs
        search = seconds(lambda: searched(uri), 1)
        board = seconds(lambda: leaderboard(results))
        every = seconds(lambda: aggregate(results, list(results.schema)), 1)
        began = time.process_time()
        report = seconds(lambda: write_report(results, Path(folder) / "report"), 1)
        busy = time.process_time() - began
    rows = (
        ("analysis.load", f"{loading:.1f} s", "<= 10 s"),
        ("analysis.call_per_run_vs_load", f"{per_run / loading:.1f}x", ">= 2"),
        ("analysis.search_runs_vs_load", f"{search / loading:.1f}x", ">= 2"),
        ("analysis.leaderboard", f"{board:.1f} s", "<= 10 s"),
        ("analysis.aggregate_all", f"{every:.1f} s", "<= 20 s"),
        ("analysis.report", f"{report:.1f} s ({busy:.1f} s of one core)", "<= 60 s"),
        ("analysis.help", f"{help_seconds():.2f} s", "<= 1 s"),
    )
    table = Table(title=f"{runs} runs x {METRICS} metrics, sqlite, artifacts included in the load")
    for heading in ("measurement", "result", "target"):
        table.add_column(heading, justify="left" if heading == "measurement" else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
