"""Real data through the YAML files that are shipped: ``pytest -m real``.

The data lie beside the repository, in ``../shared/real``, laid out as a ``data.root``.
"""

from pathlib import Path

import pytest
import torch
from tabular_trial import run_trial

REAL = Path(__file__).parents[3] / "shared" / "real"

pytestmark = [
    pytest.mark.filterwarnings(  # pickles of the time when SciPy had this namespace
        "ignore:Please import `csr_matrix`:DeprecationWarning"
    ),
    pytest.mark.real,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"there is no real data in {REAL}"),
]

AS_PUBLISHED = {
    "fashion_mnist": ("torchvision/FashionMNIST", 70_000, 10),
    "adult": ("uci", 48_842, 2),
    "cora": ("Cora", 2708, 7),
    "citeseer": ("CiteSeer", 3327, 6),
    "mutag": ("MUTAG", 188, 2),
    "enzymes": ("ENZYMES", 600, 6),
    "proteins": ("PROTEINS", 1113, 2),
}
"""Where the files of a data set are, how many samples its authors count, and classes."""


def linked(option, root):
    """Link the files into a data root that can be written, and return the overrides for it."""
    folder = AS_PUBLISHED[option][0]
    for file in (REAL / folder).rglob("*"):
        if file.is_file():
            link = root / folder / file.relative_to(REAL / folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    # torchvision unpacks what it finds only where it may download; all it asks for is there
    download = f"data.download={str(option == 'fashion_mnist').lower()}"
    return [f"dataset={option}", f"data.root={root}", "data.verify=false", download]


@pytest.mark.parametrize("option", AS_PUBLISHED)
def test_it_has_the_samples_and_classes_that_its_authors_count(compose_config, tmp_path, option):
    from trials import assemble

    cfg = compose_config(*linked(option, tmp_path), "tracking=none", "evaluator=fast")
    parts = assemble(cfg, device=torch.device("cpu"))
    _, samples, classes = AS_PUBLISHED[option]
    assert (len(parts.data.pool.targets), parts.data.pool.num_classes) == (samples, classes)


def test_papers_are_told_apart_as_published_and_some_are_forgotten(compose_config, tmp_path):
    """A GCN names the field of about 86 of 100 papers of Cora when it learns from all others."""
    settings = ["split=nodes", "trainer.fit.epochs=100"]
    metrics = run_trial(compose_config, tmp_path, "scrub", *linked("cora", tmp_path), *settings)
    assert metrics["original/val/accuracy"] > 0.8
    assert metrics["gold/val/accuracy"] > 0.8
