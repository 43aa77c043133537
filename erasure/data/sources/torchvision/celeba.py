"""The identities and attributes of CelebA."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from erasure.core.columns import Column
from erasure.data.frames.numbering import numbered


def celeba_columns(datasets: Sequence[Any]) -> Mapping[str, Column]:
    """Return who is on each picture, and the 40 attributes, each with the names not_X and X.

    Args:
        datasets: Instances of ``torchvision.datasets.CelebA``, one per part.

    References:
        Z. Liu, P. Luo, X. Wang and X. Tang, "Deep Learning Face Attributes in the Wild", 2015,
        arXiv:1411.7766.
    """
    people = torch.cat([dataset.identity[:, 0] for dataset in datasets])
    values = torch.cat([dataset.attr for dataset in datasets]).long()
    names = [name for name in datasets[0].attr_names if name]
    attributes = {
        name: Column(column.contiguous(), (f"not_{name}", name))
        for name, column in zip(names, values.unbind(dim=1), strict=True)
    }
    return {"identity": numbered(people), **attributes}


def celeba_files(dataset: Any) -> list[Path]:
    """Return the file of each picture of a part."""
    folder = Path(dataset.root) / dataset.base_folder / "img_align_celeba"
    return [folder / file for file in dataset.filename]
