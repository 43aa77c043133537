"""Ending a run of a study while its method runs."""

import copy
import json
import signal
import threading
import time

import optuna
import pytest
import torch
from patience import HANGS, wait_until
from trials import assemble

from erasure.core.errors import PrunedError
from erasure.core.task import silent
from erasure.trial.recorded import _failed
from erasure.trial.task import monitor_for, trial_of
from erasure.tuning.pruning import PruningCallback, monitor_of
from erasure.tuning.storage import SEARCH_SETTINGS, STUDY_CONFIG, open_storage


@pytest.fixture(scope="module")
def assembled():
    from hydra import compose, initialize_config_dir

    from erasure.config.folders import conf_folder
    from erasure.config.schema import register_schema

    register_schema()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        cfg = compose("config", ["evaluator=fast", "tracking=none"])
    return assemble(cfg, device=torch.device("cpu"))


@pytest.fixture
def study():
    pruner = optuna.pruners.ThresholdPruner(upper=0.3)
    return optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))


def moved(model, by):
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(by)
    return other


def monitor(assembled, trial, gold, **changes):
    made = PruningCallback(
        **{"trial": trial, "maximize": False, "seed_index": 0, "cap": None, **changes}
    )
    made.prepare(assembled, assembled.fresh(), gold)
    return made


def test_a_model_like_gold_reports_no_distance_and_goes_on(assembled, study):
    trial, gold = study.ask(), moved(assembled.fresh(), 0.01)
    heard = []
    report = monitor(assembled, trial, gold).watching(gold, lambda *a, **v: heard.append((a, v)))
    report(1, 5, loss=0.5)
    assert heard == [((1, 5), {"loss": 0.5})]
    assert study.trials[0].intermediate_values == {1: 0.0}


def test_a_model_that_is_worse_than_others_is_stopped(assembled, study):
    class Constant(torch.nn.Module):
        def __init__(self, label):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor([float(label)]))

        def forward(self, inputs):
            logits = torch.zeros(len(inputs), 10)
            logits[:, int(self.weight.item())] = 1.0
            return logits

    right = Constant(1)
    trial = study.ask()
    made = PruningCallback(trial=trial, maximize=False, seed_index=1, cap=None)
    made.prepare(assembled, Constant(2), right)
    made._gold = {"forget": 1.0, "val": 1.0}
    with pytest.raises(PrunedError, match="others did better by step 3 of 9"):
        made.watching(right, silent)(3, 9)
    ((step, value),) = study.trials[0].intermediate_values.items()
    shares = [
        (assembled.data.pool.targets[part] == 1).double().mean().item()
        for part in (assembled.data.indices.forget, assembled.data.indices.val)
    ]
    assert step == 103
    assert value == pytest.approx(1 - sum(shares) / 2)
    assert made.seconds > 0


def test_a_model_that_did_not_move_is_not_compared(assembled, study):
    trial = study.ask()
    monitor(assembled, trial, moved(assembled.fresh(), 1.0)).watching(assembled.fresh(), silent)(
        1, 5
    )
    assert study.trials[0].intermediate_values == {}


def test_what_is_maximized_reports_one_minus_the_distance(assembled, study):
    gold = moved(assembled.fresh(), 0.01)
    report = monitor(assembled, study.ask(), gold, maximize=True).watching(gold, silent)
    with pytest.raises(PrunedError):
        report(1, 1)  # the pruner of this test allows up to 0.3
    assert study.trials[0].intermediate_values == {1: 1.0}


@pytest.mark.parametrize(("step", "of", "reported"), [(7, 50, 7), (1, 5000, 1), (5000, 5000, 99)])
def test_steps_stay_below_those_of_the_next_seed(assembled, study, step, of, reported):
    gold = moved(assembled.fresh(), 0.01)
    monitor(assembled, study.ask(), gold).watching(gold, silent)(step, of)
    assert list(study.trials[0].intermediate_values) == [reported]


def test_a_method_may_take_no_longer_than_its_cap(assembled):
    made = PruningCallback(trial=None, maximize=False, seed_index=0, cap=0.01)
    made.prepare(assembled, assembled.fresh(), assembled.fresh())
    time.sleep(0.02)
    with pytest.raises(PrunedError, match=r"took [\d.e+]+ s, more than 0\.01 s"):
        made.watching(assembled.fresh(), silent)(1, 2)


def test_a_method_that_never_reports_is_ended_too(assembled):
    made = monitor(assembled, None, assembled.fresh(), cap=0.1)
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(PrunedError, match=r"took [\d.e+]+ s, more than 0\.1 s"), made.limiting():
        time.sleep(HANGS)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_time_of_comparing_is_not_that_of_the_method(assembled):
    made = monitor(assembled, None, assembled.fresh(), cap=0.1)
    made.seconds = 3600.0
    with made.limiting():  # it rings after 0.1 s, and is told that nearly all of them were spent
        wait_until(lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 3000, "a later alarm")
    made.seconds = 0.0
    with pytest.raises(PrunedError), made.limiting():
        time.sleep(HANGS)


def test_without_a_cap_or_outside_the_main_thread_nothing_rings(assembled):
    with monitor(assembled, None, assembled.fresh()).limiting():
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0
    timers = []

    def elsewhere():
        with monitor(assembled, None, assembled.fresh(), cap=0.1).limiting():
            timers.append(signal.getitimer(signal.ITIMER_REAL)[0])

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert timers == [0.0]


def test_the_record_says_pruned():
    from erasure.results.record import TrialRecord

    record = TrialRecord(name="", fingerprint="", params={}, tags={})
    result = _failed(record, PrunedError("others did better"))
    assert (result.outcome, result.reason) == ("pruned", "others did better")


def configured(tmp_path, objective, pruner="optuna.pruners.MedianPruner", storage=None, **tuning):
    url = f"sqlite:///{tmp_path}/studies.db"
    storage_of_study = open_storage(url, tmp_path)
    study = optuna.create_study(
        study_name="s", storage=storage_of_study, directions=list(objective.values())
    )
    study.ask()
    study.set_user_attr(STUDY_CONFIG, json.dumps({"seeds": [1, 2], "objective": objective}))
    study.set_user_attr(SEARCH_SETTINGS, json.dumps({"pruner": {"_target_": pruner}}))
    settings = {"study": "s", "trial": 0, "seed_index": 1, "max_seconds": None, **tuning}
    storage = url if storage is None else storage
    return {**settings, "storage": storage, "store": tmp_path}


def test_a_run_finds_its_trial_and_the_pruner_of_its_study(tmp_path):
    monitor = monitor_of(**configured(tmp_path, {"tow/score": "maximize"}))
    assert (monitor.trial.number, monitor.maximize, monitor.seed_index) == (0, True, 1)
    assert isinstance(monitor.trial.study.pruner, optuna.pruners.MedianPruner)


@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        ({"mia/loss/auc": "minimize"}, {}),
        ({"gap/avg": "minimize", "cost/unlearn_seconds": "minimize"}, {}),
        ({"gap/avg": "minimize"}, {"pruner": "optuna.pruners.WilcoxonPruner"}),
        ({"gap/avg": "minimize"}, {"storage": ""}),
    ],
)
def test_a_run_is_left_alone_where_nothing_could_be_said(tmp_path, objective, changes):
    assert monitor_of(**configured(tmp_path, objective, **changes)) is None
    capped = {"study": "s", "trial": 0, "seed_index": 0, "storage": "", "max_seconds": 3.0}
    assert monitor_of(**capped, store=tmp_path).cap == 3.0


def test_a_trial_outside_of_studies_has_no_monitor(compose_config):
    cfg = compose_config()
    assert monitor_for(cfg, trial_of(cfg)) is None
