"""One trial, from the command line to the database."""

import json
import math
import sqlite3

import pytest
from running import models, results


@pytest.fixture(scope="module")
def folder(tmp_path_factory, erasure):
    folder = tmp_path_factory.mktemp("trial")
    done = erasure(folder, "unlearner=scrub")
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


def rows(folder, query):
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        return database.execute(query).fetchall()


def test_the_table_shows_three_models_and_how_to_look_at_them(folder):
    shown = (folder / "stdout.txt").read_text()
    for text in ("original", "unlearned", "retrained gold", "forget accuracy", "retain accuracy"):
        assert text in shown
    for text in ("test accuracy", "loss-MIA AUC", "average gap to gold", "seconds", "speed-up"):
        assert text in shown
    assert f"mlflow ui --backend-store-uri sqlite:///{folder}/mlruns/mlflow.db" in shown


def test_the_demo_has_something_to_show(folder):
    (result,) = results(folder)
    metrics = result["metrics"]
    assert metrics["original/forget/accuracy"] == 1.0
    assert metrics["original/mia/loss/auc"] > 0.58
    assert abs(metrics["gold/mia/loss/auc"] - 0.5) < 0.06
    assert metrics["gold/gap/avg"] == 0.0
    assert 0 < metrics["gap/avg"] < metrics["original/gap/avg"]
    assert metrics["cost/speedup"] == pytest.approx(
        metrics["cost/retrain_seconds"] / metrics["cost/unlearn_seconds"]
    )


def test_ten_epochs_of_scrub_read_what_they_say(folder):
    metrics = results(folder)[0]["metrics"]
    expected = {"forget": 4.0, "retain": 11.0}  # msteps and epochs, and one pass of the teacher
    for part, passes in expected.items():
        assert metrics[f"cost/{part}_passes"] == passes
    forget_steps = 2  # 129 = 64 + 65: a tail of one sample joins the batch before it
    retain_steps = math.ceil(1165 / 32)
    assert metrics["cost/optimizer_steps"] == 3 * forget_steps + 10 * retain_steps


def test_two_models_were_trained_and_stored(folder):
    assert results(folder)[0]["trained"] == 2
    assert len(models(folder)) == 2


def test_the_run_is_in_the_database(folder):
    ((name, status),) = rows(folder, "select name, status from runs")
    assert (name, status) == ("scrub · digits_noisy · mlp · seed 0", "FINISHED")
    keys = {key for (key,) in rows(folder, "select key from latest_metrics")}
    assert {"forget/accuracy", "mia/loss/auc", "gap/avg", "cost/unlearn_seconds"} <= keys
    params = dict(rows(folder, "select key, value from params"))
    assert params["unlearner.alpha"] == "0.5"
    assert params["seeds.train"] == "0"
    tags = dict(rows(folder, "select key, value from tags"))
    assert tags["unlearner"] == "scrub"
    stored = {path.parent.name for path in models(folder)}
    assert {tags["store.original"], tags["store.gold"]} == stored


def test_the_artifacts_are_there(folder):
    (file,) = (folder / "mlruns").rglob("metrics.json")
    names = {path.name for path in file.parent.iterdir()}
    wanted = {"config.yaml", "per_sample.parquet", "split.safetensors", "loss_histograms.png"}
    assert wanted <= names
    meaning = json.loads(file.read_text())
    assert "direction" in json.dumps(meaning["gap/avg"])


@pytest.mark.slow
def test_the_same_command_reads_the_trial_back(folder, erasure):
    before = results(folder)
    again = erasure(folder, "unlearner=scrub")
    assert again.returncode == 0
    assert "finished before" in again.stdout
    assert results(folder) == before
    assert len(rows(folder, "select 1 from runs")) == 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(folder, erasure, tmp_path):
    other = erasure(tmp_path, "unlearner=scrub", "tracking=none")
    assert other.returncode == 0, other.stderr
    mine, theirs = results(folder)[0]["metrics"], results(tmp_path)[0]["metrics"]
    timed = ("seconds", "speedup", "share_of_retraining", "peak_memory", "log_time")
    same = {name for name in mine if not any(word in name for word in timed)}
    assert len(same) > 40
    assert {name: mine[name] for name in same} == {name: theirs[name] for name in same}
    assert [path.parent.name for path in models(folder)] == [
        path.parent.name for path in models(tmp_path)
    ]
    for one, two in zip(models(folder), models(tmp_path), strict=True):
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_a_store_entry_cut_in_half_is_trained_again(folder, erasure):
    before = results(folder)[0]["metrics"]
    victim = models(folder)[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    done = erasure(folder, "unlearner=scrub", "resume=false", "tracking=none")
    assert done.returncode == 0
    assert "is damaged" in done.stdout + done.stderr
    assert results(folder)[0]["trained"] == 1
    assert victim.read_bytes() == whole
    assert results(folder)[0]["metrics"]["gap/avg"] == before["gap/avg"]


@pytest.mark.slow
def test_a_method_that_changes_nothing_fails(folder, erasure):
    done = erasure(folder, "unlearner=finetune", "unlearner.fit.epochs=0", "tracking=none")
    assert done.returncode == 1
    assert "with no weight changed" in done.stderr
    (failed,) = [result for result in results(folder) if result["outcome"] == "failed"]
    assert not failed["metrics"]


@pytest.mark.slow
def test_a_diverged_trial_has_no_numbers(folder, erasure):
    done = erasure(folder, "unlearner=grad_ascent", "unlearner.fit.optimizer.lr=1e30")
    assert done.returncode == 1
    assert "fit.optimizer.lr" in done.stderr
    (diverged,) = [result for result in results(folder) if result["outcome"] == "diverged"]
    assert not diverged["metrics"]
    assert "FAILED" in {status for (status,) in rows(folder, "select status from runs")}
