import sys

import pytest

from erasure.core.errors import ConfigError
from erasure.launch import slots
from erasure.launch.slots import Resources, visible_gpus


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch):
    monkeypatch.setattr(slots, "_cores", lambda: 16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def gpus_of(dealt):
    return [slot.env.get("CUDA_VISIBLE_DEVICES") for slot in dealt]


@pytest.mark.parametrize(("threads", "count"), [(1, 16), (3, 5), (16, 1), (64, 1)])
def test_without_gpus_threads_share_the_cores(threads, count):
    dealt = Resources().slots(threads=threads, cpu_only=False)
    assert gpus_of(dealt) == [None] * count


def test_gpus_decide_when_there_are_some(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-7f")
    dealt = Resources(trials_per_gpu=2).slots(threads=1, cpu_only=False)
    assert gpus_of(dealt) == ["4", "GPU-7f", "4", "GPU-7f"]


def test_trials_that_ask_for_the_cpu_leave_gpus_alone(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert gpus_of(Resources(n_jobs=3).slots(threads=1, cpu_only=True)) == [None] * 3


def test_a_number_of_jobs_is_dealt_over_the_gpus():
    dealt = Resources(n_jobs=3, gpus=[0, 1]).slots(threads=1, cpu_only=True)
    assert gpus_of(dealt) == ["0", "1", "0"]


def test_none_hides_gpus():
    assert gpus_of(Resources(n_jobs=2, gpus="none").slots(threads=1, cpu_only=False)) == ["", ""]


@pytest.mark.parametrize(("value", "gpus"), [("", []), ("-1", []), ("2,0", ["2", "0"])])
def test_the_environment_names_the_visible_gpus(monkeypatch, value, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == gpus


def test_torch_is_asked_only_if_it_is_there(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(sys.modules["torch"].cuda, "device_count", lambda: 2)
    assert visible_gpus() == ["0", "1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_jobs": 0}, "n_jobs must be auto or at least 1, got 0"),
        ({"n_jobs": "many"}, "n_jobs must be auto or at least 1, got many"),
        ({"n_jobs": True}, "n_jobs must be auto or at least 1, got True"),
        ({"gpus": "all"}, "gpus must be auto, none or a list, got all"),
        ({"trials_per_gpu": 0}, "trials_per_gpu must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError, match=message):
        Resources(**settings)
