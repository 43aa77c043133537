"""The documentation speaks of what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
METHODS = sorted(path.stem for path in (ROOT / "conf" / "unlearner").glob("*.yaml"))


def test_every_method_has_one_row():
    text = (ROOT / "docs" / "methods.md").read_text().split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert sorted(rows) == METHODS


def test_every_metric_name_of_the_standard_evaluator_is_explained(compose_config):
    from erasure.sweep.building import build

    evaluator = build(compose_config().evaluator, "evaluator")
    text = (ROOT / "docs" / "metrics.md").read_text()
    for metric in evaluator.metrics.values():
        for name in metric.schema("test"):
            spellings = {name, re.sub(r"^(forget|retain|test)/", "<part>/", name)}
            spellings.add(re.sub(r"^gap/.*", "gap/<name>", name))
            assert any(f"`{spelling}`" in text for spelling in spellings), name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.slow
def test_the_tables_of_data_sets_and_models_are_those_of_the_files():
    from erasure.catalogue import PAGE, page

    kept = (ROOT / PAGE).read_text()
    assert kept == page(ROOT / "conf"), "run python -m erasure.catalogue --write"
    for option in ("cifar10", "adult", "mutag", "ag_news", "celeba"):
        assert f"| `{option}` |" in kept
