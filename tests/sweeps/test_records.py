"""The records of a sweep, when several processes start the same one."""

import threading
import time
from types import SimpleNamespace

from erasure.results.no_tracker import NoTracker
from erasure.results.store import ResultStore
from erasure.results.tracker import Sweep
from erasure.sweeps.records import SweepRecords
from erasure.training.model_store import ModelStore

SWEEP = Sweep(fingerprint="f", name="", command="", overrides={}, total=1, description="")


class Slow(NoTracker):
    """Looks for the run of a sweep, and makes one a moment later, as a database would."""

    runs: list[str]

    def start_sweep(self, sweep):
        earlier = list(self.runs)
        time.sleep(0.2)
        if not earlier:
            self.runs.append(f"run {len(self.runs)} of {sweep.fingerprint}")
        return self.runs[-1] if not earlier else earlier[0]


def records(root, tracker):
    return SweepRecords(
        sweep=SWEEP,
        tracker=tracker,
        results=ResultStore(root),
        objective=SimpleNamespace(),
        resume=True,
        store=ModelStore(root),
        folder=root / "sweep",
    )


def test_processes_that_start_one_sweep_at_once_share_its_run(tmp_path):
    tracker, opened = Slow(), []
    tracker.runs = []
    threads = [
        threading.Thread(target=lambda: opened.append(records(tmp_path, tracker).open()))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["run 0 of f"] * 3
