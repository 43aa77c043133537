"""The kit lets a correct method pass and catches each wrong one by the check that is meant to."""

import pytest
from faulty_unlearners import (
    FAULTS,
    FIT,
    DefaultsToDouble,
    GlobalNoise,
    LeavesGlobalHook,
    Shrink,
    TurnsGradientsOff,
)

from erasure.testing import check_unlearner, unlearner_checks
from erasure.testing.surroundings import Surroundings
from erasure.unlearners.grad_ascent import GradAscent


def failing(unlearner, model, **declared):
    checks = unlearner_checks(models=[model], **declared)
    return {check.name for check in checks if check.reason(unlearner)}


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize(
    ("unlearner", "declared", "expected"), FAULTS, ids=[type(f[0]).__name__ for f in FAULTS]
)
def test_faults_are_caught_by_the_check_that_is_meant_to(unlearner, declared, expected, model):
    failed_checks = failing(unlearner, model, **declared)
    assert failed_checks == expected


def test_a_correct_method_passes_in_one_line():
    check_unlearner(Shrink(factor=0.5), reads=())


def test_the_message_names_the_method_the_check_and_the_cure():
    message = (
        r"GradAscent\(.*\) fails 1 of 14 checks\n"
        r"  reads_what_it_declares-mlp: read 23 of 23 forget samples, which it must not"
    )
    ascent = GradAscent(fit=FIT)
    with pytest.raises(AssertionError, match=message):
        check_unlearner(ascent, reads=(), models=["mlp"])


def test_what_a_method_raises_is_passed_on_with_the_name_of_the_check():
    def crash(task):
        raise KeyError("layer4")

    with pytest.raises(KeyError, match="layer4") as caught:
        check_unlearner(crash)
    assert caught.value.__notes__ == ["in the check returns_a_usable_model-mlp of erasure.testing"]


def test_a_method_must_return_a_module():
    reasons = {check.reason(lambda task: task.model.state_dict()) for check in unlearner_checks()}
    assert reasons == {"must return an nn.Module, got OrderedDict"}


@pytest.mark.parametrize("reads", ["forget", ("forget", "test")])
def test_declarations_are_checked(reads):
    with pytest.raises(
        ValueError, match="reads must be None or a sequence of forget, retain, val"
    ):
        check_unlearner(Shrink(), reads=reads)


@pytest.mark.parametrize(
    "unlearner", [GlobalNoise(), LeavesGlobalHook(), TurnsGradientsOff(), DefaultsToDouble()]
)
def test_a_faulty_method_does_not_spoil_the_next_test(unlearner):
    before = Surroundings.capture()
    failing(unlearner, "mlp")
    after = Surroundings.capture()
    assert not before.drawn(after)
    assert not before.changed(after)
    assert not before.hooked(after)


def test_checks_have_distinct_names_for_pytest():
    names = [str(check) for check in unlearner_checks()]
    assert len(set(names)) == len(names) == 28
    assert "is_reproducible-cnn" in names
