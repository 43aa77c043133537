"""Whole trials: several requests in a row, swapped labels, backdoors, and splits used again."""

import io
import json

import pytest
import torch
from crafted_splits import craft
from rich.console import Console
from trials import assemble

from erasure.core.errors import ConfigError
from erasure.training.model_store import ModelStore
from erasure.trial.progress import Progress
from erasure.trial.run import run_trial
from erasure.trial.task import run

pytestmark = pytest.mark.slow


QUICK = ("tracking=none", "pictures=false", "dataset=digits", "trainer.fit.epochs=6")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("forgetting")


@pytest.fixture
def trial(compose_config, folder):
    """Carry out a trial on the digits and return its outcome, its parts and what was watched."""

    def carry_out(*overrides):
        parts = assemble(compose_config(*QUICK, *overrides), device=CPU)
        watch = Progress(Console(file=io.StringIO()))
        return run_trial(parts, ModelStore(folder / "store"), watch), parts, watch

    return carry_out


@pytest.fixture
def results(compose_config, folder):
    """Run trials as the program does, and return what was recorded of the last one."""

    def ran(*overrides, name="store"):
        places = (f"store.root={folder / name}", f"data.root={folder / 'data'}")
        run(compose_config(*QUICK, *places, "evaluator=fast", *overrides))
        trials = (folder / name / "trials").glob("*/result.json")
        last = max(trials, key=lambda path: path.stat().st_mtime_ns)
        return json.loads(last.read_text()), last.parent

    return ran


SEQUENTIAL = ("split=sequential", "split.requests=3")


@pytest.mark.parametrize("unlearner", ["finetune", "scrub"])
def test_three_requests_in_a_row(trial, unlearner):
    result, _, watch = trial(*SEQUENTIAL, f"unlearner={unlearner}", "evaluator=fast")
    assert result.ctx.costs["requests"] == 3
    points = watch.curves["unlearn/requested_accuracy"]
    assert [step for step, _ in points] == [1, 2, 3]
    assert all(0 <= value <= 1 for _, value in points)
    assert len(watch.curves["unlearn/val_accuracy"]) == 3
    assert not result.evaluation.errors
    last = result.ctx.logits("forget", "unlearned").argmax(1) == result.ctx.targets("forget")
    assert points[-1][1] == pytest.approx(last.double().mean().item())


def test_each_request_retains_what_was_not_asked_for_yet(trial):
    """Fine-tuning reads the third part in requests 1 and 2, the second in 1, the first never."""
    settings = ("unlearner=finetune", "unlearner.fit.epochs=2", "evaluator=fast")
    one, _, _ = trial(*SEQUENTIAL, *settings)
    assert one.ctx.costs["forget_passes"] == pytest.approx(2 * (0 + 1 + 2) / 3)
    assert one.ctx.costs["retain_passes"] == pytest.approx(2 * 3)


def test_retraining_at_every_request_ends_at_gold(trial):
    result, _, _ = trial(*SEQUENTIAL, "unlearner=retrain")
    assert torch.equal(result.ctx.logits("test", "unlearned"), result.ctx.logits("test", "gold"))
    values = result.evaluation.flat()
    assert values["gap/avg"] == 0.0
    assert result.ctx.costs["unlearn_seconds"] > result.ctx.costs["retrain_seconds"]


def test_requests_share_original_and_gold_with_a_single_one(trial):
    single, _, _ = trial("unlearner=finetune")
    several, _, _ = trial(*SEQUENTIAL, "unlearner=finetune")
    for role in ("original", "gold"):
        assert several.keys[role] == single.keys[role]


def test_a_backdoor_is_learned_and_gold_does_not_have_it(trial):
    result, _, _ = trial("split=poison", "split.target=7", "unlearner=finetune")
    ctx = result.ctx
    rates = {
        who: (ctx.logits("triggered", who).argmax(dim=1) == 7).double().mean().item()
        for who in ("original", "gold", "unlearned")
    }
    assert rates["original"] > 0.9
    assert rates["gold"] < 0.3
    assert 7 not in ctx.targets("triggered")
    assert set(ctx.targets("forget").tolist()) == {7}
    assert dict(ctx.splits.scenario)["target"] == 7


@pytest.mark.parametrize(("evaluator", "heldout"), [("standard", "test"), ("fast", "val")])
def test_probes_are_of_the_held_out_part_that_may_be_looked_at(trial, evaluator, heldout):
    result, parts, _ = trial(
        "split=poison", "unlearner=finetune", f"evaluator={evaluator}", "split.target=7"
    )
    seen = result.ctx.ids("triggered")
    allowed = getattr(parts.data.indices, heldout)
    assert torch.isin(seen, allowed).all()
    assert len(seen) == int((parts.data.pool.targets[allowed] != 7).sum())
    assert len(result.ctx.logits("triggered")) == len(seen)


def test_an_original_confuses_what_was_swapped_and_gold_does_not(trial):
    result, _, _ = trial(
        "split=confusion", "split.classes=[0,1]", "split.fraction=0.8", "unlearner=finetune"
    )
    ctx = result.ctx
    targets = ctx.targets("test")
    swap = {0: 1, 1: 0}
    confused = {}
    for who in ("original", "gold"):
        answers = ctx.logits("test", who).argmax(dim=1)
        confused[who] = sum(int(((targets == a) & (answers == b)).sum()) for a, b in swap.items())
    assert confused["original"] > 20
    assert confused["gold"] < 5
    assert ctx.splits.scenario == {"kind": "confusion", "classes": [0, 1]}
    assert set(ctx.targets("forget").tolist()) == {0, 1}


@pytest.mark.parametrize(
    "overrides",
    [
        (*SEQUENTIAL, "split@split.inner=class"),
        pytest.param(("split=confusion",), marks=pytest.mark.slow),
        pytest.param(("split=poison", "split.fraction=0.2"), marks=pytest.mark.slow),
    ],
)
def test_a_split_can_be_used_again_from_the_artifacts_of_a_trial(results, overrides):
    first, folder = results(*overrides, "unlearner=finetune")
    artifacts = folder / "artifacts"
    assert (artifacts / "split.json").is_file()
    again, other = results("split=artifact", f"split.path={artifacts}", "unlearner=finetune")
    assert other != folder
    same = {n for n in first["metrics"] if not n.endswith("log_time") and "cost/" not in n}
    assert len(same) > 10
    assert {n: first["metrics"][n] for n in same} == {n: again["metrics"][n] for n in same}
    split = json.loads((other / "artifacts" / "split.json").read_text())
    assert split == json.loads((artifacts / "split.json").read_text())


def test_a_split_of_other_data_is_refused_before_anything_is_trained(results, folder):
    _, first = results("unlearner=finetune")
    with pytest.raises(ConfigError, match=r"split\.path must be a split of these data"):
        results(
            "dataset=digits_noisy",
            "split=artifact",
            f"split.path={first / 'artifacts'}",
            name="elsewhere",
        )
    assert not list((folder / "elsewhere").rglob("weights.safetensors"))


def test_an_edited_list_of_ids_is_another_trial(results, compose_config, folder):
    ids = assemble(compose_config(*QUICK), device=CPU).data.indices.train.tolist()
    lists = [folder / "first.txt", folder / "second.txt"]
    for number, path in enumerate(lists):
        path.write_text("\n".join(map(str, ids[10 * number : 10 * number + 10])))
    asked = ("split=ids", f"split.path=[{lists[0]},{lists[1]}]", "unlearner=finetune")
    first, one = results(*asked)
    assert first["metrics"]["cost/optimizer_steps"] > 0
    lists[1].write_text("\n".join(map(str, ids[30:40])))
    _, other = results(*asked)
    assert one != other


OPTIONS = ["attribute", "subclass", "difficulty", "stratified", "ids"]


@pytest.mark.parametrize(
    "option",
    ["identity", "query", *(pytest.param(name, marks=pytest.mark.slow) for name in OPTIONS)],
)
def test_every_choice_makes_a_trial(compose_config, tmp_path, option):
    settings = craft(tmp_path, option)
    places = (f"store.root={tmp_path / 'store'}", f"data.root={tmp_path}")
    few = ("trainer.fit.epochs=2", "unlearner=ssd", "evaluator=fast")
    few += ("tracking=none", "pictures=false")
    run(compose_config(f"split={option}", *settings, *places, *few))
    (actual,) = (tmp_path / "store" / "trials").glob("*/result.json")
    assert json.loads(actual.read_text())["outcome"] == "finished"
