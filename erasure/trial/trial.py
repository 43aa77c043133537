"""One trial: a value that says what is learned, forgotten and measured, before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

import torch
from torch import nn

from erasure.config.build import build
from erasure.core.context import EvalContext, Who
from erasure.core.protocols import ComposingTrainer, SplitStrategy, Trainer
from erasure.core.seeding import isolated
from erasure.core.task import Fresh, Unlearner
from erasure.core.trial_data import TrialData
from erasure.evaluation.evaluator import Evaluator
from erasure.models.precision import with_precision
from erasure.results.record import TrialRecord
from erasure.training.compute import device_kind, resolve_device
from erasure.trial.causes import files, method_code, model_code
from erasure.trial.data import trial_data
from erasure.trial.describe import describe
from erasure.trial.objective import Objective
from erasure.trial.outcome import FinishedRun
from erasure.trial.places import data_config
from erasure.trial.references.settings import ReferenceSettings
from erasure.trial.replaced import options_of, replaced

DATA_TAG = "store.data"
"""Tag of a trial that holds the fingerprint of its data."""

BUILT_ONCE = ("split", "trainer", "unlearner", "evaluator", "objective")
"""Components that a trial keeps."""


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The seed of each stage."""

    split: int
    train: int
    unlearn: int
    evaluate: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is learned, forgotten and measured, and with which seeds.

    A trial is a value: making one builds, loads and writes nothing. Its components are built of
    :attr:`settings` when they are first looked at, and so are its data.

    Args:
        settings: Everything there is to say, by group, in the form of
            :mod:`erasure.config.canonical`.
        options: The option that was chosen in each group, for names and tags.
        tags: Further tags of its run, such as the study it belongs to.
        device_name: Where it runs, in place of ``settings["device"]``, such as ``cpu`` to check
            without a GPU what will run on one. Models keep the names they have there.
    """

    settings: Mapping[str, Any]
    options: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    device_name: str | None = None

    def replace(self, **components: Any) -> "Trial":
        """Return the trial with some settings or components replaced.

        Args:
            components: By name of the group or setting: an object such as
                ``unlearner=SSD(alpha=5.0)``, a class or ``functools.partial`` of one for
                ``model``, plain data, or a number such as ``seed=1``, which moves all seeds.
                Groups that are no component, such as ``references={"size": 8}``, keep the
                settings that are not named.

        Raises:
            ConfigError: If there is no such group or setting, or a component is not made of
                settings.
        """
        settings = replaced(self.settings, components)
        options = {**self.options, **options_of(settings, components)}
        return replace(self, settings=settings, options=options)

    def seeded(self, seed: int) -> "Trial":
        """Return the same trial with another seed for training and unlearning."""
        seeds = {**self.settings["seeds"], "train": seed, "unlearn": seed}
        other = replace(self, settings={**self.settings, "seeds": seeds})
        # Nothing else depends on these seeds, least of all the data: what was built is kept
        kept = {k: v for k, v in vars(self).items() if k not in ("settings", "seeds", "record")}
        vars(other).update(kept)
        return other

    def on_data(self, data: TrialData) -> "Trial":
        """Return the same trial with other data in place of those of its split."""
        other = replace(self)
        vars(other).update({**vars(self), "data": data})
        return other

    def run(self, store: str | Path | None = None) -> FinishedRun:
        """Carry out the trial, or read back what came of it before; nothing is shown.

        Args:
            store: Folder of trained models and results; None for ``settings["store"]["root"]``.

        Raises:
            ErasureError: If a setting is wrong (then nothing was written), or the trial failed.
        """
        trial = self if store is None else self.replace(store={"root": str(store)})
        # by name: what carries out trials has this module below it
        return cast("FinishedRun", resolve_name("erasure.trial.alone:run_alone")(trial))

    @property
    def fingerprint(self) -> str:
        """Hash of everything that can move a result."""
        return self.record.fingerprint

    @cached_property
    def record(self) -> TrialRecord:
        """Its identity: a name for people, the fingerprint, settings as text, tags."""
        return describe(self.settings, self.options, self.tags)

    @property
    def parent(self) -> str:
        """The tracking run of the sweep that the trial belongs to, or nothing."""
        return str(self.settings["tracking"].get("parent") or "")

    @cached_property
    def seeds(self) -> Seeds:
        """One per stage."""
        return Seeds(**self.settings["seeds"])

    @cached_property
    def device(self) -> torch.device:
        """Where everything runs."""
        return resolve_device(self.device_name or str(self.settings["device"]))

    @cached_property
    def split(self) -> SplitStrategy:
        """Chooses what is held out and what is forgotten."""
        return cast("SplitStrategy", self._built("split"))

    @cached_property
    def trainer(self) -> Trainer:
        """Makes original and gold."""
        return cast("Trainer", self._built("trainer"))

    @cached_property
    def unlearner(self) -> Unlearner:
        """The method."""
        return cast("Unlearner", self._built("unlearner"))

    @cached_property
    def evaluator(self) -> Evaluator:
        """The metrics."""
        return cast("Evaluator", self._built("evaluator"))

    @cached_property
    def objective(self) -> Objective:
        """What a sweep reads out."""
        return cast("Objective", self._built("objective"))

    @cached_property
    def references(self) -> ReferenceSettings:
        """How many further models there are for attacks and nulls."""
        return ReferenceSettings.of(self.settings["references"])

    @cached_property
    def data(self) -> TrialData:
        """The data, loaded and split, on :attr:`device`."""
        config = data_config(self.settings, self.device)
        return trial_data(self.settings, self.split, config, self.seeds.split)

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """What a trained model's weights depend on besides data and seed.

        Threads and the kind of device move their last bits.
        """
        recipe = {k: self.settings[k] for k in ("model", "trainer", "precision", "threads")}
        kind = device_kind(str(self.settings["device"]))
        recipe |= {"device": kind, "code": model_code(recipe, self.data.pool)}
        weights = files(self.settings, ("model",))
        return {**recipe, "files": weights} if weights else recipe

    @cached_property
    def method(self) -> Mapping[str, Any]:
        """What an unlearned model depends on besides the original, data and seed."""
        unlearner = self.settings["unlearner"]
        return {"unlearner": unlearner, "code": method_code(unlearner)}

    @property
    def fresh(self) -> Fresh:
        """Builds the model with its initial weights."""
        return self.fresh_of(self.seeds.train)

    def fresh_of(self, seed: int) -> Fresh:
        """Return what builds the model with the initial weights of a seed."""
        pool = self.data.pool
        offered = {
            "input_shape": pool.input_shape,
            "num_classes": pool.num_classes,
            **pool.properties,
        }

        def fresh(salt: str = "") -> nn.Module:
            # without a salt the path is shorter, which gives the trial's own initial weights
            with isolated(seed, "model", *([salt] if salt else [])):
                model: nn.Module = build(self.settings["model"], "model", **offered)
            return with_precision(model, self.settings["precision"]).to(self.device)

        if isinstance(self.trainer, ComposingTrainer):
            return self.trainer.compose(fresh, pool.task_type)
        return fresh

    def component(self, group: str) -> Any:
        """Return what a group of settings builds, such as ``dataset`` or ``tracking``.

        Raises:
            ConfigError: If a setting is wrong.
        """
        return getattr(self, group) if group in BUILT_ONCE else self._built(group)

    def context(self, models: dict[Who, nn.Module], **more: Any) -> EvalContext:
        """Return what metrics look at, as the evaluator wants it.

        Args:
            models: The models that are compared.
            more: Further fields of the context, such as ``costs``.
        """
        ctx = EvalContext(
            models=models,
            splits=self.data.parts,
            task_type=self.data.pool.task_type,
            num_classes=self.data.pool.num_classes,
            heldout=self.evaluator.heldout,
            seed=self.seeds.evaluate,
            batch_size=self.evaluator.batch_size,
            **more,
        )
        return self.evaluator.prepare(ctx)

    def check_components(self) -> None:
        """Build what needs no data.

        Raises:
            ConfigError: If a setting is wrong.
        """
        for group in ("dataset", *BUILT_ONCE):
            self.component(group)

    def _built(self, group: str) -> Any:
        return build(self.settings[group], group)
