"""The ledger of trials: claims that die with their process, results that are whole."""

import json
import math
import threading
import time
from dataclasses import replace

import pytest

from erasure.results.record import TrialRecord, TrialResult
from erasure.results.store import ResultStore

HOLD = """
import sys, time
from pathlib import Path
from erasure.results.store import ResultStore
print("asks", flush=True)
with ResultStore(Path(sys.argv[1])).claim("abc"):
    print("held", (Path(sys.argv[1]) / "released").exists(), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def ledger(tmp_path):
    return ResultStore(tmp_path)


def result(fingerprint="abc", outcome="finished", **fields):
    trial = TrialRecord(
        name="a · b", fingerprint=fingerprint, params={"seed": "0"}, tags={"model": "m"}
    )
    return TrialResult(trial=trial, outcome=outcome, **fields)


def test_a_result_comes_back_as_it_was(ledger):
    saved = result(
        metrics={"forget/accuracy": 0.1 + 0.2, "tiny": 5e-324},
        curves={"original/loss": [(1, 2.5), (2, 0.1)]},
        seconds={"unlearn": 1.5},
        trained=2,
        started=1e9 + 0.25,
        ended=1e9 + 1.5,
    )
    ledger.save(saved)
    assert ledger.find("abc") == saved
    assert ledger.find("other") is None


def test_keys_of_later_versions_are_ignored():
    data = result().to_json() | {"color": "red"}
    assert TrialResult.from_json(json.loads(json.dumps(data))) == result()


@pytest.mark.parametrize("outcome", ["failed", "diverged"])
def test_only_finished_trials_are_finished(ledger, outcome):
    ledger.save(result(outcome=outcome, reason="boom"))
    assert ledger.finished("abc") is None
    assert ledger.find("abc").reason == "boom"
    ledger.save(result())
    assert ledger.finished("abc") == result()


def test_unsent_results_are_those_without_a_run(ledger):
    for fingerprint in ("b", "a", "c"):
        ledger.save(result(fingerprint))
    sent = ledger.mark_sent(result("b"), "run-7")
    assert sent == replace(result("b"), run="run-7")
    assert [result.trial.fingerprint for result in ledger.unsent()] == ["a", "c"]
    assert ledger.find("b").run == "run-7"


def test_forgetting_removes_a_trial_and_nothing_else(ledger):
    ledger.save(result("a"))
    ledger.save(result("b"))
    ledger.artifacts("a").mkdir()
    ledger.forget("a")
    ledger.forget("never there")
    assert not ledger.folder("a").exists()
    assert ledger.find("b") is not None


def test_a_reader_never_sees_half_a_result(ledger):
    long = result(curves={"loss": [(step, 0.5) for step in range(2000)]})
    ledger.save(long)
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(ledger.find("abc"))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(40):
        ledger.save(long)
    done.set()
    reader.join()
    assert seen
    assert all(read == long for read in seen)
    assert [path.name for path in ledger.folder("abc").iterdir()] == ["result.json"]


def test_a_save_that_fails_leaves_the_old_result(ledger):
    ledger.save(result())
    with pytest.raises(TypeError):
        ledger.save(result(metrics={"x": object()}))
    assert ledger.find("abc") == result()


def test_nan_survives(ledger):
    ledger.save(result(curves={"loss": [(1, math.nan)]}))
    assert math.isnan(ledger.find("abc").curves["loss"][0][1])


def test_a_claim_is_seen_by_others_and_ends_with_its_process(ledger, tmp_path, start_python):
    assert not ledger.is_claimed("abc")
    holder = start_python("-c", HOLD, tmp_path)
    assert [holder.stdout.readline() for _ in range(2)] == ["asks\n", "held False\n"]
    assert ledger.is_claimed("abc")
    assert not ledger.is_claimed("other")
    holder.kill()
    holder.wait()
    assert not ledger.is_claimed("abc")


def test_a_second_process_waits_for_the_claim(ledger, tmp_path, start_python):
    with ledger.claim("abc"):
        waiting = start_python("-c", HOLD, tmp_path)
        assert waiting.stdout.readline() == "asks\n"
        time.sleep(0.2)  # in which a claim that did not wait would be had
        (tmp_path / "released").touch()
    assert waiting.stdout.readline() == "held True\n"


def test_asking_for_a_claim_takes_none(ledger):
    assert not ledger.is_claimed("abc")
    with ledger.claim("abc"):
        pass
    assert not ledger.is_claimed("abc")
