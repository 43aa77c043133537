"""Studies looked at from outside a sweep: which there are, and the recipes they lead to."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from erasure.core.errors import ConfigError
from erasure.results.provenance import git_tags
from erasure.trial.objective import Objective
from erasure.tuning.choice import RULE, chosen, settings_of
from erasure.tuning.notes import FACTS, NOTES
from erasure.tuning.recipe import CHOICES, Recipe
from erasure.tuning.sampler import quiet_optuna
from erasure.tuning.search_space import Axis, Space
from erasure.tuning.storage import open_storage, storage_url, studies_folder


@dataclass(frozen=True, kw_only=True)
class KeptStudy:
    """A study as it is kept in a storage.

    Args:
        name: Its name.
        facts: What is fixed about it.
        notes: How it was asked for the last time.
        trials: Its trials.
    """

    name: str
    facts: Mapping[str, Any]
    notes: Mapping[str, Any]
    trials: list[FrozenTrial]

    @property
    def objective(self) -> Objective:
        """What it optimizes."""
        return Objective(metrics=self.facts["objective"], constraints=self.facts["constraints"])

    @property
    def space(self) -> Space:
        """What it draws."""
        return {name: Axis(**node) for name, node in self.notes["axes"].items()}

    @property
    def counts(self) -> Counter[str]:
        """Number of trials by the lower-case name of their state."""
        return Counter(trial.state.name.lower() for trial in self.trials)

    @property
    def best(self) -> FrozenTrial | None:
        """The trial to take, or None if no complete one keeps the constraints."""
        return chosen(self.trials, self.objective)

    def recipe(self) -> Recipe:
        """Return the best setting with where it comes from.

        Raises:
            ConfigError: If there is none.
        """
        best = self.best
        if best is None:
            raise ConfigError(
                f"study {self.name} has no complete trial that keeps its constraints; "
                f"it has {_spoken(self.counts)}"
            )
        metrics = self.facts["objective"]
        first = next(trial for trial in self.trials if trial.number == 0)
        known = self.notes["is_default"] and first.state == TrialState.COMPLETE
        return Recipe(
            choices={group: self.notes["choices"][group] for group in CHOICES},
            settings=settings_of(best, self.space),
            scores=dict(zip(metrics, best.values, strict=True)),
            default_scores=dict(zip(metrics, first.values, strict=True)) if known else {},
            trials=len(self.trials),
            failed=self.counts["fail"],
            pruned=self.counts["pruned"],
            seeds=self.facts["seeds"],
            rule=RULE,
            study=self.name,
            trial=best.number,
            sampler=str(self.notes["sampler"]).rpartition(".")[2],
            overrides=self.notes["overrides"],
            command=self.notes["command"],
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
            facts=json.loads(study.user_attrs[FACTS]),
            notes=json.loads(study.user_attrs[NOTES]),
            trials=study.get_trials(deepcopy=False),
        )
        for study in studies
        if FACTS in study.user_attrs and NOTES in study.user_attrs
    ]


def selected(found: list[KeptStudy], study: str | None, sweep: str | None) -> list[KeptStudy]:
    """Return the study of a name, or those of a sweep by the beginning of its id.

    Raises:
        ConfigError: If there is none.
    """
    names = ", ".join(one.name for one in found) or "none"
    if study is not None:
        kept = [one for one in found if one.name == study]
        if not kept:
            raise ConfigError(f"--study={study} does not exist; there are: {names}")
        return kept
    kept = [one for one in found if str(one.notes["sweep"]).startswith(sweep or "?")]
    if not kept:
        raise ConfigError(f"--sweep={sweep} has no studies here; there are: {names}")
    return kept


def _spoken(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _commit() -> str:
    tags = git_tags(Path(__file__).parent)
    changed = " with changes" if tags.get("erasure.dirty") == "true" else ""
    return tags.get("mlflow.source.git.commit", "")[:12] + changed
