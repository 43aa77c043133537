"""The page of data sets and models: a row for every YAML file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from erasure.cli.pages.markdown import table
from erasure.config.build import build
from erasure.core.errors import ErasureError
from erasure.core.seeding import isolated

PAGE = Path("docs") / "datasets.md"

OFFERED: Mapping[str, Mapping[str, Any]] = {
    "graphs": {"input_shape": (7,), "num_classes": 2, "level": "graph"},
    "text": {
        "input_shape": (128,),
        "num_classes": 4,
        "vocab_size": 30000,
        "pad_id": 0,
        "max_length": 128,
        "tokenizer": "words",
    },
    "images": {"input_shape": (3, 32, 32), "num_classes": 10},
}
"""What models of each modality are built for, so that their sizes can be compared."""

SAMPLES: Mapping[str, str] = {
    "graphs": "graphs with 7 features a node, 2 classes",
    "text": "texts of 128 tokens out of 30,000, 4 classes",
    "images": "images 3 x 32 x 32, 10 classes",
}


def blocks(conf: Path) -> dict[str, str]:
    """Return what is made on the page, by the name of its place."""
    header = ("dataset", "what", "size and first run", "model", "trainer")
    sizes = ("model", "what", "for", "weights", "Mmul")
    return {
        "datasets": "\n".join(table(header, _datasets(conf))),
        "samples": "; ".join(f"{modality}: {sample}" for modality, sample in SAMPLES.items()),
        "models": "\n".join(table(sizes, _models(conf))),
    }


def _datasets(conf: Path) -> Iterator[tuple[str, ...]]:
    for path in _options(conf / "dataset"):
        comments = [
            line[2:]
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith("# ")
        ]
        sizes = [line[6:] for line in comments if line.startswith("size: ")]
        chosen = _paired(path)
        yield (
            f"`{path.stem}`",
            comments[0],
            sizes[0] if sizes else "",
            f"`{chosen.get('model', 'mlp')}`",
            f"`{chosen.get('trainer', 'adam')}`",
        )


def _paired(path: Path) -> dict[str, str]:
    """Return the model and trainer that a data set names."""
    content = cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.load(path)))
    chosen = {}
    for entry in content.get("defaults", []):
        if isinstance(entry, dict):
            key, value = next(iter(entry.items()))
            # "override /model@a.b" is the group model, put where a.b is
            chosen[str(key).removeprefix("override /").partition("@")[0]] = str(value)
    return chosen


def _models(conf: Path) -> Iterator[tuple[str, ...]]:
    for path in _options(conf / "model"):
        node = cast("DictConfig", OmegaConf.load(path))
        modality = _modality(str(node["_target_"]))
        summary = path.read_text(encoding="utf-8").splitlines()[0][2:]
        try:
            with isolated(0, "docs"):
                model = build(node, "model", **OFFERED[modality])
        except ErasureError:  # pretrained, and its weights are not here
            yield f"`{path.stem}`", summary, modality, "", ""
            continue
        weights = sum(weight.numel() for weight in model.parameters())
        yield (
            f"`{path.stem}`",
            summary,
            modality,
            f"{weights:,}",
            _multiplications(model, modality),
        )


def _modality(target: str) -> str:
    """Return what a model is for; its module says so."""
    module = resolve_name(target).__module__
    if module.endswith(".graphs"):
        return "graphs"
    return "text" if "text" in module.rpartition(".")[2] else "images"


def _multiplications(model: Any, modality: str) -> str:
    if modality != "images":
        return ""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.eval()(torch.zeros(1, *OFFERED[modality]["input_shape"]))
    # the counter takes a multiplication and its addition for two operations
    return f"{counter.get_total_flops() / 2e6:,.1f}"


def _options(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!_]*.yaml"))
