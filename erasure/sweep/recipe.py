"""Recipes: settings of a method that were found by a search, with where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from erasure.sweep.search_space import Value


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The outcome of a search.

    Args:
        choices: ``dataset``, ``model``, ``split``, ``trainer`` and ``unlearner``.
        settings: Dotted setting to value; empty if nothing beat the defaults.
        score: Distance to gold on validation data, mean over the seeds.
        default_score: The same with the method's defaults; infinite if they failed.
        trials: Number of settings tried.
        failed: Number of those that failed on some seed.
        seeds: The seeds.
        overrides: What was asked for, as on the command line.
        commit: State of the code.
    """

    choices: Mapping[str, str]
    settings: Mapping[str, Value]
    score: float
    default_score: float
    trials: int
    failed: int
    seeds: Sequence[int]
    overrides: Sequence[str] = ()
    commit: str = ""

    @property
    def name(self) -> str:
        """What to say on the command line: ``recipe=<name>``."""
        return "/".join(self.choices[g] for g in ("dataset", "model", "split", "unlearner"))

    def write(self, conf: Path) -> Path:
        """Write ``recipe/<name>.yaml`` below ``conf`` and return its path."""
        path = conf / "recipe" / f"{self.name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(self._text())
        partial.replace(path)
        return path

    def _text(self) -> str:
        beaten = f"{self.default_score:.4f}" if self.default_score < float("inf") else "failed"
        lines = [
            "# @package _global_",
            f"# {self.choices['unlearner']}: distance to gold {self.score:.4f} on validation data "
            f"(defaults: {beaten})",
            f"# {self.trials} settings tried, {self.failed} failed; TPE; seeds "
            f"{', '.join(map(str, self.seeds))}; commit {self.commit or 'unknown'}",
            f"# python -m erasure.tune {' '.join(self.overrides)}".rstrip(),
            "defaults:",
        ]
        lines += [f"  - override /{group}: {option}" for group, option in self.choices.items()]
        settings = OmegaConf.create({})
        for name, value in self.settings.items():
            OmegaConf.update(settings, name, value, force_add=True)
        body = OmegaConf.to_yaml(settings) if self.settings else ""
        return "\n".join(lines) + "\n" + body
