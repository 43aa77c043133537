"""Results reach the tracker, at once or later, and never at the expense of a trial."""

import logging
from uuid import uuid4

import pytest

from erasure.cli.deliver import main
from erasure.core.errors import ConfigError, TrackingError
from erasure.results import RunLostError, delivery
from erasure.results.delivery import Replayed, deliver, replay
from erasure.results.no_tracker import NoTracker
from erasure.results.store import ResultStore


class Scripted(NoTracker):
    """Fails as often as it is told, then works."""

    uri = ""

    def __init__(self, *errors, waiting=""):
        super().__init__()
        # another one each time: what failed is remembered by its address
        object.__setattr__(self, "uri", f"sqlite:////somewhere/{uuid4()}.db")
        object.__setattr__(self, "errors", list(errors))
        object.__setattr__(self, "waiting", waiting)
        object.__setattr__(self, "finished", [])

    def find(self, result):
        return self.waiting

    def start(self, trial, parent="", started=0.0):
        return f"new below {parent or 'nobody'} at {started}"

    def finish(self, run, result, artifacts):
        if self.errors:
            raise self.errors.pop(0)
        self.finished.append((run, artifacts))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(delivery, "PAUSES", (0.0, 0.0))


@pytest.fixture
def ledger(tmp_path, result):
    ledger = ResultStore(tmp_path / "store")
    ledger.save(result)
    return ledger


def test_what_was_delivered_is_marked(ledger, result):
    tracker = Scripted()
    sent = deliver(tracker, ledger, result, "the run")
    fingerprint = result.trial.fingerprint
    assert tracker.finished == [("the run", ledger.artifacts(fingerprint))]
    assert sent.run == "the run"
    assert ledger.find(fingerprint) == sent
    assert ledger.unsent() == []


def test_a_short_failure_is_not_noticed(ledger, result, caplog):
    tracker = Scripted(TrackingError("once"), TrackingError("twice"))
    assert deliver(tracker, ledger, result, "the run").run == "the run"
    assert caplog.records == []


@pytest.mark.parametrize("error", [TrackingError("it is down"), ConfigError("it is deleted")])
def test_a_lasting_failure_is_one_warning_that_says_what_to_do(ledger, result, caplog, error):
    tracker = Scripted(error, error, error)
    with caplog.at_level(logging.WARNING):
        assert deliver(tracker, ledger, result, "the run") is result
    (record,) = caplog.records
    assert str(error) in record.getMessage()
    assert "is safe in" in record.getMessage()
    root = ledger.root.parent
    command = f"`python -m erasure deliver replay --store {root} --uri {tracker.uri}`"
    assert command in record.getMessage()
    assert ledger.unsent() == [result]


def test_a_run_that_is_gone_is_replaced(ledger, result):
    tracker = Scripted(RunLostError("gone"))
    sent = deliver(tracker, ledger, result, "gone", parent="the sweep")
    assert sent.run == "new below the sweep at 1700000000.0"


def test_the_run_that_waits_is_preferred_to_a_new_one(ledger, result):
    assert deliver(Scripted(waiting="waits"), ledger, result).run == "waits"


def test_replay_leaves_trials_to_the_process_that_runs_them(ledger, result):
    with ledger.claim(result.trial.fingerprint):
        assert replay(Scripted(), ledger) == Replayed(sent=0, kept=0, busy=1)
    assert replay(Scripted(), ledger) == Replayed(sent=1, kept=0, busy=0)
    assert replay(Scripted(), ledger) == Replayed(sent=0, kept=0, busy=0)


def test_no_tracking_satisfies_everybody(ledger, result):
    tracker = NoTracker()
    sent = deliver(tracker, ledger, result, tracker.start(result.trial))
    assert sent.run == "none"
    assert tracker.has("none")
    assert not tracker.has("")
    assert (tracker.address(), tracker.page()) == ("", "")


def test_replay_sends_what_a_failing_tracker_left(tracker, client, result, ledger, capsys):
    folder = ledger.artifacts(result.trial.fingerprint)
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    lost = TrackingError("down")
    deliver(Scripted(lost, lost, lost), ledger, result)
    command = ["replay", "--store", str(ledger.root.parent), "--uri", tracker.uri]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 sent\nmlflow ui --backend-store-uri ")
    run = ledger.find(result.trial.fingerprint).run
    assert tracker.has(run)
    stored = client.get_run(run)
    assert stored.data.metrics["gap/avg"] == 0.125
    assert stored.info.start_time == 1_700_000_000_000
    assert [file.path for file in client.list_artifacts(run)] == ["metrics.json"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("nothing to send")


def test_replay_uses_the_run_of_the_trial_that_could_not_report(tracker, result, ledger):
    run = tracker.start(result.trial)
    assert replay(tracker, ledger) == Replayed(sent=1, kept=0, busy=0)
    assert ledger.find(result.trial.fingerprint).run == run


def test_replay_that_fails_has_an_exit_code(tracker, client, ledger, capsys):
    tracker.prepare()
    client.delete_experiment(client.get_experiment_by_name("erasure").experiment_id)
    command = ["replay", "--store", str(ledger.root.parent), "--uri", tracker.uri]
    assert main(command) == 1
    assert "1 kept for later" in capsys.readouterr().out
    assert main([*command, "--experiment", "another"]) == 0


@pytest.mark.parametrize(
    ("store", "uri", "message"),
    [
        ("missing", "sqlite:///m.db", "error: --store must be an existing folder, got 'missing'"),
        (".", "mlruns", "error: --uri must be sqlite:///"),
    ],
)
def test_replay_refuses_wrong_settings(store, uri, message, capsys):
    assert main(["replay", "--store", store, "--uri", uri]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_replay_explains_itself(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["replay", "--help"])
    assert ended.value.code == 0
    assert "python -m erasure deliver replay --store store --uri" in capsys.readouterr().out
