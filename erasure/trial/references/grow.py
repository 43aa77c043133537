"""How many reference models are needed, found out while they are made."""

from erasure.core.context import EvalContext
from erasure.metrics.privacy.ulira import ulira_interval
from erasure.training.model_store import ModelStore
from erasure.trial.progress import Progress
from erasure.trial.references.models import TrialReferences
from erasure.trial.trial import Trial


def reference_models(
    trial: Trial, store: ModelStore, progress: Progress
) -> TrialReferences | None:
    """Return the reference models that ``references.*`` asks for, or None if it asks for none.

    Their number grows from ``references.first`` to ``references.size``, and stops growing as soon
    as the per-example attack is decided: the interval of its AUC lies inside
    ``0.5 +- references.tolerance``, or outside.
    """
    settings = trial.references
    if settings.size == settings.shadows == 0:
        return None
    evaluator = trial.evaluator
    references = TrialReferences(
        trial=trial, store=store, heldout=evaluator.heldout, batch_size=evaluator.batch_size
    )
    for size in settings.stages:
        references.fill(size, progress)
        if size < settings.size and _decided(trial, references):
            progress.console.print(f"[dim]the attack is decided after {size} models a side[/dim]")
            break
    if settings.shadows:
        references.add_shadows(progress, unlearned="shadow_unlearned" in evaluator.roles)
    return references


def _decided(trial: Trial, references: TrialReferences) -> bool:
    ctx = EvalContext(
        models={},
        splits=trial.data.parts,
        task_type=trial.data.pool.task_type,
        num_classes=trial.data.pool.num_classes,
        heldout=trial.evaluator.heldout,
        seed=trial.seeds.evaluate,
        references=references,
    )
    low, high = ulira_interval(ctx)
    tolerance = trial.references.tolerance
    lowest, highest = 0.5 - tolerance, 0.5 + tolerance
    # With too few models the interval is NaN and every comparison false: undecided
    return lowest <= low <= high <= highest or low > highest or high < lowest
