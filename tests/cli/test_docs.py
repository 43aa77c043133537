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


def explained():
    """Return a pattern for every name that the tables of docs/metrics.md have in their first cell.

    A name without a slash stands beside the one before it, as in ``f1/<part>/macro``, ``micro``.
    """
    patterns = []
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        names = re.findall(r"`([^`]+)`", line.split(" | ")[0]) if line.startswith("| `") else []
        for name in names:
            beside = names[0].rpartition("/")[0]
            whole = name if "/" in name and not name.startswith("...") else f"{beside}/{name}"
            whole = whole.replace("/.../", "/") if name.startswith("...") else whole
            escaped = re.escape(whole).replace(r"\.\.\.", ".+")
            patterns.append(re.compile(re.sub(r"<\w+>", ".+", escaped)))
    return patterns


@pytest.mark.parametrize("bundle", ["fast", "standard", "full"])
def test_every_metric_name_is_explained(compose_config, bundle):
    from erasure.config.build import build

    patterns = explained()
    evaluator = build(
        compose_config(f"evaluator={bundle}", "references.size=8").evaluator, "evaluator"
    )
    names = {n for metric in evaluator.metrics.values() for n in metric.schema("test")}
    missing = [name for name in names if not any(p.fullmatch(name) for p in patterns)]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.slow
def test_the_tables_of_data_sets_and_models_are_those_of_the_files():
    from erasure.cli.catalogue import PAGE, page

    kept = (ROOT / PAGE).read_text()
    assert kept == page(ROOT / "conf"), "run python -m erasure catalogue --write"
    for option in ("cifar10", "adult", "mutag", "ag_news", "celeba"):
        assert f"| `{option}` |" in kept
