"""Forgetting by difficulty: the proxy against a loop, scores from a file, and three levels."""

import numpy as np
import pytest
import torch
from crafted_splits import people_pool
from safetensors.torch import save_file

from erasure.core.errors import ConfigError, DataError
from erasure.core.seeding import stream
from erasure.data.pools.tensor import TensorPool
from erasure.data.splits.difficulty import DifficultyForget, atypicality, read_scores
from erasure.data.splits.drawn import RandomForget


@pytest.fixture(scope="module")
def pool():
    return people_pool()


@pytest.fixture(scope="module")
def train(pool):
    return split(pool, RandomForget()).train


@pytest.fixture
def scored(train, tmp_path):
    """Write a file of known scores, in another order and for other samples too."""
    ids = torch.randperm(400, generator=stream(0, "order"))
    scores = torch.rand(400, generator=stream(0, "scores"), dtype=torch.float64)
    save_file(
        {"ids": ids, "memorization": scores[ids].contiguous()}, tmp_path / "scores.safetensors"
    )
    return str(tmp_path / "scores.safetensors"), scores[train].numpy()


def split(pool, strategy, seed=0):
    return strategy(pool, stream(seed, "split"))


def by_loop(pool, samples, among, neighbours):
    pixels = pool.inputs.flatten(1).double().numpy()
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    scores = []
    for i in samples.tolist():
        sides = {True: [], False: []}
        for j in among.tolist():
            if i != j:
                sides[bool(pool.targets[i] == pool.targets[j])].append(unit[i] @ unit[j])
        own, others = (
            np.mean(sorted(side)[-neighbours:]) if side else -1.0
            for side in (sides[True], sides[False])
        )
        scores.append(others - own)
    return np.array(scores)


@pytest.mark.parametrize("neighbours", [1, 4, 1000])
def test_the_proxy_equals_a_loop_over_pairs(pool, train, neighbours):
    samples, among = train[:60], train[20:110]
    actual = atypicality(pool, samples, among, neighbours).numpy()
    np.testing.assert_allclose(actual, by_loop(pool, samples, among, neighbours), atol=1e-6)


def test_a_side_without_anybody_counts_minus_one(make_pool):
    """A sample alone in its class, at a cosine of one to the others, scores 1 - (-1)."""
    pool = TensorPool(
        inputs=torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]),
        targets=torch.tensor([0, 1, 1]),
        class_names=("a", "b"),
    )
    every = torch.arange(3)
    assert atypicality(pool, every, every, 5).tolist() == pytest.approx([2.0, 0.0, 0.0], abs=1e-7)


def test_wrong_labels_are_the_hardest():
    """Of 400 clearly separate samples, 20 under the label of another class."""
    pool = people_pool()
    centres = torch.randn((4, 1, 6, 6), generator=stream(0, "centres"))
    noise = 0.3 * torch.randn((400, 1, 6, 6), generator=stream(0, "noise"))
    pool = people_pool(inputs=centres[pool.targets] + noise)
    mistaken = split(pool, RandomForget()).train[:20]
    labels = pool.targets.index_add(0, mistaken, torch.ones(20, dtype=torch.int64)) % 4
    noisy = people_pool(inputs=pool.inputs, targets=labels)
    hard = split(noisy, DifficultyForget(fraction=None, count=20))
    assert hard.forget.tolist() == mistaken.tolist()


@pytest.mark.parametrize("level", ["low", "mid", "high"])
def test_scores_of_a_file_are_ranked(pool, train, scored, level):
    path, scores = scored
    indices = split(pool, DifficultyForget(level=level, count=30, fraction=None, path=path))
    order = {"low": scores, "mid": abs(scores - 0.5), "high": -scores}[level].argsort()
    assert indices.forget.tolist() == sorted(train.numpy()[order[:30]].tolist())
    assert indices.scenario == {"kind": "difficulty", "level": level, "scores": "file"}


@pytest.mark.parametrize("level", ["low", "mid", "high"])
@pytest.mark.parametrize("references", [50, 5000])
def test_more_contains_less(pool, level, references):
    sets = [
        set(
            split(
                pool, DifficultyForget(level=level, fraction=f, references=references)
            ).forget.tolist()
        )
        for f in (0.05, 0.1, 0.3)
    ]
    assert sets[0] < sets[1] < sets[2]


def test_levels_of_the_proxy_are_apart_and_ordered(pool, train):
    scores = atypicality(pool, train, train, 10)
    means = [
        scores[torch.isin(train, split(pool, DifficultyForget(level=level)).forget)].mean().item()
        for level in ("low", "mid", "high")
    ]
    assert means == sorted(means)
    assert means[1] == pytest.approx(scores.median().item(), abs=0.02)


def test_ties_are_broken_by_id(make_pool):
    pool = make_pool([0, 1] * 30)  # no pixel differs from the mean of its row
    indices = split(pool, DifficultyForget(fraction=None, count=5, duplicates="ignore"))
    assert indices.forget.tolist() == indices.train[:5].tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": "hard"}, "level must be low, mid or high, got 'hard'"),
        ({"neighbours": 0}, "neighbours must be >= 1, got 0"),
        ({"references": 0}, "references must be >= 1, got 0"),
        ({"count": 3}, "fraction and count exclude each other"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError, match=message):
        DifficultyForget(**settings)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"ids": torch.arange(3)}, "cannot be read as scores .*memorization"),
        ({"ids": torch.arange(3), "memorization": torch.zeros(4)}, "one score per id"),
        ({"ids": torch.tensor([0, 0]), "memorization": torch.zeros(2)}, "each id once"),
        ({"ids": torch.arange(9), "memorization": torch.zeros(9)}, "lacks scores of 1 of 3 train"),
        ({"ids": torch.empty(0), "memorization": torch.empty(0)}, "lacks scores of 3 of 3 train"),
        (
            {"ids": torch.arange(11), "memorization": torch.full((11,), torch.nan)},
            "has scores that are not finite",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "scores.safetensors")
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "scores.safetensors", torch.tensor([2, 5, 10]))


def test_a_file_that_is_not_there_or_torn_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is none at"):
        read_scores(tmp_path / "gone.safetensors", torch.tensor([0]))
    (tmp_path / "torn.safetensors").write_text("x")
    with pytest.raises(DataError, match=r"torn\.safetensors cannot be read as scores"):
        read_scores(tmp_path / "torn.safetensors", torch.tensor([0]))
