"""One database per session: a sweep with all that goes wrong, and strange runs."""

import sqlite3
import warnings
from contextlib import closing

import pytest
from tracked import Writer, roles, trial_of, write_main_sweep


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("analysis")


@pytest.fixture(scope="session")
def uri(folder):
    """An MLflow database with these experiments: erasure, mixed, foreign, empty."""
    database = f"sqlite:///{folder}/mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = Writer(database, folder, "erasure")
        write_main_sweep(writer)
        parent = writer.open_sweep("one seed", "python run.py -m unlearner=finetune", "sweep-one")
        earlier = trial_of("finetune", "", 0)
        runs = writer.client.search_runs(
            [writer.client.get_experiment_by_name("erasure").experiment_id],
            f"tags.`erasure.fingerprint` = '{earlier.fingerprint}'",
        )
        listed = [(earlier, ["unlearner=finetune"], "finished", "", runs[0].info.run_id)]
        writer.close_sweep(parent, listed)
        mixed = Writer(database, folder, "mixed")
        for seed, commit in ((0, "b" * 40), (1, "c" * 40)):
            tags = {"mlflow.source.git.commit": commit, "erasure.host": f"box{seed}"}
            mixed.trial(trial_of("scrub", "", seed, "other"), roles("scrub", "", seed), **tags)
        strange = writer.client.create_experiment("foreign", f"file://{folder}/foreign")
        writer.client.create_run(strange, run_name="somebody else's")
        writer.client.create_experiment("empty", f"file://{folder}/empty")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # tests copy the file
    return database


@pytest.fixture(scope="session")
def results(uri):
    from multirun_analysis import load

    return load(uri, parents=["6 methods × 5 seeds"])
