"""Errors of composing a configuration, told in the words of a user."""

from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from erasure.config.explain import explain
from erasure.core.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def message_of(compose_config):
    """Compose with the arguments, which must fail, and return what a user is told."""

    def failed(*arguments):
        with pytest.raises((HydraException, OmegaConfBaseException, ValueError)) as error:
            compose_config(*(a for a in arguments if not a.startswith("-")))
        return explain(error.value, arguments, CONF)

    return failed


def test_an_unknown_option_is_told_with_a_suggestion_and_all_there_are(message_of):
    message, _, allowed = message_of("unlearner=negrad").partition("; allowed: ")
    assert message == "unlearner=negrad does not exist; did you mean neggrad_plus?"
    there = sorted(path.stem for path in (CONF / "unlearner").glob("*.yaml"))
    assert allowed == ", ".join(there)


def test_an_option_like_no_other_gets_no_suggestion(message_of):
    there = sorted(path.stem for path in (CONF / "objective").glob("*.yaml"))
    assert message_of("objective=zzzzzz") == (
        f"objective=zzzzzz does not exist; allowed: {', '.join(there)}"
    )


def test_options_of_nested_groups_are_told_likewise(message_of):
    assert message_of("hydra/launcher=locale").startswith(
        "hydra/launcher=locale does not exist; did you mean local?; allowed: "
    )


@pytest.mark.slow
def test_a_key_that_is_somewhere_below_is_suggested_where_it_is(message_of):
    message = message_of("unlearner.epochs=-1")
    start = "unlearner.epochs is not a setting; did you mean unlearner.fit.epochs?; allowed: "
    assert message.startswith(start)
    allowed = message.removeprefix(start).split(", ")
    assert "unlearner.alpha" in allowed
    assert all(key.startswith("unlearner.") for key in allowed)
    assert not any(key.endswith("_") for key in allowed)


def test_a_misspelled_key_gets_the_closest(message_of):
    message = message_of("split.fracton=0.1")
    assert message.startswith("split.fracton is not a setting; did you mean split.fraction?")


@pytest.mark.slow
def test_what_is_allowed_depends_on_the_other_arguments(message_of):
    message = message_of("split=class", "split.fraction=0.1")
    assert message.startswith("split.fraction is not a setting")
    assert "split.share" in message
    assert "split.count" not in message


def test_options_and_sweeps_on_the_command_line_do_not_matter():
    error = HydraException("Could not override 'split.fraction'.")
    arguments = ["--multirun", "seed=0,1", "hydra.run.dir=x", "split=class", "split.fraction=0.1"]
    message = explain(error, arguments, CONF)
    assert message.startswith("split.fraction is not a setting")
    assert "split.share" in message


def test_an_unknown_first_key_is_told_with_those_there_are(message_of):
    message = message_of("sed=3")
    assert message.startswith("sed is not a setting; did you mean seed?; allowed: ")
    assert "unlearner" in message.split(", ")


def test_a_section_that_cannot_be_replaced_is_told_with_how_to(message_of):
    assert message_of("objective.metrics={gap/mean: minimize}") == (
        "objective.metrics has only the keys objective.metrics.gap/avg; "
        "to give it others, replace it: '~objective.metrics' '+objective.metrics={...}'"
    )


@pytest.mark.parametrize(
    ("argument", "start"),
    [
        ("seed=abc", "seed: Value 'abc' of type 'str' could not be converted to Integer"),
        ("seeds.train=x", "seeds.train: Value 'x' of type 'str' could not be converted"),
        ("resume=maybe", "resume: Value 'maybe' is not a valid bool"),
        ("threads=1.5", "threads: Value '1.5' of type 'float' could not be converted to Integer"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_its_key(message_of, argument, start):
    assert message_of(argument).startswith(start)
    assert "\n" not in message_of(argument)


@pytest.mark.parametrize("argument", ["seed=[1", "seed", "seed=1,2", "unlearner=3"])
def test_a_slip_of_syntax_is_told_with_what_was_typed(message_of, argument):
    assert argument in message_of(argument)


def test_other_errors_are_not_explained():
    assert explain(ConfigError("x"), [], CONF) is None
    assert explain(KeyError("x"), [], CONF) is None


def test_an_unknown_key_is_named_even_if_something_else_is_wrong_too():
    error = HydraException("Could not override 'split.fracton'.\nKey 'fracton' is not in struct")
    message = explain(error, ["split.fracton=1", "unlearner=nothing"], CONF)
    assert message == "split.fracton is not a setting"
