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
class Labels:
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
class Trial:
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


def label(trials: Sequence[Trial]) -> list[Labels]:
    """Return the labels of trials.

    A setting is swept if trials of one unlearner on one data set, model and split differ in it. So
    a trainer that belongs to a method, such as the shards of SISA, opens no block of its own,
    while ``trainer=adam,one_cycle`` doubles the blocks. Evaluators are told apart wherever they
    differ: what they measure cannot be compared.
    """
    blocks = _grouped(trials, lambda trial: trial.block)
    found: dict[int, Labels] = {}
    for members in blocks.values():
        shared, own = _swept(members)
        for trial in members:
            found[id(trial)] = Labels(
                block=_named(" · ".join(filter(None, trial.block)), shared, trial),
                method=_named(trial.tag("unlearner"), own[trial.tag("unlearner")], trial),
            )
    return [found[id(trial)] for trial in trials]


def _swept(members: Sequence[Trial]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the swept settings of a block, and those of each of its unlearners."""
    shared: dict[str, None] = {}
    own: dict[str, list[str]] = {}
    if len({trial.tag("evaluator") for trial in members}) > 1:
        shared["evaluator"] = None
    for unlearner, group in _grouped(members, lambda trial: trial.tag("unlearner")).items():
        shared |= dict.fromkeys(n for n in CHOICES if len({trial.tag(n) for trial in group}) > 1)
        alike = _grouped(group, lambda trial: trial.choices).values()
        keys = dict.fromkeys(key for same in alike for key in _varying(same))
        own[unlearner] = [key for key in keys if key.startswith("unlearner.")]
        shared |= {key: None for key in keys if not key.startswith("unlearner.")}
    return list(shared), own


def _varying(trials: Sequence[Trial]) -> list[str]:
    complete = [trial for trial in trials if trial.complete]
    # An override such as unlearner=scrub is no setting: a configuration has no key of that name.
    keys = dict.fromkeys(key for trial in complete or trials for key in trial.settings)
    causes = (key for key in keys if key.partition(".")[0] not in IGNORED)
    return [key for key in causes if len(_values(trials, key)) > 1]


def _values(trials: Sequence[Trial], key: str) -> set[str | None]:
    """Return the values of a setting; where only overrides are known, no value says nothing."""
    known = (trial for trial in trials if trial.complete or key in trial.settings)
    values = (trial.settings.get(key) for trial in known)
    return {None if value is None else _spelled(value) for value in values}


def _named(name: str, settings: Sequence[str], trial: Trial) -> str:
    values = {key: (trial.tags if key in CHOICES else trial.settings).get(key) for key in settings}
    told = [
        f"{key.removeprefix('unlearner.')}={_spelled(value)}"
        for key, value in values.items()
        if value is not None
    ]
    return f"{name} ({', '.join(told)})" if told else name


def _spelled(value: str) -> str:
    """Return one spelling for ``1e-3`` on the command line and ``0.001`` in a configuration."""
    try:
        return repr(float(value)).removesuffix(".0")
    except ValueError:
        return value


def _grouped(trials: Iterable[Trial], key: Callable[[Trial], K]) -> dict[K, list[Trial]]:
    groups: dict[K, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[key(trial)].append(trial)
    return groups
