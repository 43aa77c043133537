"""Labels and attributes as tensors and plain data, to be kept below ``data_config.prepared``."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.task_types import Multiclass, Multilabel
from erasure.data.frames.labelling import Labels
from erasure.data.sources.prepared import Prepared


def pack(
    labels: Labels,
    attributes: Mapping[str, Column],
    official: Tensor | None,
    tensors: Mapping[str, Tensor],
    **properties: Any,
) -> Prepared:
    """Return everything together; names of ``tensors`` must be none of those used here."""
    columns = {f"column {i}": column.values for i, column in enumerate(attributes.values())}
    parts = {} if official is None else {"official": official}
    names = [[name, list(column.names)] for name, column in attributes.items()]
    return Prepared(
        {**tensors, **columns, **parts, "targets": labels.targets},
        {**properties, "columns": names, "class_names": list(labels.names)},
    )


def unpack(entry: Prepared, data_config: DataConfig) -> dict[str, Any]:
    """Return the fields of a labelled pool, targets on the device of ``data_config``."""
    targets = entry.tensors["targets"]
    columns = {
        name: Column(entry.tensors[f"column {i}"], tuple(names))
        for i, (name, names) in enumerate(entry.properties["columns"])
    }
    return {
        "targets": targets.to(data_config.device),
        "class_names": tuple(entry.properties["class_names"]),
        "attributes": columns,
        "official": entry.tensors.get("official"),
        "task_type": Multilabel() if targets.ndim == 2 else Multiclass(),
    }
