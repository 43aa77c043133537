import torch

from erasure.core.splits import View
from erasure.unlearners.shared.balance import label_counts


def test_counts_are_by_id_and_zero_outside(make_pool):
    view = View(make_pool([0, 0, 1, 0, 1]), torch.tensor([3, 1, 2]))
    assert label_counts(view).tolist() == [0, 2, 1, 2, 0]


def test_labels_of_the_view_count(make_pool):
    view = View(make_pool([0, 0, 1, 0, 1]), torch.tensor([3, 1, 2]), torch.tensor([1, 0, 1]))
    assert label_counts(view).tolist() == [0, 1, 2, 2, 0]


def test_several_labels_are_equal_if_all_are(make_pool):
    pool = make_pool([0, 0, 0])
    view = View(pool, torch.arange(3), torch.tensor([[1, 0], [1, 1], [1, 0]]))
    assert label_counts(view).tolist() == [2, 1, 2]
