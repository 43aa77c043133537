"""The story of one trial: data, original, unlearned, gold, measurements, record."""

import time
import traceback
from dataclasses import dataclass, replace

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from torch import nn

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError, DivergedError, ErasureError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.ledger import Ledger
from erasure.core.metric import NotComputableError
from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, View
from erasure.core.trial import Trial, TrialResult
from erasure.evaluation.evaluator import Evaluation
from erasure.sweep.artifacts import write_config, write_measurements, write_model, write_split
from erasure.sweep.describe import describe
from erasure.sweep.parts import Parts, assemble, build_tracker, store_root
from erasure.sweep.table import show_address, show_result
from erasure.sweep.unlearning import counted_steps, unlearn
from erasure.sweep.watch import Watch
from erasure.tracking.delivery import deliver
from erasure.tracking.protocol import Tracker
from erasure.training.store import ModelStore, Request, Trained, Training


def run(cfg: DictConfig) -> float | tuple[float, ...]:
    """Run the trial that ``cfg`` asks for, or read it back, and return its objective.

    Raises:
        ErasureError: If a setting is wrong (then nothing was written), or the trial failed.
    """
    if cfg.threads < 1:
        raise ConfigError(f"threads must be >= 1, got {cfg.threads}")
    torch.set_num_threads(cfg.threads)
    trial = describe(cfg, HydraConfig.get().runtime.choices if HydraConfig.initialized() else {})
    bench = _Bench.of(cfg, trial)
    with bench.ledger.claim(trial.fingerprint):
        result = bench.read_back() if cfg.resume else None
        result = result or bench.carry_out()
    show_result(result, bench.console)
    show_address(bench.tracker.address(), bench.console)
    return _objective(bench.parts, result)


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """Where a trial is carried out and recorded."""

    cfg: DictConfig
    trial: Trial
    parts: Parts
    store: ModelStore
    ledger: Ledger
    tracker: Tracker
    console: Console

    @classmethod
    def of(cls, cfg: DictConfig, trial: Trial) -> "_Bench":
        """Build everything and refuse what cannot work, before anything is trained."""
        tracker = build_tracker(cfg)
        root = store_root(cfg)
        store = ModelStore(root)
        parts = assemble(cfg)
        for name, check in (("store", store.check), ("tracking", tracker.check)):
            try:
                check()
            except ConfigError as error:
                raise ConfigError(f"{name}.{error}") from error
        return cls(
            cfg=cfg,
            trial=trial,
            parts=parts,
            store=store,
            ledger=Ledger(root),
            tracker=tracker,
            console=Console(),
        )

    def read_back(self) -> TrialResult | None:
        """Return the result of an earlier run of this trial, tracked again if it is not."""
        found = self.ledger.finished(self.trial.fingerprint)
        if found is None:
            return None
        self.console.print(
            "this trial finished before and is read back; resume=false runs it again"
        )
        self.tracker.prepare()
        if found.run and self.tracker.has(found.run):
            return found
        return deliver(self.tracker, self.ledger, replace(found, run=""))

    def carry_out(self) -> TrialResult:
        """Run the trial and record whatever comes of it."""
        self.tracker.prepare()
        self.tracker.reap(self.ledger.is_claimed)
        self.ledger.forget(self.trial.fingerprint)
        run_id = self.tracker.start(self.trial, parent=str(self.cfg.tracking.get("parent") or ""))
        watch = Watch(self.console)
        begun = time.time()
        try:
            result = _finish(run_trial(self.parts, self.store, watch), self, watch)
        except BaseException as error:
            self._record(_failed(self.trial, error), begun, run_id)
            raise
        recorded = self._record(result, begun, run_id)
        if recorded.outcome != "finished":
            raise ErasureError(recorded.reason)
        return recorded

    def _record(self, result: TrialResult, begun: float, run_id: str) -> TrialResult:
        timed = replace(result, started=begun, ended=time.time())
        self.ledger.save(timed)
        return deliver(self.tracker, self.ledger, timed, run_id)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial made.

    Args:
        splits: The data, all of it.
        ctx: Models, data and cached logits.
        evaluation: The measurements.
        keys: Store keys of the models used, by role.
        trained: Number of models that had to be trained.
    """

    splits: DataSplits
    ctx: EvalContext
    evaluation: Evaluation
    keys: dict[str, str]
    trained: int


def run_trial(parts: Parts, store: ModelStore, watch: Watch) -> Outcome:
    """Carry out the stages of a trial; every model that is trained comes out of ``store``."""
    obtained: list[tuple[str, Trained]] = []

    def obtain(view: View, role: str) -> tuple[nn.Module, Trained]:
        model, trained = obtain_trained(parts, store, view, watch, role)
        obtained.append((role, trained))
        return model, trained

    splits = DataSplits.of(parts.pool, parts.indices)
    original, before = obtain(splits.train, "original")
    with watch.stage("unlearn", "unlearning") as report:
        unlearned, facts = unlearn(parts, original, lambda v: obtain(v, "requested"), report)
    models: dict[Who, nn.Module] = {"original": original, "unlearned": unlearned}
    facts["original_seconds"] = before.seconds
    if parts.evaluator.needs_gold:
        models["gold"], gold = obtain(splits.retain, "gold")
        facts["retrain_seconds"] = gold.seconds
    ctx = parts.evaluator.prepare(_context(parts, splits, models, facts))
    with watch.stage("evaluate", "evaluating"):
        facts.update(_output_change(ctx), **_duplicates(splits, parts.evaluator.heldout))
        evaluation = _untouched(parts, ctx)
    return Outcome(
        splits=splits,
        ctx=ctx,
        evaluation=evaluation,
        keys={role: trained.key for role, trained in obtained},
        trained=sum(trained.fresh for _, trained in obtained),
    )


def _context(
    parts: Parts, splits: DataSplits, models: dict[Who, nn.Module], facts: dict[str, float]
) -> EvalContext:
    return EvalContext(
        models=models,
        splits=splits,
        kind=parts.pool.task,
        num_classes=parts.pool.num_classes,
        heldout=parts.evaluator.heldout,
        seed=parts.seeds.evaluate,
        facts=facts,
        batch_size=parts.evaluator.batch_size,
    )


def obtain_trained(
    parts: Parts, store: ModelStore, view: View, watch: Watch, role: str
) -> tuple[nn.Module, Trained]:
    """Return the model trained on ``view`` by the recipe of ``parts``, from the store if there."""

    def train() -> Training:
        curve: list[float] = []
        seed = parts.seeds.train

        def noted(step: int, of: int, **values: float) -> None:
            curve.append(values["loss"])
            report(step, of, **values)

        with isolated(seed, "train", "layers"), counted_steps() as steps:
            model = parts.trainer(parts.fresh(), view, stream(seed, "train"), noted)
        return Training(model=model, curve=curve, steps=steps.count)

    with watch.stage(role, f"{role} model, {len(view)} samples") as report:
        trained = store.get(Request.of(parts.recipe, view, parts.seeds.train), train)
        model = parts.fresh()
        model.load_state_dict(dict(trained.state))
        watch.curves[f"{role}/loss"] = list(enumerate(trained.curve, start=1))
    return model, trained


def _untouched(parts: Parts, ctx: EvalContext) -> Evaluation:
    """Evaluate, and make sure that measuring changed no model."""
    before = {who: model_fingerprint(model) for who, model in ctx.models.items()}
    evaluation = parts.evaluator(ctx)
    for who, model in ctx.models.items():
        if model_fingerprint(model) != before[who]:
            raise ErasureError(f"a metric changed the {who} model, which it must not touch")
    return evaluation


def _output_change(ctx: EvalContext) -> dict[str, float]:
    """Return how far the predictions on the forget set moved: mean total variation, in [0, 1]."""
    roles: tuple[Who, Who] = ("original", "unlearned")
    try:
        old, new = (ctx.logits("forget", who).softmax(dim=-1) for who in roles)
    except NotComputableError:
        return {}  # logits that are not finite; every metric of theirs says so
    return {"forget_output_change": 0.5 * (old - new).abs().sum(dim=-1).mean().item()}


def _duplicates(splits: DataSplits, heldout: str) -> dict[str, float]:
    """Count the forget samples that occur, with equal contents, in other parts as well."""

    def hashes(part: str) -> torch.Tensor:
        view = splits.part(part)
        return view.pool.digests(view.index)

    forget = hashes("forget")
    return {
        f"duplicates_forget_{name}": float(torch.isin(forget, hashes(part)).sum())
        for name, part in (("retain", "retain"), ("heldout", heldout))
    }


def _finish(outcome: Outcome, bench: _Bench, watch: Watch) -> TrialResult:
    folder = bench.ledger.artifacts(bench.trial.fingerprint)
    with watch.stage("record", "writing pictures and tables"):
        write_config(folder, bench.cfg)
        write_measurements(folder, outcome.ctx, outcome.evaluation, watch.curves)
        write_split(folder, outcome.splits)
        if bench.cfg.tracking.get("save_model"):
            write_model(folder, outcome.ctx.models["unlearned"])
    errors = outcome.evaluation.errors
    keys = {f"store.{role}": key for role, key in outcome.keys.items()}
    return TrialResult(
        trial=replace(bench.trial, tags={**bench.trial.tags, **keys}),
        outcome="failed" if errors else "finished",
        reason="; ".join(errors),
        traceback="\n".join(outcome.evaluation.tracebacks),
        metrics=outcome.evaluation.flat(),
        curves=watch.curves,
        seconds=watch.seconds,
        trained=outcome.trained,
    )


def _failed(trial: Trial, error: BaseException) -> TrialResult:
    return TrialResult(
        trial=trial,
        outcome="diverged" if isinstance(error, DivergedError) else "failed",
        reason=str(error) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def _objective(parts: Parts, result: TrialResult) -> float | tuple[float, ...]:
    values = parts.objective.values(result.metrics)
    return values[0] if len(values) == 1 else values
