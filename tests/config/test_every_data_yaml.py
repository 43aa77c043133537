"""Every data set, split and model of ``conf`` composes, builds and fits, on crafted files."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from trials import assemble

from erasure.core.errors import ErasureError

pytestmark = pytest.mark.slow


CONF = Path(__file__).parents[2] / "conf"


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("[!_]*.yaml"))


def craft(folder, option):
    """Write what a data set reads into ``folder`` and return what has to be set besides."""
    text = (CONF / "dataset" / f"{option}.yaml").read_text()
    pictures, tables = import_module("crafted_torchvision"), import_module("crafted_tabular")
    hub, graphs = import_module("crafted_huggingface"), import_module("crafted_geometric")
    if "TorchvisionImages" in text or "ImageFolder" in text or "celeba" in text:
        pictures.craft(folder, option)
        return pictures.OVERRIDES.get(option, [])
    if option in (*tables.CRAFTED, *tables.BUNDLED, *tables.MADE):
        tables.craft(folder, option)
        return tables.overrides(folder, option)
    if option in (*graphs.TU, *graphs.MOLECULES, *graphs.PLANETOID, *graphs.BUNDLED):
        graphs.craft(folder, option)
        return []
    if option not in ("digits", "digits_noisy", "synthetic_text"):
        hub.craft(folder, option)
    return hub.SETTINGS.get(option, [])


@pytest.fixture
def assembled(compose_config, tmp_path):
    def make(*overrides):
        places = [f"data.root={tmp_path}", "data.verify=false", "tracking=none"]
        return assemble(compose_config(*overrides, *places), device=torch.device("cpu"))

    return make


@pytest.mark.parametrize("option", options("dataset"))
def test_every_data_set_loads_and_fits_the_model_it_names(assembled, tmp_path, option):
    parts = assembled(f"dataset={option}", *craft(tmp_path, option))
    assert len(parts.data.pool.targets) > 30
    assert parts.data.pool.num_classes >= 2
    assert parts.data.fingerprint
    counts = [
        len(getattr(parts.data.indices, name)) for name in ("forget", "retain", "val", "test")
    ]
    assert min(counts) > 0


@pytest.mark.parametrize("option", options("split"))
def test_every_split_chooses(assembled, tmp_path, option):
    if option in ("nodes", "edges"):
        parts = assembled(f"split={option}", "dataset=sbm")
    else:
        data = import_module("crafted_splits").craft(tmp_path, option)
        parts = assembled(f"split={option}", *data)
    assert 0 < len(parts.data.indices.forget) < len(parts.data.indices.train)


def photographs(folder):
    """Write 100 small colour images of ten classes, and return the overrides that use them."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (100, 3, 32, 32), dtype=np.uint8)
    np.savez(folder / "images.npz", inputs=images, targets=np.arange(100) % 10)
    return ["dataset=tensor_file", f"dataset.path={folder}/images.npz"]


def data_for(option, folder):
    """Return overrides for data that a model of ``conf/model`` accepts."""
    text = (CONF / "model" / f"{option}.yaml").read_text()
    if "models.GraphNetwork" in text:
        return ["dataset=sbm"]
    if any(
        name in text for name in ("models.BagOfEmbeddings", ".transformer", "pretrained_trans")
    ):
        return ["dataset=synthetic_text"]
    return photographs(folder)


PRETRAINED = ("bert", "distilbert", "roberta", "deberta", "hf")


@pytest.mark.parametrize("option", [name for name in options("model") if name not in PRETRAINED])
def test_every_model_builds_and_fits_data_of_its_kind(assembled, tmp_path, option):
    parts = assembled(*data_for(option, tmp_path), f"model={option}")
    assert sum(weight.numel() for weight in parts.fresh().parameters()) > 0


@pytest.mark.parametrize("option", PRETRAINED)
def test_pretrained_models_say_what_they_miss(assembled, tmp_path, option):
    chosen = [f"model={option}", *(["model.name=org/model"] if option == "hf" else [])]
    texts = data_for(option, tmp_path)
    with pytest.raises(ErasureError, match=r"model\.name must be that of the tokenizer"):
        assembled(*texts, *chosen)
    with pytest.raises(ErasureError, match="Without a network, put") as caught:
        assembled(*texts, *chosen, "dataset.tokenizer=${model.name}", "data.download=false")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("option", options("trainer"))
def test_every_trainer_builds(assembled, option):
    assert callable(assembled(f"trainer={option}").trainer)
