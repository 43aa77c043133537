"""Figures: what is drawn where, the same bytes twice, and markup that fits into a page."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from erasure.schema import METHOD_COLORS, OTHER_COLORS, color_of
from multirun_analysis.report.pictures import looks_of, save
from multirun_analysis.report.pictures.attacks import Curve, Histogram, losses_picture, roc_picture
from multirun_analysis.report.pictures.bars import Bar, Bars, bars_picture
from multirun_analysis.report.pictures.critical import critical_picture
from multirun_analysis.report.pictures.drawing import legend_rows, shorten, tick
from multirun_analysis.report.pictures.fronts import Plane, Point, front_picture
from multirun_analysis.report.pictures.looks import Look

BLUE, RED = Look(color="#0072B2"), Look(color="#D55E00", marker="s")
NAN = math.nan


def bar(method, mean, low=NAN, high=NAN):
    return Bar(method=method, look=BLUE, mean=mean, low=low, high=high, tip=f"tip of {method}")


def bars(*shown, **settings):
    return bars_picture("x", "title", "", Bars(label="x", bars=shown, **settings))


def point(method, x, y, *, on_front=False, reference=False):
    ends = [(value, NAN, NAN) for value in (x, y)]
    x_ends, y_ends = ends
    return Point(
        method=method,
        look=BLUE,
        x=x_ends,
        y=y_ends,
        on_front=on_front,
        reference=reference,
        tip=method,
    )


def ended(axes, gid):
    (line,) = [line for line in axes.lines if line.get_gid() == gid]
    return [float(values[0]) for values in line.get_data()]


def test_methods_have_the_colors_of_mlflow_s_pages():
    methods = ["scrub", "retrain", "ssd", "neggrad_plus"]
    looks = looks_of({name: name for name in methods})
    assert {name: looks[name].color for name in methods} == {n: color_of(n) for n in methods}


def test_two_unlearners_never_share_a_color_while_there_are_free_ones():
    names = [f"method_{k}" for k in range(len(OTHER_COLORS))] + list(METHOD_COLORS)
    looks = looks_of({name: name for name in names})
    assert len({looks[name].color for name in names}) == len(names)


def test_more_unlearners_than_colors_still_differ_in_the_marker():
    names = {f"method_{k:02}": f"method_{k:02}" for k in range(12)}
    looks = looks_of(names)
    assert len({looks[name] for name in names}) == 12


def test_variants_share_the_color_of_their_unlearner():
    looks = looks_of({"scrub (alpha=1)": "scrub", "scrub (alpha=2)": "scrub"})
    first, second = looks["scrub (alpha=1)"], looks["scrub (alpha=2)"]
    assert first.color == second.color == METHOD_COLORS["scrub"]
    assert first.marker != second.marker


def test_bars_begin_at_gold_and_end_at_the_mean():
    shown = bars(bar("a", 0.9, 0.8, 1.0), bar("b", 0.5), gold=0.7, original=1.0, band=(0.6, 0.8))
    (axes,) = shown.draw().axes
    drawn = {round(p.get_y() + p.get_height() / 2): p for p in axes.patches[:2]}
    assert drawn[0].get_x() == 0.7
    assert drawn[0].get_width() == pytest.approx(0.2)
    assert drawn[1].get_width() == pytest.approx(-0.2)
    assert ended(axes, "tip-0") == [0.9, 0]
    (interval,) = axes.collections[0].get_segments()
    assert interval.tolist() == [[0.8, 0], [1.0, 0]]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first method is on top


def test_a_method_without_a_value_keeps_its_place_and_says_so():
    (axes,) = bars(bar("a", NAN), bar("b", 0.5), gold=0.7).draw().axes
    assert [text.get_text() for text in axes.texts] == ["no value", "a", "b"]
    assert ended(axes, "tip-1") == [0.5, 1]


def test_the_axis_ends_where_the_metric_does():
    (axes,) = bars(bar("a", 0.98, 0.7, 1.26), gold=0.9, limits=(0.0, 1.0)).draw().axes
    assert 1.0 < axes.get_xlim()[1] < 1.05


def test_values_far_apart_get_a_logarithmic_axis_and_close_ones_do_not():
    scales = [
        bars(bar("a", 1e-5), bar("b", high)).draw().axes[0].get_xscale() for high in (1.0, 2e-5)
    ]
    assert scales == ["log", "linear"]
    assert bars(bar("a", 0.0), bar("b", 1.0)).draw().axes[0].get_xscale() == "linear"


def test_the_front_is_a_staircase_through_its_points():
    points = [
        point("a", 0.1, 0.5, on_front=True),
        point("b", 0.3, 0.2, on_front=True),
        point("c", 0.4, 0.4),
        point("gold", 0.0, 0.0, reference=True),
    ]
    picture = front_picture("f", "t", "", Plane(x="x", y="y", points=points))
    (axes,) = picture.draw().axes
    stairs = axes.lines[-1]
    top, right = axes.get_ylim()[1], axes.get_xlim()[1]
    assert list(stairs.get_xdata()) == pytest.approx([0.1, 0.1, 0.3, 0.3, right])
    assert list(stairs.get_ydata()) == pytest.approx([top, 0.5, 0.5, 0.2, 0.2])
    faces = {line.get_gid(): line.get_markerfacecolor() for line in axes.lines if line.get_gid()}
    assert (faces["tip-0"], faces["tip-2"]) == (BLUE.color, "white")


def test_a_plane_without_a_front_is_drawn_all_the_same():
    plane = Plane(x="x", y="y", points=[point("a", 0.0, 0.0, reference=True)])
    (axes,) = front_picture("f", "t", "", plane).draw().axes
    assert ended(axes, "tip-0") == [0.0, 0.0]


def test_the_roc_is_logarithmic_and_marks_what_cannot_be_resolved():
    fpr = np.geomspace(1e-5, 1, 50)
    curve = Curve(name="a", look=BLUE, tpr=np.zeros(50), tip="a")
    (axes,) = roc_picture("r", "t", "", fpr, [curve], 200).draw().axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    low = axes.get_xlim()[0]
    assert low == pytest.approx(1 / 400)
    grey = axes.patches[0]
    assert (grey.get_x(), grey.get_width()) == pytest.approx((low, 1 / 200 - low))
    (line,) = [line for line in axes.lines if line.get_gid() == "tip-0"]
    assert np.asarray(line.get_ydata()).min() == low  # zero has no place on the axis


@pytest.mark.parametrize("panels", [1, 2, 5])
def test_losses_have_a_panel_each_on_one_axis(panels):
    shares = np.array([0.25, 0.75])
    shown = [
        Histogram(title=f"m{k}", forget=shares, heldout=shares, gold=None, color="#000000")
        for k in range(panels)
    ]
    picture = losses_picture("l", "t", "", np.array([1e-2, 1.0, 1e2]), shown, "test")
    axes = picture.draw().axes
    assert [a.texts[0].get_text() for a in axes] == [f"m{k}" for k in range(panels)]
    assert {a.get_xlim() for a in axes} == {(1e-2, 1e2)}
    assert [bool(a.get_xlabel()) for a in axes] == [k + 2 >= panels for k in range(panels)]


def test_a_critical_difference_diagram_places_ranks_and_joins_cliques():
    ranks = {"a": 1.0, "b": 2.5, "c": 2.5}
    looks = dict.fromkeys(ranks, BLUE)
    figure = critical_picture("c", "t", "", ranks, [("b", "c")], 1.5, looks).draw()
    (axes,) = figure.axes
    starts = {k: ended(axes, f"tip-{k}")[0] for k in range(3)}
    assert starts[1] == starts[2]
    # ranks 1 to 3 span the axis, so 2.5 is three quarters along
    width = 6.2 - 2 * 1.95
    assert starts[1] - starts[0] == pytest.approx(0.75 * width)
    assert "critical difference 1.50" in [text.get_text() for text in axes.texts]
    thick = [line for line in axes.lines if line.get_linewidth() > 3]
    assert len(thick) == 1


def test_a_picture_is_written_twice_and_its_markup_fits_into_a_page(tmp_path):
    picture = bars(bar("a <b> & c", 0.5, 0.4, 0.6), gold=0.4)
    drawn = save(picture, tmp_path)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    ET.parse(tmp_path / "x.svg")
    root = ET.fromstring(drawn.svg)
    assert drawn.svg.startswith("<svg ")
    assert "<metadata" not in drawn.svg
    assert "width" not in root.attrib
    ids = re.findall(r'\bid="([^"]+)"', drawn.svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("x-") for name in ids)
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', drawn.svg)) <= {
        pair for name in ids for pair in ((name, ""), ("", name))
    }
    assert "<title>tip of a &lt;b&gt; &amp; c</title>" in drawn.svg
    assert "a &lt;b&gt; &amp; c" in re.sub(r"<title>.*?</title>", "", drawn.svg)


def test_the_same_numbers_give_the_same_files(tmp_path):
    for folder in ("one", "two"):
        save(bars(bar("a", 0.5, 0.4, 0.6), gold=0.4), tmp_path / folder)
    for name in ("x.svg", "x.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (1000, "1000"), (1e-5, "10⁻⁵"), (1e6, "10⁶"), (2e-4, "2·10⁻⁴")],
)
def test_ticks_are_short(value, text):
    assert tick(value) == text


def test_long_names_are_cut_in_the_middle():
    assert shorten("finetune (fit.optimizer.lr=1000000000)", 20) == "finetune …000000000)"
    assert shorten("short", 20) == "short"


def test_a_legend_takes_more_rows_for_longer_names():
    rows = [legend_rows(["x" * length] * 6) for length in (2, 12, 24)]
    assert all(a <= b for a, b in pairwise(rows))
    assert rows[0] < rows[-1]
    assert legend_rows([]) == 0
