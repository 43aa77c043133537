"""Studies for tests: composed from the real configuration, run without training."""

import contextlib
import copy
from functools import cache
from pathlib import Path

import optuna
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from erasure.config.axes import SweeperAxes
from erasure.config.compose import Compositions
from erasure.config.folders import conf_folder
from erasure.config.schema import register_schema
from erasure.launch.interrupts import Stop
from erasure.launch.jobs import JobResult
from erasure.results.no_tracker import NOWHERE, NoTracker
from erasure.results.record import TrialResult
from erasure.results.store import ResultStore
from erasure.sweeps.records import SweepRecords
from erasure.sweeps.run import RunQueue
from erasure.tuning.client import open_study
from erasure.tuning.command import read_commands
from erasure.tuning.plan import plan_studies
from erasure.tuning.schedule import Schedule
from erasure.tuning.settings import StudySettings

TPE = {"_target_": "optuna.samplers.TPESampler"}
NONE = {"_target_": "optuna.pruners.NopPruner"}
MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1}


def settings(**changes):
    return StudySettings(**{"sampler": TPE, "pruner": NONE, **changes})


def planned(*arguments, **changes):
    """Plan the studies that a command line asks for."""
    keys = {"params": "params", "zip": "paired", "grids": "grids"}
    reading = {to: changes.pop(key) for key, to in keys.items() if key in changes}
    sweeper, wanted = SweeperAxes(**reading), settings(**changes)
    register_schema()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = copy.deepcopy(_master())
        commands = read_commands(loader, sweeper, arguments)
        return plan_studies(Compositions(loader=loader, master=master), commands, wanted)


@cache
def _master():
    return compose("config", ["hydra/sweeper=optuna"], return_hydra_config=True)


def opened(plan, storage=None, total=6, sampler=TPE, pruner=NONE, search_settings=None):
    """Open the study of a plan, in memory unless told otherwise."""
    search = settings(n_trials=total, sampler=sampler, pruner=pruner)
    kept = {"pruner": dict(pruner), **(search_settings or {})}
    storage = storage or optuna.storages.InMemoryStorage()
    return open_study(plan, storage, search, kept, shared=False)


class Runner:
    """Carries out what a schedule hands out, by a function of the configuration."""

    def __init__(self, clients, root, measure, stop=None, **changes):
        self.measure, self.outcomes, self.ran, self.stop = measure, [], [], stop or Stop()
        self.results = ResultStore(Path(root))
        records = SweepRecords(
            sweep=None,
            tracker=NoTracker(),
            results=self.results,
            objective=clients[0].plan.objective,
            resume=True,
            store=None,
            folder=Path(root) / "sweep",
        )
        defaults = {"cap": None, "max_failures": 1.0}
        self.schedule = Schedule(
            clients=clients,
            results=self.results,
            lock=contextlib.nullcontext,
            tuning={},
            stop=self.stop,
            **{**defaults, **changes},
        )
        self.queue = RunQueue(source=self, records=records)

    def ask(self):
        return self.schedule.ask()

    def tell(self, run, run_result):
        trial_end = self.schedule.tell(run, run_result)
        if trial_end is not None:
            active, outcome = trial_end
            number = active.claimed.trial.number
            self.outcomes.append((active.client.plan.label, number, outcome))

    def begin(self):
        """Take the next run without finishing it."""
        return self.queue.next_run()

    def end(self, run):
        """Finish a run: with metrics, or with an outcome that has none."""
        cfg = run.config
        measured = self.measure(cfg)
        finished = isinstance(measured, dict)
        outcome, metrics = ("finished", measured) if finished else (measured, {})
        self.ran.append((cfg.tuning.study, cfg.tuning.trial, int(cfg.seed)))
        if outcome != "dead":
            result = TrialResult(
                trial=run.record,
                outcome=outcome,
                reason="" if metrics else "because",
                metrics={"cost/unlearn_seconds": 1.0, **metrics} if metrics else {},
                run=NOWHERE,
            )
            self.results.save(result)
        error = "the worker died" if outcome == "dead" else ""
        job_result = JobResult(
            number=run.number, seconds=1.0, error=error, log=Path("log"), died=outcome == "dead"
        )
        self.queue.record(run, job_result)

    def all(self):
        while (run := self.begin()) is not None:
            self.end(run)
        return self


def states(client):
    return [trial.state.name for trial in client.trials]


def drawn(client):
    return [trial.params for trial in client.trials]
