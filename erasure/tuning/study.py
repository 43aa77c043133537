"""A sweep over the settings of methods: Optuna studies that take turns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from optuna.trial import TrialState

from erasure.config.compose import hydra_sees
from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.sweeps.models_to_train import require_measurable, required_models
from erasure.sweeps.records import SweepRecords, open_records
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.source import LineState, ProgressLine, Workload
from erasure.sweeps.summary import format_number
from erasure.tuning.choice import best_trial
from erasure.tuning.client import StudyClient, TrialOutcome, open_study, sampler_of
from erasure.tuning.plan import StudyPlan
from erasure.tuning.records import conditions, outlook, search_settings, tuning_sweep
from erasure.tuning.sampler import build_pruner, is_pruning, rehearse
from erasure.tuning.schedule import ActiveTrial, Schedule
from erasure.tuning.search_space import Value
from erasure.tuning.settings import StudySettings
from erasure.tuning.storage import is_server, open_storage, storage_url, study_lock
from erasure.tuning.summary import StudyResult, StudyTable

OUTCOMES: Mapping[TrialState, LineState] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(kw_only=True)
class Studies:
    """Brings studies to their number of trials; several processes may do so at once.

    Args:
        plans: The studies.
        settings: How to search.
        records: Where the sweep is written down.
        stop: Due when no trial may be started any more.
    """

    plans: Sequence[StudyPlan]
    settings: StudySettings
    records: SweepRecords
    stop: Stop
    _clients: Sequence[StudyClient] = ()
    _schedule: Schedule = field(init=False)

    @classmethod
    def of(cls, plans: Sequence[StudyPlan], settings: StudySettings, stop: Stop) -> "Studies":
        """Return the studies of ``plans``, whose configurations say where they are kept."""
        records = open_records(plans[0].trial, tuning_sweep(plans, settings))
        return cls(plans=plans, settings=settings, records=records, stop=stop)

    @property
    def batch(self) -> int | None:
        """Runs to hand at once to a launcher that takes many: the next are drawn after them."""
        return self.settings.n_jobs

    def left(self) -> Sequence[Run]:
        """Return nothing: what is left is drawn as it goes."""
        return []

    def check(self) -> Workload:
        """Refuse what cannot work before anything runs, and open the studies."""
        for plan in self.plans:
            _rehearse(plan, self.settings)
        samples = {plan.name: _samples(plan) for plan in self.plans}
        models = {name: required_models(runs) for name, runs in samples.items()}
        fixed = [plan.name for plan in self.plans if plan.samples_are_fixed]
        require_measurable([run for name in fixed for run in samples[name]])
        self._clients = self._open()
        self._schedule = self._scheduled()
        ended = [client.num_ended for client in self._clients]
        # a study may have more than is asked for by now
        most = [max(c.total, done) for c, done in zip(self._clients, ended, strict=True)]
        return Workload(
            text=outlook(self._clients, models, self.records.store),
            like=[run for runs in samples.values() for run in runs],
            total=sum(most),
            done=sum(ended),
        )

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Say that this process is alive, and give back what is not finished in the end."""
        try:
            with self._schedule.heartbeat():
                yield
        finally:
            # after the heartbeat has ended, which would call a trial that was given back alive
            self._schedule.give_back_all()

    def ask(self) -> Run | None:
        """Return the next run of a study."""
        return self._schedule.ask()

    def tell(self, run: Run, run_result: RunResult) -> ProgressLine | None:
        """Tell a study what came of a run, and return its trial if that is over."""
        trial_end = self._schedule.tell(run, run_result)
        return None if trial_end is None else self._line(*trial_end)

    def best(self) -> str:
        """Return the best values of each study."""
        best = [(c.plan.label, best_trial(c.trials, c.plan.objective)) for c in self._clients]
        values = [f"{label} {_join(trial.values)}" for label, trial in best if trial is not None]
        return "best " + ", ".join(values) if values else ""

    def table(self, run_results: Sequence[RunResult], stopped: str) -> StudyTable:
        """Return what the studies have come to, with the trials of all processes."""
        return StudyTable(
            run_results=run_results,
            studies=[StudyResult(client=c, trials=c.trials) for c in self._clients],
            conditions=conditions(self.plans, self.settings),
            stopped=stopped,
            fingerprint=self.records.sweep.fingerprint,
        )

    def _open(self) -> list[StudyClient]:
        settings, root = self.settings, self.records.store.root
        url = self._url()
        storage = open_storage(url, root)
        with study_lock(root):
            return [
                open_study(
                    plan,
                    storage,
                    settings,
                    search_settings(plan, settings, self.records),
                    shared=is_server(url),
                )
                for plan in self.plans
            ]

    def _scheduled(self) -> Schedule:
        return Schedule(
            clients=self._clients,
            results=self.records.results,
            lock=partial(study_lock, self.records.store.root),
            tuning=self._tuning(),
            cap=self.settings.max_trial_seconds,
            max_failures=self.settings.max_failures,
            stop=self.stop,
        )

    def _tuning(self) -> dict[str, Value]:
        """Return what runs have to know: where the study is only if they are compared."""
        pruning = any(is_pruning(client.study.pruner) for client in self._clients)
        return {
            "storage": self._url() if pruning else "",
            "max_seconds": self.settings.max_trial_seconds,
        }

    def _url(self) -> str:
        with hydra_sees(self.plans[0].base):
            return storage_url(self.settings.storage, self.records.store.root)

    def _line(self, active: ActiveTrial, outcome: TrialOutcome) -> ProgressLine:
        """Return what is shown of a trial that ended."""
        plan, run_results = active.client.plan, list(active.run_results.values())
        width = max(len(each.label) for each in self.plans)
        head = f"{plan.label:<{width}} trial {active.claimed.trial.number:<4}"
        if outcome.state == TrialState.COMPLETE:
            pairs = zip(plan.objective.metrics, outcome.values, strict=True)
            values = "   ".join(f"{name} {format_number(value)}" for name, value in pairs)
            best = best_trial(active.client.trials, plan.objective)
            text = values if best is None else f"{values}   best {_join(best.values)}"
        else:
            text = f"{OUTCOMES[outcome.state]}: {outcome.reason}"
        return ProgressLine(
            text=head + text,
            outcome=OUTCOMES[outcome.state],
            seconds=sum(run_result.seconds for run_result in run_results),
            trained=sum(run_result.trained for run_result in run_results),
            read_back=all(run_result.read_back for run_result in run_results),
            seeds=len(run_results),
        )


def _samples(plan: StudyPlan) -> list[Run]:
    """Return one run for each seed of a study."""
    return [plan.run(0, {}, 0, index, {}) for index in range(len(plan.seeds))]


def _rehearse(plan: StudyPlan, settings: StudySettings) -> None:
    sampler = sampler_of(plan, settings)(0)
    pruner = build_pruner(settings.pruner, len(plan.seeds))
    rehearse(sampler, pruner, plan.space, plan.objective.directions)


def _join(values: Sequence[float]) -> str:
    return "/".join(format_number(value) for value in values)
