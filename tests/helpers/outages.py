"""A tracker in memory that fails where and when a test says."""

from uuid import uuid4

from erasure.core.errors import ConfigError, TrackingError

CALLS = ("prepare", "start", "find", "finish", "has", "reap", "start_sweep", "finish_sweep")
"""What a tracker does and may fail at."""


class SwitchedTracker:
    """Keeps runs in memory: by id, the fingerprint, the parent, and the outcome if it has one."""

    experiment, save_model, parent = "erasure", False, ""

    def __init__(self):
        self.uri = f"http://{uuid4()}"  # what failed is remembered by its address
        self.failing, self.calls, self.runs = set(), [], {}

    def _call(self, name):
        self.calls.append(name)
        if name in self.failing:
            raise TrackingError(f"{name} failed")

    def check(self):
        if "check" in self.failing:
            raise ConfigError("uri must be a server that answers")

    def prepare(self):
        self._call("prepare")

    def reap(self, is_running):
        self._call("reap")
        return 0

    def start(self, trial, parent="", started=0.0):
        self._call("start")
        return self._open(trial.fingerprint, parent)

    def find(self, result):
        self._call("find")
        mine = (run for run, kept in self.runs.items() if kept[0] == result.trial.fingerprint)
        return next(mine, "")

    def finish(self, run, result, artifacts):
        self._call("finish")
        self.runs[run] = (*self.runs[run][:2], result.outcome)

    def has(self, run):
        self._call("has")
        return self.runs.get(run, ("", "", ""))[2] == "finished"

    def start_sweep(self, sweep):
        self._call("start_sweep")
        self.runs.setdefault("the sweep", (sweep.fingerprint, "", ""))
        return "the sweep"

    def finish_sweep(self, run, summary_markdown, artifacts, failed):
        self._call("finish_sweep")
        self.runs[run] = (*self.runs[run][:2], "failed" if failed else "finished")

    def address(self):
        return ""

    page = address

    def _open(self, fingerprint, parent):
        run = f"run {len(self.runs)}"
        self.runs[run] = (fingerprint, parent, "")
        return run

    @property
    def tracked(self):
        """The parent and the outcome of each trial's run, sorted by fingerprint."""
        trials = [kept for run, kept in self.runs.items() if run != "the sweep"]
        return sorted(trials)
