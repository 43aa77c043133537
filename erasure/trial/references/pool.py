"""How large a pool of reference models has to be, found while it is made."""

from erasure.core.context import EvalContext
from erasure.core.splits import DataSplits
from erasure.metrics.privacy.ulira import ulira_interval
from erasure.training.model_store import ModelStore
from erasure.trial.progress import Progress
from erasure.trial.references.logits import TrialReferences
from erasure.trial.trial import Trial


def assembled_pool(
    parts: Trial, store: ModelStore, splits: DataSplits, watch: Progress
) -> TrialReferences | None:
    """Return the reference models that ``references.*`` asks for, or None if it asks for none.

    Their number grows from ``references.first`` to ``references.size``, and stops growing as soon
    as the per-example attack is decided: the interval of its AUC lies inside
    ``0.5 +- references.tolerance``, or outside.
    """
    asked = parts.reference
    if asked.size == asked.shadows == 0:
        return None
    evaluator = parts.evaluator
    pool = TrialReferences(
        parts=parts, store=store, heldout=evaluator.heldout, batch_size=evaluator.batch_size
    )
    for size in asked.stages:
        pool.fill(size, watch)
        if size < asked.size and _decided(parts, splits, pool):
            watch.console.print(f"[dim]the attack is decided after {size} models a side[/dim]")
            break
    if asked.shadows:
        pool.add_shadows(watch, unlearned="shadow_unlearned" in evaluator.roles)
    return pool


def _decided(parts: Trial, splits: DataSplits, pool: TrialReferences) -> bool:
    ctx = EvalContext(
        models={},
        splits=splits,
        task_type=parts.pool.task_type,
        num_classes=parts.pool.num_classes,
        heldout=parts.evaluator.heldout,
        seed=parts.seeds.evaluate,
        references=pool,
    )
    low, high = ulira_interval(ctx)
    inside = 0.5 - parts.reference.tolerance, 0.5 + parts.reference.tolerance
    return inside[0] <= low <= high <= inside[1] or low > inside[1] or high < inside[0]
