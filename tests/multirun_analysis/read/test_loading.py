"""Loading: what is read, how it is labelled, and what is refused."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from multirun_analysis import AnalysisError, load
from multirun_analysis.errors import near
from multirun_analysis.read.conditions import TrialSetup, label
from multirun_analysis.read.database import DatabaseSource
from multirun_analysis.read.measurements import role_of
from multirun_analysis.read.server import ServerSource, attach, download
from multirun_analysis.read.tracking import local_folder


def one(results, metric, role="unlearned", **where):
    """Return the row of a value, by columns of its run."""
    rows = results.measured(metric, role)
    for column, value in where.items():
        rows = rows[rows[column] == value]
    (row,) = rows.to_dict("records")
    return row


def test_every_trial_of_a_sweep_is_a_row_even_the_one_that_never_ran(results):
    assert len(results.runs) == 30
    assert results.runs["outcome"].value_counts().to_dict() == {
        "finished": 28,
        "diverged": 1,
        "not run": 1,
    }
    missing = results.runs[results.runs["outcome"] == "not run"].iloc[0]
    assert (missing["unlearner"], missing["seed_train"]) == ("grad_ascent", 4)
    assert missing["run_id"] == "not run:grad_ascent--digits-4"
    assert results.runs["run_id"].is_unique


def test_values_have_role_value_interval_and_size(results):
    row = one(results, "forget/accuracy", method="finetune", seed=2)
    assert (row["value"], row["status"], row["n"]) == (0.95, "ok", 50)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.94, 0.96))
    assert one(results, "forget/accuracy", "gold", method="finetune", seed=2)["value"] == 0.72
    assert one(results, "mia/loss/auc", "original", method="finetune", seed=2)["value"] == 0.75


def test_a_value_that_cannot_be_computed_keeps_its_reason(results):
    row = one(results, "mia/loss/auc", method="scrub (alpha=0.9)", seed=3)
    assert row["value"] != row["value"]
    values = results.values
    (status,) = values[(values["run_id"] == row["run_id"]) & values["value"].isna()].to_dict(
        "records"
    )
    assert (status["metric"], status["status"]) == ("mia/loss/auc", "degenerate")
    assert status["reason"] == "constant_score"


def test_the_grid_of_values_is_complete_and_nan_exactly_without_ok(results):
    values = results.values
    assert (values["value"].isna() == (values["status"] != "ok")).all()
    declared = [name for name, meaning in results.schema.items() if meaning.declared]
    mine = values[(values["role"] == "unlearned") & values["metric"].isin(declared)]
    assert len(mine) == 30 * len(declared)
    diverged = mine[mine["status"] == "diverged"]
    assert set(diverged["reason"]) == {"the loss became nan"}
    assert len(diverged) == len(declared)
    assert not values.duplicated(["run_id", "role", "metric"]).any()


def test_meaning_comes_from_metrics_json(results):
    meaning = results.schema["cost/unlearn_seconds"]
    assert (meaning.direction, meaning.unit, meaning.low) == ("min", "s", 0.0)
    assert meaning.high == float("inf")
    assert results.schema["gap/avg"].ideal == 0.0
    curve = results.schema["unlearn/loss"]
    assert (curve.direction, curve.declared) == ("info", False)
    assert results.schema["seconds/unlearn"].unit == "s"


def test_settings_that_were_swept_make_the_method(results):
    assert list(dict.fromkeys(results.runs["method"])) == [
        "scrub (alpha=0.5)",
        "scrub (alpha=0.9)",
        "identity",
        "retrain",
        "finetune",
        "grad_ascent",
    ]
    assert set(results.runs["block"]) == {"digits · mlp · random"}
    references = results.runs[results.runs["reference"]]
    assert set(references["method"]) == {"identity", "retrain"}
    assert set(results.runs["hardware"]) == {"box, device=cuda, threads=1", ""}
    assert results.objective == {"gap/avg": "minimize"}


def test_the_last_sweep_is_the_default_and_brings_trials_that_had_finished_before(uri):
    results = load(uri)
    assert [sweep.name for sweep in results.sweeps] == ["one seed"]
    assert results.runs["method"].tolist() == ["finetune"]
    assert "the last of 2 sweeps" in results.notes[0]


def test_a_parent_is_named_by_the_beginning_of_its_id(uri, results):
    sweep = results.sweeps[0]
    assert load(uri, parents=[sweep.run_id[:6]]).sweeps[0].name == sweep.name


def test_a_whole_experiment_holds_each_trial_once(uri):
    results = load(uri, experiments=["erasure"])
    assert len(results.runs) == 30
    assert len(results.sweeps) == 2


def test_an_earlier_attempt_gives_way_to_the_one_that_finished(uri, folder, tmp_path):
    shutil.copy(folder / "mlflow.db", tmp_path / "copy.db")
    database = f"sqlite:///{tmp_path}/copy.db"
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection, connection:
        same = "UPDATE tags SET value = 'finetune--digits-0' WHERE key = 'erasure.fingerprint'"
        connection.execute(f"{same} AND value = 'grad_ascent--digits-3'")
    results = load(database, experiments=["erasure"])
    assert "1 runs are earlier attempts at the same trials" in results.notes
    kept = results.runs[results.runs["fingerprint"] == "finetune--digits-0"]
    assert kept["outcome"].tolist() == ["finished"]


def test_the_server_and_the_database_say_the_same(uri):
    database, server = DatabaseSource(uri), ServerSource(uri)
    assert database.experiments() == server.experiments()
    experiment_ids = list(database.experiments())
    both = [
        {run.run_id: run for run in source.search(experiment_ids)} for source in (database, server)
    ]
    assert both[0] == both[1]
    assert len(both[0]) == 34
    tagged = [
        {run.run_id for run in source.search(experiment_ids, "unlearner", "finetune")}
        for source in (database, server)
    ]
    assert tagged[0] == tagged[1]
    assert len(tagged[0]) == 5
    some = sorted(tagged[0])[:2]
    fetched = [{run.run_id for run in s.fetch(experiment_ids, some)} for s in (database, server)]
    assert fetched == [set(some), set(some)]


def test_files_on_another_machine_are_fetched_only_as_needed(uri, results, monkeypatch):
    """One per evaluator for the meaning, and the run that lacks a value, for the reason."""
    from multirun_analysis.read import metrics_file

    local, fetched = metrics_file.artifact, []

    def remember(uri, run_id, artifact_uri, name):
        fetched.append(run_id)
        return local(uri, run_id, artifact_uri, name)

    monkeypatch.setattr(metrics_file, "local_folder", lambda _: None)
    monkeypatch.setattr(metrics_file, "artifact", remember)
    far = load(uri, parents=["6 methods × 5 seeds"])
    assert len(fetched) == 2
    assert any("fetched from 2 of 28 runs" in note for note in far.notes)
    row = one(far, "mia/loss/auc", method="scrub (alpha=0.9)", seed=3)
    assert row["status"] == "degenerate"
    assert one(far, "gap/avg", method="finetune", seed=1)["value"] == pytest.approx(0.12)
    assert far.schema.keys() == results.schema.keys()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"experiments": ["erasur"]}, "no experiment 'erasur'; did you mean erasure?"),
        ({"parents": ["One Seed"]}, "no sweep 'One Seed'; did you mean one seed?"),
        ({"experiments": ["empty"]}, "no runs found in the experiment empty"),
        ({"experiments": ["foreign"]}, "they were not written by erasure"),
        ({"experiments": ["mixed"]}, "mix commits: bbbbbbbbbbbb (1 runs), cccccccccccc (1 runs)"),
        ({"experiments": ["erasure", "foreign"]}, "1 of 32 runs lack the tag"),
    ],
)
def test_what_would_mislead_is_refused(uri, choice, message):
    with pytest.raises(AnalysisError) as error:
        load(uri, **choice)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_mixed_runs_are_accepted_on_request_and_said_so(uri):
    results = load(uri, experiments=["mixed"], allow_mixed=True)
    assert len(results.runs) == 2
    assert any("mix commits" in note for note in results.notes)
    assert any("mix hardware" in note for note in results.notes)
    both = load(uri, experiments=["erasure", "foreign"], allow_mixed=True)
    assert any("left out: 1 of 32 runs" in note for note in both.notes)


def test_a_trial_is_no_parent(uri, results):
    run = results.runs.iloc[0]["run_id"]
    with pytest.raises(AnalysisError, match="is a trial"):
        load(uri, parents=[run])


def test_a_database_that_is_not_there_is_not_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(AnalysisError, match=r"there is no file mlruns/mlflow\.db"):
        load()
    assert not list(tmp_path.iterdir())


def test_a_database_of_something_else_is_named(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE things (id INTEGER)")
    with pytest.raises(AnalysisError, match="must name an MLflow database"):
        load(f"sqlite:///{tmp_path}/other.db")


def test_metrics_without_any_metrics_json_are_refused(folder, tmp_path):
    shutil.copy(folder / "mlflow.db", tmp_path / "moved.db")
    with closing(sqlite3.connect(tmp_path / "moved.db")) as connection, connection:
        connection.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, '/a', '/gone')")
    with pytest.raises(AnalysisError, match="nobody knows what its metrics mean"):
        load(f"sqlite:///{tmp_path}/moved.db", experiments=["erasure"])


def test_a_curve_named_like_a_role_is_no_value_of_that_role():
    declared = {"forget/loss"}
    assert role_of("gold/forget/loss", declared) == ("gold", "forget/loss")
    assert role_of("gold/loss", declared) == ("unlearned", "gold/loss")


def test_artifacts_are_local_only_with_a_file_address():
    assert str(local_folder("file:///a%20b/c")) == "/a b/c"
    assert local_folder("mlflow-artifacts:/1/x/artifacts") is None
    assert local_folder("s3://bucket/x") is None


def test_files_are_fetched_through_the_client_and_attached_to_a_run(uri, results, tmp_path):
    run = results.runs.iloc[0]["run_id"]
    fetched = download(uri, run, "metrics.json")
    assert "forget/accuracy" in fetched.read_text()
    assert download(uri, run, "nothing.json") is None
    (tmp_path / "index.html").write_text("a page")
    attach(uri, run, tmp_path, "report")
    assert download(uri, run, "report/index.html").read_text() == "a page"
    assert download(uri, run, "report/nothing.html") is None


def test_near_names_ignore_case_and_fall_back_to_what_there_is():
    assert near("GAP", ["gap", "other"]) == "did you mean gap?"
    assert near("zzz", ["gap", "other"]) == "there are gap, other"
    assert near("zzz", []) == "there are none"


def trial(unlearner, trainer="adam", complete=True, **settings):
    tags = {"unlearner": unlearner, "dataset": "d", "model": "m", "split": "s"}
    tags |= {"trainer": trainer, "evaluator": "standard"}
    spelled = {key.replace("__", "."): value for key, value in settings.items()}
    return TrialSetup(tags=tags, settings=spelled, complete=complete)


def test_a_swept_trainer_doubles_the_blocks_of_all_methods():
    trials = [trial("a", "adam"), trial("a", "one_cycle"), trial("b", "adam")]
    blocks = [labels.block for labels in label(trials)]
    assert blocks == ["d · m · s (trainer=adam)", "d · m · s (trainer=one_cycle)", blocks[0]]


def test_a_trainer_that_belongs_to_a_method_opens_no_block():
    trials = [trial("sisa", "sharded", trainer__shards="4"), trial("b", "adam", trainer__lr="1")]
    assert [labels.block for labels in label(trials)] == ["d · m · s"] * 2


def test_seeds_devices_and_places_make_no_condition():
    same = {"unlearner__alpha": "1", "trainer__lr": "2"}
    trials = [
        trial(
            "a", seed=str(k), seeds__train=str(k), device=f"cuda:{k}", store__root=str(k), **same
        )
        for k in range(3)
    ]
    assert {labels.condition for labels in label(trials)} == {"a · d · m · s"}


def test_a_trial_that_died_is_labelled_by_its_overrides():
    finished = [trial("a", unlearner__lr="0.001", unlearner__k="1") for _ in range(2)]
    died = [
        trial("a", complete=False, unlearner__lr="1e-3"),
        trial("a", complete=False, unlearner__lr="1e9"),
    ]
    methods = [labels.method for labels in label([*finished, *died])]
    assert methods == ["a (lr=0.001)"] * 3 + ["a (lr=1000000000)"]
