"""Data of one's own: data sets, loaders, tensors, several inputs; what is refused."""

import random

import numpy as np
import pytest
import torch
from own_data import own_parts, views
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import erasure
from erasure.api.data import views_of
from erasure.core.errors import ErasureError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.testing import toy_task

CPU = torch.device("cpu")
INPUTS = torch.randn(12, 4, generator=stream(0, "own data"))
LABELS = torch.arange(12) % 3


def linear(size=4):
    with isolated(0, "own data"):
        return nn.Linear(size, 3)


class Fixed(nn.Module):
    """Returns whatever it was made with, a row per sample."""

    def __init__(self, row=(0.0, 0.0, 0.0)):
        super().__init__()
        self.row = nn.Parameter(torch.tensor(row))

    def forward(self, inputs):
        return self.row.expand(len(inputs), -1)


class Pictures(Dataset):
    """Pairs with labels that are plain numbers, and a random transform."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        shift = random.random() + float(np.random.rand()) + float(torch.rand(()))  # noqa: NPY002
        return INPUTS[index] + shift, int(LABELS[index])


class Endless(IterableDataset):
    """Samples without numbers."""

    def __iter__(self):
        yield INPUTS[0], 0


def contents(data):
    view = views_of({"forget": data}, Fixed(), CPU)["forget"]
    return view.pool.fetch(view.index), view.targets


PAIRS = list(zip(INPUTS, LABELS.tolist(), strict=True))
KINDS = {
    "pair of tensors": (INPUTS, LABELS),
    "pair of arrays": (INPUTS.numpy(), LABELS.numpy().astype(np.int32)),
    "data set": TensorDataset(INPUTS, LABELS),
    "list of pairs": PAIRS,
    "loader": DataLoader(TensorDataset(INPUTS, LABELS), batch_size=5),
    "shuffled loader": DataLoader(PAIRS, batch_size=5, shuffle=True, drop_last=True),
    "loader of a subset": DataLoader(Subset(PAIRS, range(12)), batch_size=5),
    "loader with a sampler": DataLoader(PAIRS, sampler=SubsetRandomSampler(range(12))),
    "rows with labels": [{"": x, "label": y} for x, y in PAIRS],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_is_read_in_order(kind):
    inputs, targets = contents(KINDS[kind])
    inputs = inputs[""] if isinstance(inputs, dict) else inputs
    assert torch.equal(inputs, INPUTS)
    assert torch.equal(targets, LABELS)
    assert targets.dtype is torch.int64


def test_all_kinds_give_the_same_weights():
    model, parts, _ = own_parts()
    task = toy_task()
    results = [
        erasure.unlearn(model, **data, method="finetune", fit={"epochs": 1})
        for data in (
            parts,
            {name: TensorDataset(*pair) for name, pair in parts.items()},
            {n: DataLoader(TensorDataset(*p), shuffle=True) for n, p in parts.items()},
            views(task),
        )
    ]
    assert len({model_fingerprint(result) for result in results}) == 1


def test_a_random_transform_draws_by_the_seed_alone():
    model = linear()
    runs = []
    for seed in (1, 1, 2):
        data = {"forget": Pictures(), "retain": Pictures()}
        runs.append(erasure.unlearn(model, **data, method="grad_ascent", seed=seed))
    assert torch.equal(runs[0].weight, runs[1].weight)
    assert not torch.equal(runs[0].weight, runs[2].weight)


class TwoInputs(nn.Module):
    """Token ids and a mask, as networks for texts take them."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, inputs):
        mask = inputs["mask"].unsqueeze(-1).float()
        vectors = self.embedding(inputs["ids"]) * mask
        return self.head(vectors.sum(dim=1) / mask.sum(dim=1))


@pytest.fixture
def texts():
    generator = stream(0, "texts")
    ids = torch.randint(20, (30, 5), generator=generator)
    inputs = {"ids": ids, "mask": torch.ones(30, 5, dtype=torch.int64)}
    labels = torch.arange(30) % 3

    def part(start, stop):
        return {k: v[start:stop] for k, v in inputs.items()}, labels[start:stop]

    return {"forget": part(0, 8), "retain": part(8, 20), "test": part(20, 30)}


@pytest.mark.parametrize("method", ["scrub", "ssd", "random_labels"])
@pytest.mark.slow
def test_several_inputs_per_sample_are_a_mapping(texts, method):
    with isolated(0, "texts"):
        model = TwoInputs()
    forget, retain = texts["forget"], texts["retain"]
    unlearned = erasure.unlearn(model, forget=forget, retain=retain, method=method)
    assert model_fingerprint(unlearned) != model_fingerprint(model)
    rows = {
        name: [
            {**dict(zip(x, r, strict=True)), "labels": int(label)}
            for *r, label in zip(*x.values(), y, strict=True)
        ]
        for name, (x, y) in texts.items()
    }
    result = erasure.evaluate(unlearned, model, **rows)
    assert result["forget/accuracy"] == erasure.evaluate(unlearned, **texts)["forget/accuracy"]
    assert "small amounts" in str(
        refused(erasure.unlearn, model, forget=forget, retain=retain, method="unsir_sample")
    )


def test_several_labels_per_sample_are_rows_of_zeros_and_ones():
    labels = torch.stack([LABELS == 0, LABELS > 0, LABELS == 2], dim=1).float()
    model = linear()
    data = {"forget": (INPUTS[:5], labels[:5]), "retain": (INPUTS[5:], labels[5:])}
    unlearned = erasure.unlearn(model, **data, method="neggrad_plus")
    result = erasure.evaluate(unlearned, **data, test=(INPUTS, labels))
    assert 0 <= result["multilabel/test/hamming"] <= 1


def refused(function, *arguments, **keywords):
    with pytest.raises(ErasureError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return caught.value


class ReturnsATuple(Fixed):
    def forward(self, inputs):
        return (super().forward(inputs),)


REFUSED = [
    ((INPUTS, LABELS.float()), Fixed(), "regression and soft labels are not supported"),
    ((INPUTS, torch.rand(12, 3, generator=stream(0))), Fixed(), "soft labels are not supported"),
    ((INPUTS, LABELS.unsqueeze(1)), Fixed(), "labels must be one whole number per sample"),
    ((INPUTS, LABELS + 1), Fixed(), "labels must be from 0 to 2, because model has 3 logits"),
    ((INPUTS, torch.eye(12)), Fixed(), "samples have 12 labels"),
    ((INPUTS, LABELS[:5]), Fixed(), "forget: 12 inputs for 5 labels"),
    ((INPUTS, ["a"] * 12), Fixed(), "forget: labels must be numbers"),
    ((INPUTS[:0], LABELS[:0]), Fixed(), "forget: there are no samples"),
    ([], Fixed(), "forget: there are no samples"),
    (INPUTS, Fixed(), "forget: a sample must be a pair (input, label)"),
    ([(x, y, 0) for x, y in PAIRS], Fixed(), "forget: a sample must be a pair"),
    ([*PAIRS, (torch.zeros(5), 0)], Fixed(), "cannot be put together in a batch"),
    ([("text", 0)], Fixed(), "inputs must be tensors, arrays or mappings of these"),
    (3, Fixed(), "data must be a map-style Dataset"),
    (Endless(), Fixed(), "data must be a map-style Dataset"),
    (DataLoader(Endless()), Fixed(), "got an IterableDataset"),
    (
        DataLoader(PAIRS, sampler=WeightedRandomSampler([1.0] * 12, 12)),
        Fixed(),
        "pass the data set or a Subset of it",
    ),
    (
        DataLoader(PAIRS, sampler=RandomSampler(PAIRS, replacement=True)),
        Fixed(),
        "RandomSampler may not",
    ),
    ((INPUTS, LABELS), linear(7), "model does not accept samples of shape (4,)"),
    ((INPUTS, LABELS), ReturnsATuple(), "got tuple"),
    ((INPUTS, LABELS), Fixed((0.0,)), "got a tensor of shape (2, 1)"),
]


@pytest.mark.parametrize(("data", "model", "message"), REFUSED)
def test_what_is_no_classification_is_refused_in_one_line(data, model, message):
    assert message in str(refused(views_of, {"forget": data}, model, CPU))


def test_parts_must_go_together():
    other = {"forget": (INPUTS, LABELS), "retain": (INPUTS[:, :2], LABELS)}
    assert "forget and retain do not go together" in str(refused(views_of, other, Fixed(), CPU))
    task, second = toy_task(), toy_task()
    mixed = {"forget": task.forget, "retain": (INPUTS, LABELS)}
    assert "retain are not" in str(refused(views_of, mixed, task.model, CPU))
    pools = {"forget": task.forget, "retain": second.retain}
    assert "there are 2 pools" in str(refused(views_of, pools, task.model, CPU))
    empty = {"forget": task.forget.take(torch.arange(0)), "retain": task.retain}
    assert "forget: there are no samples" in str(refused(views_of, empty, task.model, CPU))
    classes = {"forget": task.forget, "retain": task.retain}
    assert "3 logits per sample, the data 4" in str(refused(views_of, classes, Fixed(), CPU))
