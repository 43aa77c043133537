"""The toy task as somebody outside of the package would have it: a model and tensors."""

from functools import partial

from erasure.core.splits import View
from erasure.testing.toy import _fresh, toy_context, toy_task


def tensors(view):
    """Return inputs and labels of a view."""
    pool = getattr(view.pool, "pool", view.pool)
    return pool.inputs[view.index], pool.targets[view.index]


def own_parts(model="mlp", **options):
    """Return a trained model, its forget, retain and validation samples, and what builds it."""
    task = toy_task(model, **options)
    parts = {name: tensors(getattr(task, name)) for name in ("forget", "retain", "val")}
    return task.model, parts, partial(_fresh, model)


def own_models():
    """Return original, unlearned and gold models and their samples."""
    ctx = toy_context()
    parts = {name: tensors(getattr(ctx.splits, name)) for name in ("forget", "retain", "test")}
    return ctx.models, parts


def views(task):
    """Return the views of a task on the pool itself, without a tally of reads."""
    pool = task.forget.pool.pool
    return {name: View(pool, getattr(task, name).index) for name in ("forget", "retain", "val")}
