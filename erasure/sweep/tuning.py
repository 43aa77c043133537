"""Tuning one method on one task, on validation data and seeds of its own, into a recipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console

from erasure.core.errors import ConfigError, ErasureError
from erasure.core.trial import TrialResult
from erasure.sweep.recipe import Recipe
from erasure.sweep.search_space import Axis, Value, search_space

Run = Callable[[DictConfig], TrialResult]

CHOICES = ("dataset", "model", "split", "trainer", "unlearner")
"""Groups whose option belongs to a recipe: original and gold depend on the trainer."""

FIXED = ("evaluator=fast", "objective=avg_gap", "pictures=false")
"""Tuning looks at validation data, by the distance to gold, and draws nothing."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How to search.

    Args:
        overrides: The task, as on the command line: ``unlearner=scrub dataset=digits``.
        trials: Number of settings to try, the method's defaults being the first.
        seeds: Seeds each setting is tried with; report on others.
        folders: Folders of YAML groups, ours first.
    """

    overrides: Sequence[str]
    trials: int
    seeds: Sequence[int]
    folders: Sequence[Path]

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"--trials must be >= 1, got {self.trials}")

    def search(self, run: Run, console: Console) -> Recipe:
        """Search and return the best settings, with where they come from.

        Every trial goes through the ledger: a search that was stopped goes on where it was, and
        draws the same settings again.
        """
        cfg = self.compose({})
        choices = cfg.hydra.runtime.choices
        space = search_space(str(choices["unlearner"]), self.folders)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=0)
        study = optuna.create_study(direction="minimize", sampler=sampler)
        scores: list[float] = []
        settings: list[dict[str, Value]] = []
        for number in range(self.trials if space else 1):
            trial = study.ask()
            drawn = {} if number == 0 else _drawn(space, trial)
            score = self._score(drawn, run)
            state = optuna.trial.TrialState.FAIL if score is None else None
            study.tell(trial, score, state=state)
            scores.append(float("inf") if score is None else score)
            settings.append(drawn)
            shown = "failed" if score is None else f"{score:.4f}"
            console.print(f"[{number + 1:3}/{self.trials}] {shown}  best {min(scores):.4f}")
        best = min(range(len(scores)), key=scores.__getitem__)
        return Recipe(
            choices={group: str(choices[group]) for group in CHOICES},
            settings=settings[best],
            score=scores[best],
            default_score=scores[0],
            trials=len(scores),
            failed=scores.count(float("inf")),
            seeds=list(self.seeds),
            overrides=list(self.overrides),
        )

    def compose(self, settings: Mapping[str, Value], seed: int | None = None) -> DictConfig:
        """Compose the configuration of one trial."""
        drawn = [f"{name}={_spelled(value)}" for name, value in settings.items()]
        seeded = [] if seed is None else [f"seed={seed}"]
        with initialize_config_dir(str(self.folders[0]), version_base="1.3"):
            return compose(
                "config", [*self.overrides, *FIXED, *drawn, *seeded], return_hydra_config=True
            )

    def _score(self, settings: Mapping[str, Value], run: Run) -> float | None:
        """Return the mean distance to gold over the seeds, or None if a trial failed."""
        values = []
        for seed in self.seeds:
            try:
                values.append(run(self.compose(settings, seed)).metrics["gap/avg"])
            except (ErasureError, KeyError):
                return None  # diverged or did nothing; the ledger has the reason
        return sum(values) / len(values)


def _spelled(value: Value | None) -> str:
    special = {None: "null", True: "true", False: "false"}
    return special[value] if value is None or isinstance(value, bool) else str(value)


def _drawn(space: Mapping[str, Axis], trial: optuna.Trial) -> dict[str, Value]:
    return {name: axis.suggest(trial, name) for name, axis in space.items()}
