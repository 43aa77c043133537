"""Metrics of models and data of one's own."""

import logging
import math
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from own_data import own_models, own_parts

import erasure
from erasure.config.options import build_option
from erasure.core.errors import ConfigError, ErasureError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.metric import Value, share
from erasure.evaluation.evaluator import Evaluator
from erasure.metrics.utility.accuracy import Accuracy
from erasure.testing.surroundings import Surroundings
from erasure.testing.toy import toy_context


def evaluated(*who, **options):
    models, parts = own_models()
    others = {role: models[role] for role in who}
    return erasure.evaluate(models["unlearned"], **others, **{**parts, **options})


@pytest.mark.slow
def test_the_numbers_are_those_of_a_trial():
    metrics = ["accuracy", "loss_mia", "ua", "gap"]
    result = evaluated("original", "gold", metrics=metrics)
    ctx = toy_context()
    built = {name: build_option("metric", name) for name in metrics}
    theirs = Evaluator(metrics=built)(ctx).flat()
    others = ("gold/", "original/")
    assert dict(result) == {k: v for k, v in theirs.items() if not k.startswith(others)}
    assert result.gold["ua/forget"] == theirs["gold/ua/forget"]
    assert result.original["test/accuracy"] == theirs["original/test/accuracy"]
    assert result["gap/forget/accuracy"] == pytest.approx(
        abs(result["forget/accuracy"] - result.gold["forget/accuracy"])
    )
    assert not result.not_computed


def test_what_misses_something_is_absent_with_the_reason():
    result = evaluated(metrics=["accuracy", "gap", "weight_distance", "zrf", "guard", "ua"])
    assert len(result) == len(list(result)) == len([n for n in result if n in dict(result)])
    assert "gap/avg" not in result
    assert result.not_computed["gap/avg"].endswith("pass gold=")
    assert result.not_computed["weight_distance/to_original/l2"].endswith("pass original=")
    assert result.not_computed["guard/relative_weight_change"].endswith("pass original=")
    assert result.not_computed["zrf/score"].endswith("pass fresh=")
    assert result["guard/duplicates_forget_retain"] == 0
    assert (result.gold, result.original) == ({}, {})
    with pytest.raises(KeyError, match=r"gap/avg was not computed: .* pass gold="):
        result["gap/avg"]
    with pytest.raises(KeyError, match="ua/forgot was not measured"):
        result["ua/forgot"]
    assert repr(result).startswith("EvaluationResult({'forget/accuracy': ")


@pytest.mark.slow
def test_the_default_is_what_makes_sense_without_a_trial():
    _, _, fresh = own_parts()
    result = evaluated("original", "gold", fresh=fresh)
    rooms = {name.partition("/")[0] for name in [*result, *result.not_computed]}
    assert rooms >= {"forget", "mia", "gap", "cka", "zrf", "guard", "rf_jsd", "tow", "per_class"}
    assert not rooms & {"cost", "multilabel", "gap_z", "null_band", "backdoor"}
    assert not [reason for reason in result.not_computed.values() if "pass " in reason]
    assert result["guard/relative_weight_change"] > 0
    alone = evaluated()
    missing = {reason.rpartition(" ")[2] for reason in alone.not_computed.values()}
    assert missing >= {"gold=", "original=", "fresh="}
    assert set(alone) < set(result)


def test_the_frame_has_a_row_per_metric():
    frame = evaluated("gold", metrics=["accuracy", "gap", "weight_distance"]).to_frame()
    row = frame.loc["forget/accuracy"]
    assert row.ci_low <= row.unlearned <= row.ci_high
    assert 0 <= row.gold <= 1
    assert math.isnan(row.original)
    assert (row.direction, row.not_computed) == ("closer_to_gold", "")
    missing = frame.loc["weight_distance/to_original/l2"]
    assert math.isnan(missing.unlearned)
    assert missing.not_computed.endswith("pass original=")


def test_samples_for_choosing_settings_have_names_of_their_own():
    _, parts = own_models()
    test = parts["test"]
    assert "val/accuracy" in evaluated(test=None, val=test, metrics=["accuracy"])
    both = evaluated(val=(test[0][:5], test[1][:5]), metrics=["accuracy"])
    assert sorted(both) == ["forget/accuracy", "retain/accuracy", "test/accuracy"]


@dataclass(frozen=True)
class Share:
    """A metric of one's own."""

    broken: bool = False

    def values(self, parts):
        return {"mine/share": Value(share("max", "Samples with a high first logit."), self.number)}

    def number(self, ctx):
        if self.broken:
            raise ZeroDivisionError
        return float((ctx.logits("forget")[:, 0] > 0).double().mean())


def test_metrics_are_names_or_objects(capfd, monkeypatch):
    # a test before may have left a handler that writes where nobody reads any more
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    result = evaluated(metrics=["accuracy", Share()])
    assert 0 <= result["mine/share"] <= 1
    result = evaluated(metrics={"a": Share(broken=True), "b": "ua", "c": Accuracy()})
    assert result.not_computed == {"mine/share": "ZeroDivisionError"}
    assert "ua/forget" in result
    assert capfd.readouterr() == ("", "")


def test_models_and_the_process_are_left_as_they_were(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    models, parts = own_models()
    before = {who: model_fingerprint(model) for who, model in models.items()}
    models["original"].eval()
    surroundings = Surroundings.capture()
    erasure.evaluate(
        models["unlearned"], models["original"], **parts, metrics=["accuracy", "mia_efficacy_svc"]
    )
    later = Surroundings.capture()
    assert not surroundings.drawn(later)
    assert not surroundings.changed(later)
    assert {who: model_fingerprint(model) for who, model in models.items()} == before
    assert not models["original"].training
    assert models["unlearned"].training
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test": None}, "test must be samples that no model was trained on, or val"),
        ({"metrics": ["acuracy"]}, "there is no metric 'acuracy'; did you mean accuracy?"),
        ({"metrics": "accuracy"}, "metrics must be a list of names or objects"),
        ({"metrics": []}, "metrics must name at least one metric"),
        ({"metrics": [Accuracy(), Accuracy()]}, "metrics must be a mapping"),
        ({"metrics": ["accuracy"], "batch_size": 0}, "batch_size must be >= 1"),
    ],
)
def test_what_is_wrong_is_told_in_one_message(arguments, message):
    with pytest.raises(ErasureError) as caught:
        evaluated(**arguments)
    assert message in str(caught.value)


def test_untrained_networks_must_be_of_the_same_kind():
    result = evaluated(metrics=["zrf"], fresh=partial(torch.nn.Identity))
    assert list(result.not_computed.values()) == [ConfigError.__name__]
