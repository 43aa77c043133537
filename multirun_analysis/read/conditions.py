"""Which runs differ by seeds alone: swept settings, found by comparing configurations."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")
BLOCK = ("dataset", "model", "split")
CHOICES = ("trainer", "evaluator")
NOT_A_CAUSE = ("store", "tracking", "resume", "pictures", "objective", "experiment", "hydra")
HARDWARE = ("device", "threads")
IGNORED = {*NOT_A_CAUSE, *HARDWARE, "seed", "seeds"}
"""First parts of settings that make no condition: places, read-outs, machines and seeds."""


@dataclass(frozen=True, kw_only=True)
class RunLabels:
    """What a run is compared as.

    Args:
        block: Data set, model, split, and swept settings that are not the unlearner's.
        method: Unlearner, and swept settings of its own.
    """

    block: str
    method: str

    @property
    def condition(self) -> str:
        """Both."""
        return f"{self.method} · {self.block}"


@dataclass(frozen=True, kw_only=True)
class TrialSetup:
    """What is known about how a trial was set up.

    Args:
        tags: Its tags: choices by group, and seeds.
        settings: Its configuration, dotted keys to text; of a trial that wrote none, its
            overrides.
        complete: Whether the settings are all there are.
    """

    tags: Mapping[str, str]
    settings: Mapping[str, str]
    complete: bool

    def tag(self, name: str) -> str:
        """Return a tag, empty without one."""
        return self.tags.get(name, "")

    @property
    def block(self) -> tuple[str, ...]:
        """What ranks are taken within, before swept settings."""
        return tuple(self.tag(name) for name in BLOCK)

    @property
    def choices(self) -> tuple[str, ...]:
        """The options chosen besides those of the block and the unlearner."""
        return tuple(self.tag(name) for name in CHOICES)


def label(trials: Sequence[TrialSetup]) -> list[RunLabels]:
    """Return the labels of trials.

    A setting is swept if trials of one unlearner on one data set, model and split differ in it. So
    a trainer that belongs to a method, such as the shards of SISA, opens no block of its own,
    while ``trainer=adam,one_cycle`` doubles the blocks. Evaluators are told apart wherever they
    differ: what they measure cannot be compared.
    """
    blocks = _grouped(trials, lambda trial: trial.block)
    labels: dict[int, RunLabels] = {}  # by identity: a setup holds dicts and has no hash
    for members in blocks.values():
        shared, by_unlearner = _swept(members)
        for trial in members:
            labels[id(trial)] = RunLabels(
                block=_named(" · ".join(filter(None, trial.block)), shared, trial),
                method=_named(trial.tag("unlearner"), by_unlearner[trial.tag("unlearner")], trial),
            )
    return [labels[id(trial)] for trial in trials]


def _swept(members: Sequence[TrialSetup]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the swept settings of a block, and those of each of its unlearners."""
    shared: dict[str, None] = {}  # a set that keeps the order of the configuration
    by_unlearner: dict[str, list[str]] = {}
    if len({trial.tag("evaluator") for trial in members}) > 1:
        shared["evaluator"] = None
    for unlearner, group in _grouped(members, lambda trial: trial.tag("unlearner")).items():
        shared |= dict.fromkeys(n for n in CHOICES if len({trial.tag(n) for trial in group}) > 1)
        same_choices = _grouped(group, lambda trial: trial.choices).values()
        keys = dict.fromkeys(
            key for group_of_choices in same_choices for key in _varying(group_of_choices)
        )
        by_unlearner[unlearner] = [key for key in keys if key.startswith("unlearner.")]
        shared |= {key: None for key in keys if not key.startswith("unlearner.")}
    return list(shared), by_unlearner


def _varying(trials: Sequence[TrialSetup]) -> list[str]:
    complete = [trial for trial in trials if trial.complete]
    # An override such as unlearner=scrub is no setting: a configuration has no key of that name.
    keys = dict.fromkeys(key for trial in complete or trials for key in trial.settings)
    causes = (key for key in keys if key.partition(".")[0] not in IGNORED)
    return [key for key in causes if len(_values(trials, key)) > 1]


def _values(trials: Sequence[TrialSetup], key: str) -> set[str | None]:
    """Return the values of a setting; where only overrides are known, no value says nothing."""
    # in a complete configuration an absent setting is a value of its own, None
    informed = (trial for trial in trials if trial.complete or key in trial.settings)
    values = (trial.settings.get(key) for trial in informed)
    return {None if value is None else _spelled(value) for value in values}


def _named(name: str, settings: Sequence[str], trial: TrialSetup) -> str:
    # choices are tags: a configuration has the chosen settings, not the option's name
    values = {key: (trial.tags if key in CHOICES else trial.settings).get(key) for key in settings}
    pairs = [
        f"{key.removeprefix('unlearner.')}={_spelled(value)}"
        for key, value in values.items()
        if value is not None
    ]
    return f"{name} ({', '.join(pairs)})" if pairs else name


def _spelled(value: str) -> str:
    """Return one spelling for ``1e-3`` on the command line and ``0.001`` in a configuration."""
    try:
        return repr(float(value)).removesuffix(".0")
    except ValueError:
        return value


def _grouped(
    trials: Iterable[TrialSetup], key: Callable[[TrialSetup], K]
) -> dict[K, list[TrialSetup]]:
    groups: dict[K, list[TrialSetup]] = defaultdict(list)
    for trial in trials:
        groups[key(trial)].append(trial)
    return groups
