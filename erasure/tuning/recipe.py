"""Recipes: settings of a method that were found by a search, with where they come from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from erasure.tuning.search_space import Value

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
        partial = path.with_suffix(".partial")
        partial.write_text(self.text())
        partial.replace(path)
        return path

    def text(self) -> str:
        """Return the YAML file: provenance as comments, choices, and settings."""
        options, body = self._fixed()
        for name, value in self.settings.items():
            OmegaConf.update(body, name, value, force_add=True)
        lines = ["# @package _global_", *(f"# {line}" for line in self._provenance()), "defaults:"]
        lines += [f"  - override /{group}: {option}" for group, option in options.items()]
        return "\n".join(lines) + "\n" + (OmegaConf.to_yaml(body) if body else "")

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

    def _fixed(self) -> tuple[dict[str, str], DictConfig]:
        """Return what was fixed and belongs to the task: options of groups, and settings."""
        options = dict(self.choices)
        settings: list[str] = []
        for override in self.overrides:
            key, _, value = override.lstrip("+").partition("=")
            group, _, package = key.partition("@")
            if package and package.split(".")[0] in CHOICES:
                options[key] = value
            elif "." in group and group.split(".")[0] in CHOICES:
                settings.append(f"{key}={value}")
        return options, OmegaConf.from_dotlist(settings)
