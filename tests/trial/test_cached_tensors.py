"""What the account of a trial remembers, and when it computes anew."""

import importlib.util

import torch

from erasure.core.splits import View
from erasure.data.pools.through import AuditedPool
from erasure.testing.toy import toy_pool
from erasure.training.tensor_cache import TensorCache
from erasure.trial.unlearning import _Account

METHOD = """
def compute_of(calls):
    def compute():
        calls.append({number})
        return {{"value": torch.full((2,), {number}.0)}}
    return compute
import torch
"""


def method(path, number):
    path.write_text(METHOD.format(number=number))
    spec = importlib.util.spec_from_file_location("edited_method", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compute_of


def account(folder):
    pool = AuditedPool.watch(toy_pool())
    made = _Account(pool, None, TensorCache(folder), torch.device("cpu"))
    return made, View(pool, torch.arange(5))


def ask(folder, compute, original="model", **settings):
    made, view = account(folder)
    return made.cached(original, "importance", view, compute, **settings)["value"].tolist()


def test_it_is_computed_once_for_model_settings_and_code(tmp_path):
    calls = []
    compute = method(tmp_path / "m.py", 1)(calls)
    assert ask(tmp_path, compute, size=2) == ask(tmp_path, compute, size=2) == [1.0, 1.0]
    assert calls == [1]
    ask(tmp_path, compute, size=3)
    ask(tmp_path, compute, "another", size=2)
    assert calls == [1, 1, 1]


def test_edited_code_computes_anew(tmp_path):
    calls = []
    assert ask(tmp_path, method(tmp_path / "m.py", 1)(calls)) == [1.0, 1.0]
    assert ask(tmp_path, method(tmp_path / "m.py", 2)(calls)) == [2.0, 2.0]
    assert calls == [1, 2]


def test_a_pass_that_was_not_made_is_accounted_all_the_same(tmp_path):
    compute = method(tmp_path / "m.py", 1)([])
    ask(tmp_path, compute)
    made, view = account(tmp_path)
    made.cached("model", "importance", view, compute)
    assert made.read_back
    assert made.audited.reads[:5].tolist() == [1] * 5
