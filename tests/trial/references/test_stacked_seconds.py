"""Models that are trained together share out the seconds it took."""

from itertools import count
from types import SimpleNamespace

from trials import assemble

from erasure.core.splits import View
from erasure.training.model_store import ModelStore
from erasure.trial.references import training

SECONDS = 8.0


def test_each_stacked_model_costs_its_share_of_the_seconds(compose_config, tmp_path, monkeypatch):
    parts = assemble(
        compose_config(
            "dataset=digits",
            "model.hidden=[12]",
            "trainer.fit.epochs=1",
            "tracking=none",
            "device=cpu",
        )
    )
    view = View(parts.data.pool, parts.data.indices.retain)
    wanted = [SimpleNamespace(view=view, seed=seed) for seed in (1, 2)]
    ticks = count(step=SECONDS)  # every look at the clock is eight seconds after the last
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    store = ModelStore(tmp_path)
    trained = list(training._stacked(parts, store, wanted))
    assert [model.seconds for model in trained] == [SECONDS / 2, SECONDS / 2]
    assert [store.meta(model.key)["seconds"] for model in trained] == [SECONDS / 2, SECONDS / 2]
