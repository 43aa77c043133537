"""Tables made from random numbers, of any size and any difficulty."""

from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.core.task_types import Multiclass, Multilabel, TaskType
from erasure.data.pools.tabular import TabularPool


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """Gaussian clusters at the corners of a hypercube, and noise.

    Labels flipped at random can only be memorized, which gives membership inference a signal: at
    the defaults an MLP fits all training labels and is right about 72 % of the time elsewhere.

    Args:
        samples: Number of rows.
        features: Number of columns ``x0``, ``x1`` and so on, the informative ones included.
        informative: Number of columns that tell the class.
        classes: Number of classes.
        flip: Share of labels drawn anew at random, in [0, 1).
        separation: Half the side of the hypercube; less is harder.
        seed: Seed of the data; part of the data set, not of the trial.

    References:
        I. Guyon, "Design of experiments for the NIPS 2003 variable selection benchmark", 2003,
        as in ``sklearn.datasets.make_classification``.
    """

    samples: int = 2000
    features: int = 20
    informative: int = 8
    classes: int = 4
    flip: float = 0.1
    separation: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require_positive(self, "samples", "informative")
        _require_classes(self.classes)
        if self.informative > self.features:
            raise ConfigError(
                f"informative must be <= features={self.features}, got {self.informative}"
            )
        if 2**self.informative < self.classes:
            raise ConfigError(
                f"classes must be <= 2 to the power of informative={self.informative}, "
                f"got {self.classes}"
            )
        if not 0.0 <= self.flip < 1.0:
            raise ConfigError(f"flip must be in [0, 1), got {self.flip}")
        if self.separation <= 0:
            raise ConfigError(f"separation must be > 0, got {self.separation}")

    def __call__(self, data_config: DataConfig) -> TabularPool:
        """Return the table; each class is one cluster."""
        from sklearn.datasets import make_classification

        inputs, labels = make_classification(
            n_samples=self.samples,
            n_features=self.features,
            n_informative=self.informative,
            n_redundant=0,
            n_classes=self.classes,
            n_clusters_per_class=1,
            flip_y=self.flip,
            class_sep=self.separation,
            random_state=self.seed,
        )
        samples = torch.from_numpy(inputs), torch.from_numpy(labels)
        return _pool(*samples, self.classes, Multiclass(), data_config)


@dataclass(frozen=True, kw_only=True)
class SyntheticMultilabel:
    """Counts of words in made documents, each of which has any number of topics.

    Each topic has frequencies of words of its own, uniform over all there can be. A document has
    each topic with the same chance, and its words are Poisson counts by the mean frequencies of
    its topics; without a topic all words are alike. (scikit-learn's
    ``make_multilabel_classification`` is of this kind too, but goes through documents one by one
    and draws topics until they differ, which takes seconds for some seeds.)

    Args:
        samples: Number of rows.
        features: Number of words, columns ``x0``, ``x1`` and so on.
        classes: Number of topics, which are the labels.
        labels: Mean number of topics of a document, in (0, classes).
        length: Mean number of words of a document.
        seed: Seed of the data; part of the data set, not of the trial.
    """

    samples: int = 2000
    features: int = 20
    classes: int = 5
    labels: float = 2.0
    length: float = 50.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require_positive(self, "samples", "features", "length")
        _require_classes(self.classes)
        if not 0.0 < self.labels < self.classes:
            raise ConfigError(f"labels must be in (0, {self.classes}), got {self.labels}")

    def __call__(self, data_config: DataConfig) -> TabularPool:
        """Return the table, its labels ``(N, C)`` of 0 and 1."""
        generator = stream(self.seed, "synthetic_multilabel")
        words = torch.empty(self.classes, self.features, dtype=torch.float64)
        # independent exponentials over their sum are uniform on the simplex
        words.exponential_(generator=generator)
        words /= words.sum(dim=1, keepdim=True)
        chance = torch.rand(self.samples, self.classes, generator=generator)
        labels = (chance < self.labels / self.classes).double()
        count = labels.sum(dim=1, keepdim=True)
        # 0 / 0 without a topic is not taken
        mean = torch.where(count > 0, labels @ words / count, 1.0 / self.features)
        inputs = torch.poisson(self.length * mean, generator=generator)
        return _pool(inputs, labels, self.classes, Multilabel(), data_config)


def _pool(
    inputs: Tensor, labels: Tensor, classes: int, task: TaskType, data_config: DataConfig
) -> TabularPool:
    return TabularPool(
        # a view of one column would keep the whole table, and lie in it with gaps
        features={f"x{i}": Column(values.clone()) for i, values in enumerate(inputs.unbind(1))},
        targets=labels.long().to(data_config.device),
        class_names=tuple(str(label) for label in range(classes)),
        task_type=task,
    )


def _require_positive(owner: object, *names: str) -> None:
    for name in names:
        if getattr(owner, name) < 1:
            raise ConfigError(f"{name} must be >= 1, got {getattr(owner, name)}")


def _require_classes(classes: int) -> None:
    if classes < 2:
        raise ConfigError(f"classes must be >= 2, got {classes}")
