"""What is told about a trial that runs although something like it finished before."""

import time
from dataclasses import replace

import pytest

from erasure.results.record import TrialRecord, TrialResult
from erasure.results.store import ResultStore
from erasure.trial.why import differences, format_day, why_again

THEN = time.mktime((2025, 11, 3, 12, 0, 0, 0, 0, -1))
TAGS = {
    "unlearner": "ssd",
    "dataset": "digits",
    "model": "mlp",
    "split": "random",
    "seed.train": "0",
}
CAUSES = {
    "config": {"unlearner.alpha": 1, "dataset.path": "a.csv", "model.hidden": [8, 8]},
    "modules": {"erasure.training.fit": "f1", "erasure.training.gradients": "g1"},
    "libraries": {"torch": "2.5.0"},
    "files": {"dataset.path=a.csv": "h1"},
}


def trial(fingerprint="now", tags=TAGS, **changes):
    causes = {section: {**CAUSES[section], **changes.get(section, {})} for section in CAUSES}
    return TrialRecord(name="", fingerprint=fingerprint, params={}, tags=tags, causes=causes)


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path)


def finish(store, record, ended=THEN, outcome="finished"):
    store.save(TrialResult(trial=record, outcome=outcome, ended=ended))


def changed(**changes):
    return {section: {**CAUSES[section], **changes.get(section, {})} for section in CAUSES}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"config": {"unlearner.alpha": 10}}, "unlearner.alpha is 10, was 1"),
        ({"config": {"unlearner.beta": 2}}, "unlearner.beta is 2, was not set"),
        ({"config": {"model.hidden": [9]}}, "model.hidden is [9], was [8, 8]"),
        (
            {"modules": {"erasure.training.gradients": "g2"}},
            "training/gradients.py changed since 3 November",
        ),
        (
            {"modules": {"erasure.training.gradients": "g2", "erasure.training.fit": "f2"}},
            "training/fit.py and training/gradients.py changed since 3 November",
        ),
        ({"modules": {"mine.method": "m"}}, "mine/method.py is used since 3 November"),
        ({"libraries": {"torch": "2.6.0"}}, "torch is 2.6.0, was 2.5.0"),
        ({"libraries": {"scipy": "1.1"}}, "scipy is 1.1, was not used"),
        (
            {"files": {"dataset.path=a.csv": "h2"}},
            "the files of dataset.path=a.csv changed since 3 November",
        ),
        ({}, "another version of erasure makes other results"),
    ],
)
def test_each_cause_has_its_words(changes, line):
    assert differences(CAUSES, changed(**changes), "3 November") == [line]


def test_several_differences_are_told_and_many_are_counted():
    config = {f"unlearner.{letter}": 1 for letter in "abcdef"}
    modules = {f"erasure.core.{letter}": "1" for letter in "abcde"}
    before = {**CAUSES, "modules": dict.fromkeys(modules, "0")}
    lines = differences(before, changed(config=config, modules=modules), "3 November")
    assert lines[:3] == [f"unlearner.{letter} is 1, was not set" for letter in "abc"]
    assert lines[3] == "3 other settings differ"
    assert lines[4].startswith("core/a.py, core/b.py, core/c.py and 2 others changed since")


def test_tuples_that_were_kept_as_lists_are_no_difference(store):
    finish(store, trial("before", config={"model.hidden": (8, 8)}))
    assert store.causes("before")["config"]["model.hidden"] == [8, 8]
    now = changed(config={"model.hidden": (8, 8)}, libraries={"torch": "3"})
    assert differences(store.causes("before"), now, "then") == ["torch is 3, was 2.5.0"]


def test_the_trial_of_the_same_settings_is_compared_first(store):
    finish(store, trial("same", modules={"erasure.training.fit": "f0"}))
    finish(store, trial("newer", config={"unlearner.alpha": 2}), ended=THEN + 60)
    expected = "runs again: training/fit.py changed since 3 November 2025"
    assert why_again(trial(), store) == why_again(trial(), store, same_settings=True) == expected


def test_the_latest_of_the_same_settings_is_compared(store):
    finish(store, trial("first", modules={"erasure.training.fit": "f0"}))
    finish(store, trial("second", libraries={"torch": "2.4.0"}), ended=THEN + 60)
    assert why_again(trial(), store) == "runs again: torch is 2.5.0, was 2.4.0"


def test_else_that_with_the_fewest_other_settings_is_and_then_the_latest(store):
    finish(store, trial("far", config={"unlearner.alpha": 2, "dataset.path": "b.csv"}))
    finish(store, trial("near", config={"unlearner.alpha": 3}))
    finish(store, trial("later", config={"unlearner.alpha": 4}))
    assert why_again(trial(), store) == "runs again: unlearner.alpha is 1, was 4"
    assert why_again(trial(), store, same_settings=True) == ""


@pytest.mark.parametrize("name", TAGS)
def test_a_trial_of_another_kind_is_not_it_again(store, name):
    finish(store, trial("before", tags={**TAGS, name: "other"}, libraries={"torch": "1"}))
    assert why_again(trial(), store) == ""


def test_what_did_not_finish_or_was_deleted_is_not_compared(store):
    finish(store, trial("failed", libraries={"torch": "1"}), outcome="failed")
    assert why_again(trial(), store) == ""
    finish(store, trial("gone", libraries={"torch": "2"}))
    store.forget("gone")
    assert why_again(trial(), store) == ""


def test_a_trial_that_finished_twice_is_listed_once_and_saving_it_again_lists_nothing(store):
    finish(store, trial("before"))
    store.mark_sent(store.find("before"), "run")
    assert len((store.root / "finished").read_text().splitlines()) == 1
    store.forget("before")
    finish(store, trial("before"), ended=THEN + 60)
    assert [each.ended for each in store.finished_like(trial())] == [THEN + 60]
    assert store.find("before").trial.causes == {}


def test_a_line_that_a_crash_cut_short_is_passed_over(store):
    finish(store, trial("before", libraries={"torch": "1"}))
    with (store.root / "finished").open("a") as file:
        file.write((store.root / "finished").read_text()[:20])
    assert why_again(trial(), store) == "runs again: torch is 2.5.0, was 1"


def test_many_results_are_not_opened(store, monkeypatch):
    for number in range(50):
        record = trial(f"earlier {number}".replace(" ", "-"), config={"unlearner.alpha": number})
        finish(store, replace(record, causes=record.causes))
    opened = []
    monkeypatch.setattr(type(store), "causes", lambda _, name: opened.append(name) or changed())
    why_again(trial(config={"unlearner.alpha": 99}), store)
    assert len(opened) == 20
    opened.clear()
    why_again(trial(config={"unlearner.alpha": 7}), store)
    assert opened == ["earlier-7"]


def test_days_are_written_as_in_a_sentence():
    noon = time.mktime((2026, 3, 5, 12, 7, 0, 0, 0, -1))
    day = 24 * 3600
    assert format_day(noon, now=noon + 60) == "5 March, 12:07"
    assert format_day(noon, now=noon + 3 * day) == "5 March"
    assert format_day(noon, now=noon + 370 * day) == "5 March 2026"
