"""The experiment page, arranged for a reader: description, and saved views.

The format of a saved view is MLflow's own and documented nowhere (3.15 and later read it from a
tag of the experiment); a version that does not know it shows its usual page.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from erasure.core.errors import ConfigError
from erasure.schema import OUTCOME_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

LEADERBOARD = "erasure-leaderboard"
MEANS = "erasure-means"
SCATTER = "erasure-scatter"
VERSION_TAG = "erasure.page"
SECTION = "trade-offs"

DESCRIPTION = """\
**Views** (top right) has a leaderboard, the mean over seeds, and forget versus retain. \
A run is one trial; the trials of one command lie below the run of their sweep.

| metric | meaning | best |
|---|---|---|
| `gap/avg` | mean distance to the model retrained without the forgotten samples | 0 |
| `forget/accuracy`, `retain/accuracy`, `test/accuracy` | share of right answers | as retrained |
| `mia/loss/auc` | can an attack tell forgotten from unseen samples | 0.5 |
| `cost/unlearn_seconds` | time the method took | small |

A failed trial says why in its tag `erasure.reason`; its `traceback.txt` is among the artifacts.
"""

CHOICES = ("unlearner", "dataset", "model", "split", "seed")
MEASURES = (
    "gap/avg",
    "forget/accuracy",
    "retain/accuracy",
    "test/accuracy",
    "mia/loss/auc",
    "cost/unlearn_seconds",
)
NAME = "attributes.`Run Name`"
WHEN = "runDateAndNestInfo"


def prepare_experiment(client: "MlflowClient", name: str, artifact_uri: str) -> str:
    """Return the id of the experiment ``name``, created and arranged if need be.

    Args:
        client: Of the database or server.
        name: Of the experiment.
        artifact_uri: URI of the folder for artifacts, or empty to leave it to the server.

    Raises:
        ConfigError: If the experiment was deleted.
    """
    experiment = client.get_experiment_by_name(name) or _create(client, name, artifact_uri)
    if experiment.lifecycle_stage != "active":
        raise ConfigError(
            f"experiment must not be deleted, got {name!r}; restore it (mlflow experiments "
            f"restore -x {experiment.experiment_id}) or choose another name"
        )
    tags = page_tags()
    if experiment.tags.get(VERSION_TAG) != tags[VERSION_TAG]:
        for key, value in tags.items():
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)


def page_tags() -> dict[str, str]:
    """Return the tags of the experiment that make up its page.

    :data:`VERSION_TAG` comes last and changes with the content: while it is there, nothing needs
    to be written, and what people changed on the page stays as they left it.
    """
    texts = {
        "mlflow.note.content": DESCRIPTION,
        "mlflow.experimentKind": "custom_model_development",
    }
    states = {key: json.dumps(state) for key, (_, state) in _views().items()}
    # without the time below, which would make every page differ
    digest = hashlib.blake2b(repr((texts, states)).encode(), digest_size=8).hexdigest()
    now = round(1000 * time.time())
    views = {
        f"mlflow.sharedViewState.{key}": json.dumps(
            {"name": name, "createdAt": now, "updatedAt": now, "state": states[key]}
        )
        for key, (name, _) in _views().items()
    }
    return {**texts, **views, VERSION_TAG: digest}


def page_link(server: str, experiment_id: str) -> str:
    """Return the link that opens the leaderboard of an experiment."""
    return (
        f"{server}/#/experiments/{experiment_id}/runs"
        f"?workflowType=machine_learning&viewStateShareKey={LEADERBOARD}"
    )


def _create(client: "MlflowClient", name: str, artifact_uri: str) -> "Experiment":
    from mlflow.exceptions import MlflowException

    try:
        created = client.create_experiment(name, artifact_location=artifact_uri or None)
    except MlflowException as error:
        experiment = client.get_experiment_by_name(name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
            raise
        return experiment  # another machine was faster
    return client.get_experiment(created)


def _views() -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        LEADERBOARD: ("Leaderboard", _leaderboard()),
        MEANS: ("Mean over seeds", _means()),
        SCATTER: ("Forget versus retain", _scatter()),
    }


def _leaderboard() -> dict[str, Any]:
    """Show what was measured; what was chosen is in the name, and tags would push it aside."""
    return _table([_metric(name) for name in MEASURES], name_width=330)


def _means() -> dict[str, Any]:
    same = [name for name in CHOICES if name != "seed"]
    keys = [{"mode": "tag", "groupByData": name} for name in same]
    table = _table([_metric(name) for name in MEASURES], name_width=500)
    return {**table, "groupBy": {"aggregateFunction": "average", "groupByKeys": keys}}


def _scatter() -> dict[str, Any]:
    section = {"uuid": SECTION, "name": "Trade-offs", "display": True, "columns": 2}
    charts = [
        _chart("retain/accuracy", "forget/accuracy"),
        _chart("test/accuracy", "mia/loss/auc"),
        _chart("cost/unlearn_seconds", "gap/avg"),
    ]
    return {
        **_leaderboard(),
        "compareRunSections": [section],
        "compareRunCharts": charts,
        "isAccordionReordered": True,
    }


def _table(columns: Sequence[str], name_width: int = 270) -> dict[str, Any]:
    return {
        "searchFilter": f"tags.`{OUTCOME_TAG}` = 'finished'",
        "orderByKey": _metric("gap/avg"),
        "orderByAsc": True,
        "selectedColumns": list(columns),
        "columnOrder": [NAME, *columns, WHEN, "duration"],
        "columnWidths": {NAME: name_width, WHEN: 150, **{name: _width(name) for name in columns}},
        "runsHiddenMode": "SHOW_ALL",  # otherwise ten runs are drawn
    }


def _width(column: str) -> int:
    # in pixels, about seven for a letter; the name stands between backquotes
    return max(110, 30 + 7 * len(column.split("`")[1]))


def _chart(x: str, y: str) -> Mapping[str, Any]:
    return {
        "type": "SCATTER",
        "uuid": f"{x} {y}",
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 1000,
        "xaxis": {"key": x, "type": "METRIC", "dataAccessKey": x},
        "yaxis": {"key": y, "type": "METRIC", "dataAccessKey": y},
    }


def _metric(name: str) -> str:
    return f"metrics.`{name}`"
