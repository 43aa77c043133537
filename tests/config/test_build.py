"""Building objects from configuration: what is refused, and in which words."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from erasure.config.build import build, owner
from erasure.core.errors import ConfigError, UnsupportedError

HERE = __name__


@dataclass(frozen=True, kw_only=True)
class Inner:
    epochs: int = 1
    rate: float = 0.1
    make: Callable[[int], Any] | None = None

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ConfigError(f"epochs must be >= 0, got {self.epochs}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = 1
    rate: float = 0.5
    name: str = "a"
    flag: bool = False
    mode: Literal["train", "eval"] = "train"
    clip: float | None = None
    widths: Sequence[int] = (1,)
    labels: Sequence[int | str] = ()
    pair: tuple[float, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    inner: Inner | None = None
    anything: Any = None

    def __post_init__(self) -> None:
        if self.rate > 1:
            raise ConfigError(f"rate must be <= 1, got {self.rate}")
        if self.name == "odd":
            raise UnsupportedError("nothing goes with this")
        if self.name == "broken":
            raise ZeroDivisionError("by name")


class Required:
    def __init__(self, shape, classes, extra=None):
        self.arguments = (tuple(shape), classes, extra)


def anything_goes(**settings):
    return settings


NOT_CALLABLE = 3


def built(target="Outer", offered=None, **settings):
    root = OmegaConf.create({"unlearner": {"_target_": f"{HERE}.{target}", **settings}})
    return build(root.unlearner, "unlearner", **(offered or {}))


def refused(**settings):
    with pytest.raises(ConfigError) as error:
        built(**settings)
    return str(error.value)


def inner(**settings):
    return {"_target_": f"{HERE}.Inner", **settings}


def test_settings_arrive_as_plain_values():
    outer = built(
        count=2,
        rate=1,
        widths=[1, 2],
        labels=[3, "three"],
        options={"a": {"b": [1]}},
        inner=inner(epochs=4),
        clip=None,
        anything=["x", {"y": 1}],
    )
    assert outer == Outer(
        count=2,
        rate=1,
        widths=[1, 2],
        labels=[3, "three"],
        options={"a": {"b": [1]}},
        inner=Inner(epochs=4),
        anything=["x", {"y": 1}],
    )
    assert type(outer.widths) is list
    assert type(outer.options) is dict
    assert type(outer.options["a"]) is dict


def test_partial_components_are_built_later():
    target = {"_target_": f"{HERE}.Required", "_partial_": True, "extra": 5}
    make = built(inner=inner(make=target)).inner.make
    assert make((1,), 2).arguments == ((1,), 2, 5)


ACCEPTED = [
    {"rate": 1},
    {"clip": 1},
    {"clip": 0.5},
    {"mode": "eval"},
    {"widths": []},
    {"labels": ["a", 1]},
    {"pair": [1, 2.5]},
    {"anything": True},
    {"flag": True},
    {"options": {}},
]


@pytest.mark.parametrize("settings", ACCEPTED, ids=str)
def test_fitting_values_are_accepted(settings):
    (name,) = settings
    assert getattr(built(**settings), name) == settings[name]


REFUSED = [
    ({"count": "many"}, "unlearner.count must be a whole number, got 'many'"),
    ({"count": 1.5}, "unlearner.count must be a whole number, got 1.5"),
    ({"count": True}, "unlearner.count must be a whole number, got True"),
    ({"count": None}, "unlearner.count must be a whole number, got None"),
    ({"count": [1]}, "unlearner.count must be a whole number, got [1]"),
    ({"rate": "0.1"}, "unlearner.rate must be a number, got '0.1'"),
    ({"rate": False}, "unlearner.rate must be a number, got False"),
    ({"name": 3}, "unlearner.name must be text, got 3"),
    ({"flag": 1}, "unlearner.flag must be true or false, got 1"),
    ({"flag": "yes"}, "unlearner.flag must be true or false, got 'yes'"),
    ({"mode": "test"}, "unlearner.mode must be one of train, eval, got 'test'"),
    ({"clip": "no"}, "unlearner.clip must be a number or null, got 'no'"),
    ({"widths": 3}, "unlearner.widths must be a list of whole numbers, got 3"),
    ({"widths": "33"}, "unlearner.widths must be a list of whole numbers, got '33'"),
    ({"widths": [1, "a"]}, "unlearner.widths must be a list of whole numbers, got [1, 'a']"),
    ({"labels": [1.5]}, "unlearner.labels must be a list of whole numbers or texts, got [1.5]"),
    ({"inner": inner(epochs="x")}, "unlearner.inner.epochs must be a whole number, got 'x'"),
    ({"inner": inner(epochs=-1)}, "unlearner.inner.epochs must be >= 0, got -1"),
    ({"rate": 1.5}, "unlearner.rate must be <= 1, got 1.5"),
    ({"count": "???"}, "unlearner.count must be set, it has no default"),
    ({"inner": inner(rate="???")}, "unlearner.inner.rate must be set, it has no default"),
    (
        {"cuont": 1},
        "unlearner.cuont is not a setting here, only count, rate, name, flag, mode, clip, widths, "
        "labels, pair, options, inner, anything are; did you mean unlearner.count?",
    ),
    (
        {"inner": inner(zzz=1)},
        "unlearner.inner.zzz is not a setting here, only epochs, rate, make are",
    ),
    ({"name": "broken"}, "unlearner cannot be built: ZeroDivisionError: by name"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_does_not_fit_is_refused_with_its_full_path(settings, message):
    assert refused(**settings) == message


def test_other_errors_a_user_can_mend_pass_as_they_are():
    with pytest.raises(UnsupportedError, match=r"^nothing goes with this$"):
        built(name="odd")


def test_a_missing_argument_is_told():
    assert refused(target="Required", shape=[1]) == (
        "unlearner cannot be built: TypeError: Required.__init__() missing 1 required positional "
        "argument: 'classes'"
    )


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere.Method", "No module named 'nowhere'"),
        (f"{HERE}.Nothing", f"No module named '{HERE}.Nothing'; '{HERE}' is not a package"),
        (f"{HERE}.Outer.nothing", "type object 'Outer' has no attribute 'nothing'"),
        ("..relative", "Error loading '..relative': invalid dotstring."),
        ("", "Empty path"),
    ],
)
def test_a_target_that_cannot_be_imported_is_told_once(target, reason, caplog):
    node = OmegaConf.create({"unlearner": {"_target_": target}}).unlearner
    with pytest.raises(ConfigError) as error, caplog.at_level(logging.DEBUG):
        build(node, "unlearner")
    assert str(error.value) == f"unlearner._target_={target} cannot be imported: {reason}"
    assert caplog.messages == []


def test_a_module_that_breaks_on_import_is_told(tmp_path, monkeypatch):
    (tmp_path / "breaks_on_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = OmegaConf.create({"_target_": "breaks_on_import.Method"})
    with pytest.raises(ConfigError, match="cannot be imported: division by zero"):
        build(node, "unlearner")


def test_targets_that_are_no_targets_are_refused():
    node = OmegaConf.create({"_target_": f"{HERE}.NOT_CALLABLE"})
    with pytest.raises(ConfigError, match=r"unlearner\._target_=.* is not callable"):
        build(node, "unlearner")
    with pytest.raises(
        ConfigError, match=r"^model must be an option with a _target_, got \{'a': 1\}"
    ):
        build(OmegaConf.create({"a": 1}), "model")


def test_an_unset_target_is_told_like_any_other_setting():
    with pytest.raises(ConfigError) as error:
        build(OmegaConf.create({"_target_": "???"}), "unlearner")
    assert str(error.value) == "unlearner._target_ must be set, it has no default"


def test_offered_arguments_fill_what_the_target_takes_and_nothing_else():
    offered = {"shape": (1, 8, 8), "classes": 10, "vocabulary": 99}
    assert built("Required", offered).arguments == ((1, 8, 8), 10, None)
    assert built("Outer", offered) == Outer()
    assert built("anything_goes", offered).keys() == offered.keys()


def test_what_the_configuration_says_wins_over_what_is_offered():
    offered = {"shape": (1, 8, 8), "classes": 10}
    assert built("Required", offered, classes=7).arguments == ((1, 8, 8), 7, None)
    assert built("Required", offered, classes=None).arguments == ((1, 8, 8), 10, None)


def test_classes_of_other_libraries_are_checked_as_far_as_they_say():
    rate = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
    assert built(inner=inner(make=rate)).inner.make.keywords == {"lr": 0.1}
    message = refused(inner=inner(make={**rate, "momentun": 0.9}))
    assert message.startswith(
        "unlearner.inner.make.momentun is not a setting here, only params, lr"
    )
    assert message.endswith("did you mean unlearner.inner.make.momentum?")


def test_interpolations_are_resolved_before_they_are_checked():
    root = OmegaConf.create(
        {"size": "big", "unlearner": {"_target_": f"{HERE}.Outer", "count": "${size}"}}
    )
    with pytest.raises(ConfigError, match=r"unlearner\.count must be a whole number, got 'big'"):
        build(root.unlearner, "unlearner")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("fraction must be < 1", "split.fraction must be < 1"),
        ("fraction=0.1 is too small", "split.fraction=0.1 is too small"),
        ("the forget set is empty", "split: the forget set is empty"),
        ("split.fraction is known", "split.fraction is known"),
    ],
)
def test_the_owner_of_an_error_is_named_once(message, expected):
    with pytest.raises(ConfigError) as error, owner("split", {"fraction": 0.1}):
        raise ConfigError(message)
    assert str(error.value) == expected


def test_other_errors_have_no_owner():
    with pytest.raises(KeyError, match="fraction"), owner("split", {"fraction": 0.1}):
        raise KeyError("fraction")
