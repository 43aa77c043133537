"""Studies as they are kept, and recipes: the settings they lead to, with where they come from."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from erasure.config.compose import nested_yaml
from erasure.config.overrides import parsed_value
from erasure.core.errors import ConfigError
from erasure.results.provenance import git_tags
from erasure.trial.objective import Objective
from erasure.tuning.choice import RULE, best_trial, settings_of
from erasure.tuning.sampler import quiet_optuna
from erasure.tuning.search_space import Axis, Space, Value
from erasure.tuning.storage import (
    SEARCH_SETTINGS,
    STUDY_CONFIG,
    open_storage,
    storage_url,
    studies_folder,
)

CHOICES = ("dataset", "model", "split", "trainer", "unlearner")
"""Groups whose option belongs to a recipe: original and gold depend on the trainer."""


def recipe_name(choices: Mapping[str, str]) -> str:
    """Return what a recipe for these choices is called."""
    return "/".join(choices[group] for group in ("dataset", "model", "split", "unlearner"))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The outcome of a search.

    Args:
        choices: ``dataset``, ``model``, ``split``, ``trainer`` and ``unlearner``.
        settings: Dotted setting to value.
        scores: Objective to value on validation data, mean over the seeds.
        default_scores: The same with the method's own settings; empty if they are unknown.
        trials: Number of settings tried.
        failed: Number of those that failed on some seed.
        pruned: Number of those that were stopped early, or diverged.
        seeds: The seeds.
        rule: How the setting was chosen.
        study: Name of the study.
        trial: Number of the trial in it.
        sampler: What drew the settings.
        overrides: What was fixed, as on the command line.
        command: What was typed.
        commit: State of the code.
    """

    choices: Mapping[str, str]
    settings: Mapping[str, Value]
    scores: Mapping[str, float]
    default_scores: Mapping[str, float]
    trials: int
    failed: int
    pruned: int
    seeds: Sequence[int]
    rule: str
    study: str
    trial: int
    sampler: str
    overrides: Sequence[str] = ()
    command: str = ""
    commit: str = ""

    @property
    def name(self) -> str:
        """What to say on the command line: ``recipe=<name>``."""
        return recipe_name(self.choices)

    def write(self, conf: Path) -> Path:
        """Write ``recipe/<name>.yaml`` below ``conf`` and return its path."""
        path = conf / "recipe" / f"{self.name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        # renamed when complete, so that no run composes half a recipe
        partial = path.with_suffix(".partial")
        partial.write_text(self.text(), encoding="utf-8")
        partial.replace(path)
        return path

    def text(self) -> str:
        """Return the YAML file: provenance as comments, choices, and settings."""
        options, fixed = self._fixed()
        lines = ["# @package _global_", *(f"# {line}" for line in self._provenance()), "defaults:"]
        lines += [f"  - override /{group}: {option}" for group, option in options.items()]
        return "\n".join(lines) + "\n" + nested_yaml({**fixed, **self.settings})

    def _provenance(self) -> Iterator[str]:
        unlearner = self.choices["unlearner"]
        scores = [self._score(name) for name in self.scores]
        if len(scores) == 1:
            yield f"{unlearner}: {scores[0]} on validation data"
        else:
            yield f"{unlearner}: the best of a search over {len(scores)} objectives"
            yield from (f"{score} on validation data" for score in scores)
            yield self.rule
        yield (
            f"{self.trials} settings tried, {self.failed} failed, {self.pruned} pruned; "
            f"{self.sampler}; seeds {', '.join(map(str, self.seeds))}; "
            f"commit {self.commit or 'unknown'}"
        )
        yield f"study {self.study}, trial {self.trial}"
        yield self.command

    def _score(self, name: str) -> str:
        default = self.default_scores.get(name)
        beaten = "" if default is None else f" (defaults: {default:.4f})"
        return f"{name} {self.scores[name]:.4f}{beaten}"

    def _fixed(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Return what was fixed and belongs to the task: options of groups, and settings."""
        options = dict(self.choices)
        settings: dict[str, Any] = {}
        for override in self.overrides:
            key, _, value = override.lstrip("+").partition("=")
            group, _, package = key.partition("@")
            # group@package=option chooses a part of a component: an entry of the defaults list
            if package and package.split(".")[0] in CHOICES:
                options[key] = value
            elif "." in group and group.split(".")[0] in CHOICES:
                settings[group] = parsed_value(override)
        return options, settings


@dataclass(frozen=True, kw_only=True)
class KeptStudy:
    """A study as it is kept in a storage.

    Args:
        name: Its name.
        config: What is fixed about it.
        search_settings: How it was asked for the last time.
        trials: Its trials.
    """

    name: str
    config: Mapping[str, Any]
    search_settings: Mapping[str, Any]
    trials: list[FrozenTrial]

    @property
    def objective(self) -> Objective:
        """What it optimizes."""
        return Objective(metrics=self.config["objective"], constraints=self.config["constraints"])

    @property
    def space(self) -> Space:
        """What it draws."""
        return {name: Axis(**node) for name, node in self.search_settings["axes"].items()}

    @property
    def counts(self) -> Counter[str]:
        """Number of trials by the lower-case name of their state."""
        return Counter(trial.state.name.lower() for trial in self.trials)

    @property
    def best(self) -> FrozenTrial | None:
        """The trial to take, or None if no complete one keeps the constraints."""
        return best_trial(self.trials, self.objective)

    def recipe(self) -> Recipe:
        """Return the best setting with where it comes from.

        Raises:
            ConfigError: If there is none.
        """
        best = self.best
        if best is None:
            raise ConfigError(
                f"study {self.name} has no complete trial that keeps its constraints; "
                f"it has {_join_counts(self.counts)}"
            )
        metrics = self.config["objective"]
        # trial 0 was enqueued with the settings nearest to the method's own
        first = next(trial for trial in self.trials if trial.number == 0)
        has_default = self.search_settings["is_default"] and first.state == TrialState.COMPLETE
        return Recipe(
            choices={group: self.search_settings["choices"][group] for group in CHOICES},
            settings=settings_of(best, self.space),
            scores=dict(zip(metrics, best.values, strict=True)),
            default_scores=dict(zip(metrics, first.values, strict=True)) if has_default else {},
            trials=len(self.trials),
            failed=self.counts["fail"],
            pruned=self.counts["pruned"],
            seeds=self.config["seeds"],
            rule=RULE,
            study=self.name,
            trial=best.number,
            sampler=str(self.search_settings["sampler"]).rpartition(".")[2],
            overrides=self.search_settings["overrides"],
            command=self.search_settings["command"],
            commit=_commit(),
        )


def kept_studies(store: Path, storage: str | None) -> list[KeptStudy]:
    """Return the studies of a store, or of another storage, by name.

    Raises:
        ConfigError: If there is no store, or the storage cannot be reached.
    """
    root = store.absolute()
    if storage is None and not (studies_folder(root) / "studies.db").is_file():
        raise ConfigError(f"--store must be a store with studies in it, got {store}")
    opened = open_storage(storage_url(storage, root), root)
    with quiet_optuna():
        studies = [
            optuna.load_study(study_name=name, storage=opened, sampler=RandomSampler(seed=0))
            for name in sorted(optuna.get_all_study_names(opened))
        ]
    return [
        KeptStudy(
            name=study.study_name,
            config=json.loads(study.user_attrs[STUDY_CONFIG]),
            search_settings=json.loads(study.user_attrs[SEARCH_SETTINGS]),
            trials=study.get_trials(deepcopy=False),
        )
        for study in studies
        if STUDY_CONFIG in study.user_attrs and SEARCH_SETTINGS in study.user_attrs
    ]


def _join_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _commit() -> str:
    tags = git_tags(Path(__file__).parent)
    changed = " with changes" if tags.get("erasure.dirty") == "true" else ""
    return tags.get("mlflow.source.git.commit", "")[:12] + changed
