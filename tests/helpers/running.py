"""What the end-to-end tests look for in a folder."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def results(folder: Path) -> list[dict]:
    paths = sorted((folder / "store" / "trials").glob("*/result.json"))
    return [json.loads(path.read_text()) for path in paths]


def models(folder: Path) -> list[Path]:
    return sorted((folder / "store").glob("*/weights.safetensors"))
