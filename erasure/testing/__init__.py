"""Checks for unlearners and metrics, ours and those of outside packages.

``check_unlearner(Shrink(factor=0.5))`` is a whole test.
"""

from erasure.testing.checks import UnlearnerCheck, check_unlearner, unlearner_checks
from erasure.testing.fixed import fixed_task, split_joint
from erasure.testing.metric_checks import MetricCheck, check_metric, metric_checks
from erasure.testing.replay import replayed_draws
from erasure.testing.toy import ToyModel, toy_context, toy_task

__all__ = [
    "MetricCheck",
    "ToyModel",
    "UnlearnerCheck",
    "check_metric",
    "check_unlearner",
    "fixed_task",
    "metric_checks",
    "replayed_draws",
    "split_joint",
    "toy_context",
    "toy_task",
    "unlearner_checks",
]
