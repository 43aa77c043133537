"""The contract of an unlearner, one small function per clause.

Each takes a :class:`Case`, runs the method on a toy task and asserts one thing; the message says
what is wrong and what to do instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from erasure.core.modes import evaluating
from erasure.core.task import Unlearner
from erasure.testing.surroundings import hooks_of
from erasure.testing.toy import NUM_TRAIN, ToyModel
from erasure.testing.unlearner_run import UnlearnerRun, run_unlearner, same_values

PARTS = ("forget", "retain", "val")
"""What a method may read; the test set is for nobody."""

UNEVEN_SIZES = (3, 71, 197)
"""Forget sets, out of 200 training samples, that are smaller than a batch, leave a smaller last
batch (with 129 = 2 * 64 + 1 samples to retain), and leave less than a batch to retain."""


@dataclass(frozen=True)
class Case:
    """A method on a toy network, and what was declared about it."""

    unlearner: Unlearner
    model: ToyModel
    changes_weights: bool | None
    reads: tuple[str, ...] | None
    whole_class: bool = False

    def run(self, *, num_forget: int = 23, global_seed: int = 20_231) -> UnlearnerRun:
        """Run the method on a new task."""
        return run_unlearner(
            self.unlearner,
            self.model,
            num_forget=num_forget,
            global_seed=global_seed,
            whole_class=self.whole_class,
        )


def returns_a_usable_model(case: Case) -> None:
    """The result gives finite logits of the right shape, and all its weights are finite."""
    _assert_usable(case.run())


def accepts_one_forget_sample(case: Case) -> None:
    """A forget set of a single sample is enough to work on."""
    run = case.run(num_forget=1)
    _assert_usable(run)
    # False and None are alike here: neither promises that something moves
    assert run.moved() or not case.changes_weights, "no parameter changed with one sample"


def copes_with_uneven_batches(case: Case) -> None:
    """Sets smaller than a batch, or not divided by its size, are not skipped."""
    for num_forget in UNEVEN_SIZES:
        run = case.run(num_forget=num_forget)
        sizes = f"with {num_forget} samples to forget and {NUM_TRAIN - num_forget} to retain"
        _assert_usable(run)
        assert run.moved() or not case.changes_weights, f"no parameter changed {sizes}"
        for part in case.reads or ():
            assert run.reads[run.ids[part]].any(), f"the {part} set was skipped {sizes}"
        if num_forget < NUM_TRAIN // 2:
            _assert_whole(run, sizes)


def changes_weights(case: Case) -> None:
    """Parameters change, unless the method is declared not to change them."""
    moved = case.run().moved()
    if case.changes_weights is None:
        return
    if case.changes_weights:
        assert moved, "no parameter changed; declare changes_weights=False if that is intended"
    else:
        assert not moved, f"changed {_listed(moved)}, but declares changes_weights=False"


def reads_what_it_declares(case: Case) -> None:
    """Declared parts are read, others are not, and the test set never is."""
    run = case.run()
    declared = PARTS if case.reads is None else case.reads
    for part, ids in run.ids.items():
        count = int((run.reads[ids] > 0).sum())
        if part not in declared:
            assert count == 0, f"read {count} of {len(ids)} {part} samples, which it must not"
        elif case.reads is not None:
            assert count > 0, f"declares to read the {part} set, but read none of it"


def is_reproducible(case: Case) -> None:
    """The result is a function of the task, whatever the global seed and earlier calls."""
    first, second = case.run(global_seed=1).result, case.run(global_seed=2).result
    old, new = first.state_dict(), second.state_dict()
    names = sorted(old.keys() | new.keys())
    differ = [name for name in names if not same_values(old.get(name), new.get(name))]
    assert not differ, (
        f"two runs of one task under different global seeds differ in {_listed(differ)}; draw "
        f"from task.generator only, and keep no state between calls"
    )


def leaves_global_randomness(case: Case) -> None:
    """No global generator is drawn from or seeded."""
    run = case.run()
    drawn = run.before.drawn(run.after)
    assert not drawn, (
        f"drew from or seeded the global generator of {_listed(drawn)}; use task.generator"
    )


def leaves_settings(case: Case) -> None:
    """Gradient mode, default dtype and other global settings are as before."""
    run = case.run()
    changed = run.before.changed(run.after)
    listed = ", ".join(f"{name} from {was} to {now}" for name, (was, now) in changed.items())
    assert not changed, f"changed {listed}"


def leaves_original(case: Case) -> None:
    """The original model, of which the task has a copy, keeps every weight."""
    edited = case.run().edited()
    assert not edited, (
        f"changed {_listed(edited)} of the original model; only task.model may be changed"
    )


def leaves_data(case: Case) -> None:
    """Inputs, labels and index sets keep their contents."""
    before, after = case.run().data
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"changed the {_listed(changed)} in place; use View.relabel for labels"


def leaves_no_hooks(case: Case) -> None:
    """No hook is left on the models, on a parameter, or for all modules or optimizers."""
    run = case.run()
    hooks_before = hooks_of(run.original)
    models = (run.result, run.task.model)
    left = {hook for model in models for hook in hooks_of(model) if hook not in hooks_before}
    left |= set(run.before.hooked(run.after))
    assert not left, f"left hooks at {_listed(sorted(left))}; remove them in a finally block"


def leaves_requires_grad(case: Case) -> None:
    """Every parameter of the result can still be trained as before."""
    run = case.run()
    expected = {name: p.requires_grad for name, p in run.original.named_parameters()}
    flags = {name: p.requires_grad for name, p in run.result.named_parameters()}
    # a parameter that is gone is for keeps_architecture to tell
    changed = [name for name in expected if flags.get(name, expected[name]) != expected[name]]
    assert not changed, f"left requires_grad changed on {_listed(changed)}"


def keeps_architecture(case: Case) -> None:
    """The result has the modules of the original, by name and class."""
    run = case.run()
    expected, modules = (
        {path or "model": type(module) for path, module in model.named_modules()}
        for model in (run.original, run.result)
    )
    changed = [path for path in expected if modules.get(path) is not expected[path]]
    changed += [path for path in modules if path not in expected]
    assert not changed, f"changed the module class or structure of {_listed(changed)}"


def keeps_mode_together(case: Case) -> None:
    """The modules of the result are in one mode; only batch normalization may be frozen."""
    result = case.run().result
    apart = [
        path
        for path, module in result.named_modules()
        if module.training != result.training and not isinstance(module, _NormBase)
    ]
    assert not apart, (
        f"left {_listed(apart)} in another mode than the model; a teacher must be a "
        f"copy.deepcopy, because copy.copy shares its submodules with the student"
    )


CLAUSES: tuple[Callable[[Case], None], ...] = (
    returns_a_usable_model,
    accepts_one_forget_sample,
    copes_with_uneven_batches,
    changes_weights,
    reads_what_it_declares,
    is_reproducible,
    leaves_global_randomness,
    leaves_settings,
    leaves_original,
    leaves_data,
    leaves_no_hooks,
    leaves_requires_grad,
    keeps_architecture,
    keeps_mode_together,
)


def _assert_usable(run: UnlearnerRun) -> None:
    state = run.result.state_dict()
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    assert not broken, f"left values in {_listed(broken)} that are not finite"
    for part, view in (("forget", run.task.forget), ("retain", run.task.retain)):
        logits = _logits(run.result, view.pool.fetch(view.index))
        expected = (len(view), run.task.num_classes)
        shape = tuple(logits.shape)
        assert shape == expected, f"logits of the {part} set must be {expected}, got {shape}"
        assert logits.isfinite().all(), f"logits of the {part} set are not finite"


def _assert_whole(run: UnlearnerRun, sizes: str) -> None:
    """A method that reads the forget set reads all of it, unless it pairs it with less."""
    counts = run.reads[run.ids["forget"]]
    missed = int((counts == 0).sum())
    assert missed in (0, len(counts)), (
        f"{missed} of {len(counts)} forget samples were never read {sizes}; the last batch of a "
        f"pass must not be dropped"
    )


def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(model), torch.inference_mode():
        logits = model(inputs)
    assert isinstance(logits, Tensor), f"must map to logits, got {type(logits).__name__}"
    return logits


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
