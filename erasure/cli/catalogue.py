"""The tables of data sets and models in the docs: ``python -m erasure catalogue --write``."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from erasure.cli.hydra import conf_folder
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
"""What models of each kind are built for, so that their sizes can be compared."""

SAMPLES: Mapping[str, str] = {
    "graphs": "graphs with 7 features a node, 2 classes",
    "text": "texts of 128 tokens out of 30,000, 4 classes",
    "images": "images 3 x 32 x 32, 10 classes",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the page, or write it where the docs keep it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m erasure catalogue", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE} instead of printing")
    options = parser.parse_args(arguments)
    text = page(conf_folder())
    if options.write:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def page(conf: Path) -> str:
    """Return the tables of everything below ``conf`` as Markdown."""
    lines = [
        "# Data sets and models",
        "",
        "Made by `python -m erasure catalogue --write` from the files in `conf`; edit those.",
        "",
        "## Data sets",
        "",
        "A data set brings the model and the trainer of its row unless others are chosen. The",
        "first run downloads and prepares it below `data.root`; later ones read what is there.",
        "",
        *_table(("dataset", "what", "size and first run", "model", "trainer"), _datasets(conf)),
        "",
        "## Models",
        "",
        "Weights are counted for "
        + "; ".join(f"{kind}: {sample}" for kind, sample in SAMPLES.items())
        + ". Multiplications are those of one forward pass of one such image, in millions.",
        "",
        *_table(("model", "what", "for", "weights", "Mmul"), _models(conf)),
        "",
    ]
    return "\n".join(lines)


def _datasets(conf: Path) -> Iterator[tuple[str, ...]]:
    for path in _options(conf / "dataset"):
        comments = [line[2:] for line in path.read_text().splitlines() if line.startswith("# ")]
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
            chosen[str(key).removeprefix("override /").partition("@")[0]] = str(value)
    return chosen


def _models(conf: Path) -> Iterator[tuple[str, ...]]:
    for path in _options(conf / "model"):
        node = cast("DictConfig", OmegaConf.load(path))
        kind = _kind(str(node["_target_"]))
        summary = path.read_text().splitlines()[0][2:]
        try:
            with isolated(0, "catalogue"):
                model = build(node, "model", **OFFERED[kind])
        except ErasureError:  # pretrained, and its weights are not here
            yield f"`{path.stem}`", summary, kind, "", ""
            continue
        weights = sum(weight.numel() for weight in model.parameters())
        yield f"`{path.stem}`", summary, kind, f"{weights:,}", _multiplications(model, kind)


def _kind(target: str) -> str:
    """Return what a model is for, by the module it is defined in; targets are public names."""
    module = str(resolve_name(target).__module__).rpartition(".")[2]
    if module == "graphs":
        return "graphs"
    return "text" if module.startswith("text") else "images"


def _multiplications(model: Any, kind: str) -> str:
    if kind != "images":
        return ""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.eval()(torch.zeros(1, *OFFERED[kind]["input_shape"]))
    return f"{counter.get_total_flops() / 2e6:,.1f}"


def _options(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!_]*.yaml"))


def _table(header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())
