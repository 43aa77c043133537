"""The report: what is in the page and the folder, and that strange sweeps get one, too."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from tracked import FORGET, GOLD_FORGET

from multirun_analysis import AnalysisError, attach_report, write_report
from multirun_analysis.cli import main
from multirun_analysis.read.server import download
from multirun_analysis.report.page.data import report_data
from multirun_analysis.report.page.leaderboard import shade
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.tables.trade_offs import trade_offs

MAIN = "6 methods × 5 seeds"
VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page: tables as texts, names, links, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.loaded = [], [], [], []
        self.tables, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        by_name = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [by_name["id"]] if "id" in by_name else []
        self.links += [by_name["href"]] if tag == "a" else []
        self.loaded += [by_name[k] for k in ("src", "srcset", "data", "action") if k in by_name]
        self.loaded += [by_name["href"]] if tag == "link" else []
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for key, value in attributes if key == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        copies = self.open[-1:] == ["button"] and "thead" not in self.open
        if {"td", "th"} & set(self.open) and not copies:
            self.tables[-1][-1][-1] += f" {data}" if "small" in self.open else data
        if "script" not in self.open and "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


FEW = ("forget/accuracy", "retain/accuracy", "gap/avg")


def of(results, keep):
    """Return the results of the runs for which ``keep`` is true, in few metrics."""
    runs = results.runs[keep(results.runs)].reset_index(drop=True)
    values = results.values[results.values["run_id"].isin(runs["run_id"])]
    values = values[values["metric"].isin(FEW)].reset_index(drop=True)
    schema = {name: results.schema[name] for name in FEW}
    return replace(results, runs=runs, values=values, schema=schema)


@pytest.fixture(scope="module")
def with_samples(results, tmp_path_factory):
    """The main sweep with a ``per_sample.parquet`` for every trial of three methods."""
    folder = tmp_path_factory.mktemp("samples")
    runs = results.runs.copy()
    chosen = runs["unlearner"].isin(["scrub", "finetune"])
    for i in runs.index[chosen]:
        random = np.random.default_rng(int(runs.loc[i, "seed"]))
        artifacts = folder / runs.loc[i, "run_id"]
        artifacts.mkdir()
        frame = pd.DataFrame(
            {
                "id": np.arange(60),
                "part": np.repeat(["forget", "test", "retain"], 20),
                "target": np.tile([3, 5], 30),
                **{
                    f"{role}_loss": random.exponential(size=60).astype("float32")
                    for role in ("original", "unlearned", "gold")
                },
                **{f"{role}_predicted": 3 for role in ("original", "unlearned", "gold")},
            }
        )
        frame.to_parquet(artifacts / "per_sample.parquet")
        runs.loc[i, "artifact_uri"] = artifacts.as_uri()
    return replace(results, runs=runs)


@pytest.fixture(scope="module")
def written(with_samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new"
    path = write_report(with_samples, folder)
    assert path == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def text(written):
    return (written / "index.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def row(table, method):
    (matching,) = [cells for cells in table if cells and cells[0].strip() == method]
    return [" ".join(cell.split()) for cell in matching]


def test_the_page_needs_no_other_file_and_no_network(page, text):
    assert page.open == []
    assert page.loaded == []
    assert not [link for link in page.links if not link.startswith("#")]
    names = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>]+", text)) <= names
    assert "@import" not in text
    assert {"#" not in target for target in re.findall(r"url\(([^)]*)\)", text)} <= {False}


def test_names_are_unique_and_links_lead_somewhere(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_every_figure_is_there_as_svg_and_png_and_every_table(written, text):
    figures = {path.stem for path in (written / "figures").glob("*.svg")}
    assert figures == {path.stem for path in (written / "figures").glob("*.png")}
    assert figures == set(re.findall(r'<figure id="fig-([^"]+)"', text))
    assert {"front-utility-0", "metric-forget-accuracy-0", "roc-0", "losses-0"} <= figures
    assert {path.name for path in (written / "tables").iterdir()} == {
        "leaderboard.md",
        "leaderboard.tex",
        "leaderboard.csv",
    }


def test_all_chapters_are_there_in_order(page):
    chapters = [name for name in page.ids if f"#{name}" in page.links and "trials-" not in name]
    assert chapters == [
        "summary",
        "run",
        "leaderboard",
        "trade-offs",
        "metrics",
        "attacks",
        "costs",
        "ranks",
        "pairs",
        "agreement",
        "nulls",
        "trials",
        "failures",
        "reproduce",
        "glossary",
    ]


def test_the_leaderboard_is_golden(page):
    table = page.tables[0]
    assert [" ".join(cell.split()) for cell in table[0]] == [
        "method a name leads to its trials",
        "runs",
        "forget/accuracy → closer to gold is better",
        "retain/accuracy ↑ more is better",
        "mia/loss/auc → closer to gold is better",
        "gap/avg ↓ less is better",
        "cost/unlearn_seconds [s] ↓ less is better",
    ]
    assert [cells[0].strip() for cells in table[1:]] == [
        *("scrub (alpha=0.5)", "grad_ascent", "scrub (alpha=0.9)", "finetune"),
        *("retrain", "identity", "gold", "original"),
    ]
    cells = row(table, "finetune")
    # 0.95 - 0.72; 0.920 has the s.d. 0.0158 and half of its interval is 0.0196
    assert cells[1:5] == [
        "5",
        "0.950 ± 0.000 gap 0.230",
        "0.920 ± 0.020 gap 0.080",
        "0.595 ± 0.000 gap 0.095",
    ]
    assert cells[6] == "1.200 ± 0.211"
    assert row(table, "grad_ascent")[1:3] == ["3 of 5", "0.600 ± 0.000 gap 0.110 3/5 [a]"]
    assert row(table, "gold")[2] == "0.720 ± 0.020"


def test_failures_and_missing_values_have_their_reasons(page):
    assert "2 of 30 trials did not finish" in page.text
    assert "the loss became nan" in page.text
    assert "degenerate: constant_score" in page.text
    assert "[a] 1 diverged: the loss became nan; 1 not run: not run" in page.text


def test_the_page_says_how_to_reproduce(page, text):
    assert f"git checkout {'a' * 40}" in page.text
    assert "python run.py -m unlearner=scrub,finetune unlearner.alpha=0.5,0.9" in page.text
    assert "python run.py unlearner=scrub seed=4 unlearner.alpha=0.5" in page.text
    assert "python -m multirun_analysis report --output report" in page.text
    assert 'data-copy="python run.py unlearner=grad_ascent seed=3"' in text


def test_tests_that_cannot_find_anything_are_not_given_a_verdict(page):
    against_gold = next(table for table in page.tables if "pairs" in table[0])
    cells = row([cells for cells in against_gold if "forget/accuracy" in cells], "finetune")
    # 5 pairs give p = 0.0625, times 4 methods by Holm
    assert cells[2:6] == ["+0.230 ± 0.020", "5", "0.250", "0.250"]
    assert cells[-1] == "too few pairs to tell"
    assert "5 training seeds: no signed-rank test can give a p below 0.062" in page.text


def test_single_samples_are_shown_with_labels_and_losses(page, with_samples):
    frames = [
        pd.read_parquet(f"{run['artifact_uri'].removeprefix('file://')}/per_sample.parquet")
        for run in with_samples.runs[with_samples.runs["method"] == "finetune"].to_dict("records")
    ]
    forget = pd.concat(frames).query("part == 'forget'")
    distance = (forget["unlearned_loss"] - forget["gold_loss"]).astype(float)
    tables = [t for t in page.tables if t[0][0].startswith("sample")]
    assert len(tables) == 6, [t[0] for t in page.tables]  # three methods, two ends
    shown = [[" ".join(cell.split()) for cell in cells] for t in tables for cells in t[1:]]
    assert f"{distance.min():.3f}" in {cells[-1] for cells in shown}
    assert f"{distance.max():.3f}" in {cells[-1] for cells in shown}
    assert {cells[2] for cells in shown} == {"3", "5"}
    assert all(cells[0].startswith("id ") for cells in shown)


def test_few_blocks_get_no_critical_difference_diagram_and_are_told_so(page):
    assert "No critical-difference diagram: it takes at least 3 methods and 10 blocks" in page.text


def test_shades_go_from_gold_over_the_original_to_what_is_farther(results):
    data = report_data(results, level=0.95, baseline="")
    block, metric = data.board.blocks[0], "forget/accuracy"

    def of_method(method):
        return shade(data, block, metric, data.record(block, metric, method))

    assert of_method("retrain") == 1.0
    assert of_method("identity") == pytest.approx(0.0)
    gap, far = FORGET["finetune"] - np.mean(GOLD_FORGET), 1 - np.mean(GOLD_FORGET)
    assert of_method("finetune") == pytest.approx(1 - gap / far)
    retain = data.record(block, "retain/accuracy", "finetune")
    assert np.isnan(shade(data, block, "retain/accuracy", retain))  # original is gold there


def test_a_baseline_that_is_no_method_is_refused_with_names_that_are_near(results, tmp_path):
    with pytest.raises(AnalysisError, match="did you mean finetune"):
        write_report(results, tmp_path, baseline="finetun")


def test_a_baseline_is_what_others_are_compared_with(results, tmp_path):
    path = write_report(of(results, lambda runs: runs["seed"] < 2), tmp_path, baseline="finetune")
    assert "Against finetune" in Page(path.read_text()).text


STRANGE = {
    "one seed": (lambda runs: runs["seed"] == 0, "One training seed only: no intervals"),
    "one method": (lambda runs: runs["method"] == "finetune", "it is the only method"),
    "nothing finished": (lambda runs: runs["outcome"] != "finished", "No method has a value"),
    "yardsticks alone": (lambda runs: runs["reference"], "No method has a value of gap/avg"),
    "one trial": (
        lambda runs: (runs["method"] == "finetune") & (runs["seed"] == 1),
        "without an interval",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGE)
def test_strange_sweeps_get_a_sensible_page(results, tmp_path, name):
    keep, sentence = STRANGE[name]
    page = Page(write_report(of(results, keep), tmp_path).read_text())
    assert sentence in page.text
    assert "nan" not in {cell.strip().lower() for t in page.tables for r in t for cell in r}
    assert page.open == []


def test_without_metrics_the_failures_are_the_page(results, tmp_path):
    values = results.values[:0]
    failed = of(results, lambda runs: runs["outcome"] != "finished")
    bare = replace(failed, values=values, schema={}, objective={})
    page = Page(write_report(bare, tmp_path).read_text())
    assert "No metric that is judged was measured" in page.text
    assert "the loss became nan" in page.text
    assert not (tmp_path / "figures").exists()


def test_without_gold_forgetting_is_the_distance_of_the_attack_from_chance(results, tmp_path):
    values = results.values[results.values["role"] != "gold"]
    alone = replace(results, values=values)
    meanings = trade_offs(alone).meanings
    assert meanings["forgetting"] == "distance from chance of mia/loss/auc"
    assert meanings["utility"] == "mean error, retain/accuracy"
    page = Page(write_report(of(alone, lambda runs: runs["seed"] < 2), tmp_path).read_text())
    assert "No band: it takes two gold models" in page.text
    assert "There is nothing to weigh" in page.text


def test_names_are_escaped(results, tmp_path):
    runs = results.runs.copy()
    runs["method"] = runs["method"].replace({"finetune": "<script>alert(1)</script>&amp"})
    strange = of(replace(results, runs=runs), lambda runs: runs["seed"] == 1)
    text = write_report(strange, tmp_path).read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/" in text
    assert Page(text).open == []


def test_a_folder_that_cannot_be_written_is_one_message(results, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(AnalysisError, match="cannot be written"):
        write_report(of(results, lambda runs: runs["seed"] < 1), tmp_path / "file" / "below")


def test_the_report_is_attached_to_its_sweep(uri, results, tmp_path):
    (tmp_path / "index.html").write_text("<!DOCTYPE html>")
    assert attach_report(results, tmp_path) == MAIN
    there = download(uri, results.sweeps[0].run_id, "report/index.html")
    assert there is not None
    assert there.read_text() == "<!DOCTYPE html>"
    assert attach_report(replace(results, sweeps=()), tmp_path) == ""


@pytest.mark.parametrize("attached", [True, False])
def test_the_command_line_attaches_unless_told_not_to(
    uri, tmp_path, capsys, monkeypatch, attached
):
    calls = []

    def write(results, folder, **options):
        calls.append(options)
        return folder / "index.html"

    def attach(results, folder):
        calls.append(folder)
        return results.sweeps[0].name

    monkeypatch.setattr("multirun_analysis.report.build.write_report", write)
    monkeypatch.setattr("multirun_analysis.report.build.attach_report", attach)
    more = [] if attached else ["--no-attach"]
    where = ["--tracking-uri", uri, "--output", str(tmp_path)]
    assert main(["report", *where, "--level", "0.9", "--baseline", "scrub", *more]) == 0
    assert calls == [{"level": 0.9, "baseline": "scrub"}, *([tmp_path] if attached else [])]
    out = capsys.readouterr().out
    assert out.startswith(f"written to {tmp_path / 'index.html'}\n")
    assert out.endswith("attached to one seed, folder report\n") == attached


def test_other_commands_refuse_the_options_of_the_report(uri, capsys):
    for option in (["--no-attach"], ["--baseline", "finetune"]):
        with pytest.raises(SystemExit):
            main(["leaderboard", "--tracking-uri", uri, *option])
        assert "belong to report" in capsys.readouterr().err


def test_file_names_have_letters_digits_and_dashes_only():
    assert slug("losses", "finetune (fit.lr=0.1)", "0") == "losses-finetune-fit-lr-0-1-0"
