"""Data that changed under the same command make its trials run again."""

import pytest
from running import results

from erasure.trial.data import _pool
from erasure.trial.task import run


@pytest.fixture
def trial(compose_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def go(data_root):
        _pool.cache_clear()  # as another process would
        places = [f"store.root={tmp_path}/store", f"data.root={tmp_path}/{data_root}"]
        quick = ["tracking=none", "pictures=false", "evaluator=fast", "trainer.fit.epochs=1"]
        cfg = compose_config("dataset=iris", "unlearner=finetune", *places, *quick)
        return run(cfg)

    return go


@pytest.mark.slow
def test_a_finished_trial_is_read_back_only_while_its_data_are_the_same(
    trial, tmp_path, monkeypatch
):
    """No setting names the data of a bundled set, as none names those of a hub."""
    trial("a")
    (first,) = results(tmp_path)
    trial("a")
    assert results(tmp_path) == [first]

    import sklearn.datasets

    iris = sklearn.datasets.load_iris()
    iris.data[0, 0] += 1.0
    monkeypatch.setattr(sklearn.datasets, "load_iris", lambda **_: iris)
    trial("b")
    (second,) = results(tmp_path)
    assert second["trial"]["fingerprint"] == first["trial"]["fingerprint"]
    assert second["ended"] > first["ended"]
    assert second["trial"]["tags"]["store.data"] != first["trial"]["tags"]["store.data"]
