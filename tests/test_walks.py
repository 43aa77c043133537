"""Every stop of the walks in docs/concepts.md is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
STOP = re.compile(r"`([a-z_/]+\.py):(\w+)`")


def test_every_stop_is_a_function_or_class_of_its_file():
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    stops = STOP.findall(page)
    assert len(stops) == 17
    for file, name in stops:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", text, re.MULTILINE), (file, name)


def test_a_trial_takes_ten_stops_at_most():
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    walk = page.split("### A trial from the command line to MLflow")[1].split("###")[0]
    assert len(STOP.findall(walk)) <= 10
