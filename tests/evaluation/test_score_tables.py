"""Means, spreads and intervals against hand-made numbers and scipy."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from napari_mrissl.evaluation import score_plot, score_tables
from napari_mrissl.evaluation.cells import Cell, Made


def cell(source, draw, seed=0, shots=1):
    return Cell(source, shots, draw, seed, "x")


HAND = {
    cell("net", 0): {"a": {1: 0.6, 2: 0.2}, "b": {1: 0.8, 2: 0.4}},
    cell("net", 1): {"a": {1: 0.4, 2: 0.2}, "b": {1: 1.0, 2: 0.4}},
    cell("random", 0, 0): {"a": {1: 0.1, 2: 0.1}, "b": {1: 0.5, 2: 0.3}},
}


def row(rows, source, label):
    (found,) = (r for r in rows if r.source == source and r.label == label)
    return found


def test_hand_made_numbers():
    rows = score_tables.rows_of(HAND, (1, 2), "random")
    net = row(rows, "net", "1")
    assert net.mean == pytest.approx(0.7)
    # Both draws have a mean of 0.7.
    assert net.sd == pytest.approx(0.0)
    assert net.worst == pytest.approx(0.5)
    assert (net.draws, net.subjects) == (2, 2)
    assert net.difference == pytest.approx(0.4)
    both = row(rows, "net", "mean")
    assert both.mean == pytest.approx((0.7 + 0.3) / 2)
    # With two subjects the interval of a mean goes from the one to the other.
    assert (both.low, both.high) == pytest.approx((0.35, 0.65))
    assert both.difference == pytest.approx(0.5 - 0.25)
    other = row(rows, "random", "mean")
    assert (other.difference, other.sd) == (None, 0.0)


def test_spread_is_that_of_draws():
    cells = {
        cell("net", draw): {"a": {1: value}, "b": {1: value + 0.1}}
        for draw, value in enumerate((0.2, 0.5, 0.6))
    }
    (one, _) = score_tables.rows_of(cells, (1,))
    assert one.sd == pytest.approx(np.std((0.2, 0.5, 0.6), ddof=1))


def test_intervals_are_those_of_scipy():
    random = np.random.default_rng(0)
    own, other = random.beta(4, 2, 40), random.beta(3, 3, 40)
    cells = {
        cell("net", 0): {f"{k:02d}": {1: v} for k, v in enumerate(own)},
        cell("random", 0): {f"{k:02d}": {1: v} for k, v in enumerate(other)},
    }
    found = row(score_tables.rows_of(cells, (1,), "random"), "net", "1")
    for values, low, high in (
        (own, found.low, found.high),
        (own - other, found.difference_low, found.difference_high),
    ):
        rng = np.random.default_rng(1)
        wanted = stats.bootstrap(
            (values,), np.mean, n_resamples=20_000, method="percentile", rng=rng
        ).confidence_interval
        tolerance = 0.05 * (wanted.high - wanted.low)
        assert low == pytest.approx(wanted.low, abs=tolerance)
        assert high == pytest.approx(wanted.high, abs=tolerance)


def test_three_tables_say_the_same(tmp_path):
    rows = score_tables.rows_of(HAND, (1, 2), "random")
    score_tables.write(tmp_path, rows, {"test": 2}, "Measured on nothing.")
    written = list(csv.DictReader((tmp_path / "table.csv").read_text("utf-8").splitlines()))
    assert [float(line["mean"]) for line in written] == pytest.approx([r.mean for r in rows])
    assert written[-1]["difference"] == ""
    content = json.loads((tmp_path / "table.json").read_text("utf-8"))
    assert content["rows"][0]["mean"] == rows[0].mean
    text = (tmp_path / "table.md").read_text("utf-8")
    assert "| net | 1 | 0.700 ± 0.000 [0.500, 0.900] |" in text
    assert "+0.250" in text
    assert "label 2" in text


def test_differences_say_what_they_are_worth():
    random = np.random.default_rng(0)
    subjects = [f"{k:02d}" for k in range(20)]
    base = dict(zip(subjects, random.beta(8, 3, 20), strict=True))

    def made(gain, draw):
        return {
            one: {1: value + gain + 0.002 * draw, 2: value + 0.1 * gain}
            for one, value in base.items()
        }

    cells = {cell("net", draw): made(0.05, draw) for draw in range(3)}
    cells |= {cell("random", draw): made(0.0, draw) for draw in range(3)}
    rows = score_tables.rows_of(cells, (1, 2), "random")
    one, two = row(rows, "net", "1"), row(rows, "net", "2")
    wanted = [stats.wilcoxon([0.05] * 20).pvalue, stats.wilcoxon([0.005] * 20).pvalue]
    assert [one.p, two.p] == pytest.approx(wanted)
    assert [one.p_holm, two.p_holm] == pytest.approx([2 * wanted[0], 2 * wanted[1]])
    # Significant, and yet less than two points on twenty subjects.
    assert (one.too_fine, two.too_fine) == (False, True)
    assert one.wide_low <= one.difference_low <= one.difference <= one.wide_high
    assert row(rows, "random", "1").p is None
    text = score_tables.markdown(rows, "")
    assert "0.020 for 20 subjects" in text
    assert "+0.028 [+0.028, +0.028] |" in text
    fewer = score_tables.markdown([r for r in rows if r.source == "random"], "")
    assert "may be no difference" not in fewer


def test_each_measure_has_a_table_and_its_own_worst(tmp_path):
    scores = {"a": {1: 0.5}, "b": {1: 0.7}}
    further = {
        "hd95_mm": {"a": {1: 9.0}, "b": {1: 1.0}},
        "volume_difference_ml": {"a": {1: -0.5}, "b": {1: 0.1}},
    }
    cells = {Cell("net", 1, 0, 0, "x", "full"): Made(scores, further)}
    rows = score_tables.rows_of(cells, (1,))
    worst = {r.measure: r.worst for r in rows if r.label == "1"}
    assert worst == {
        "dice": 0.5, "hd95_mm": 9.0, "volume_difference_ml": -0.5,
        "absolute_volume_difference_ml": 0.5,
    }  # fmt: skip
    means = {r.measure: r.mean for r in rows if r.label == "1"}
    assert means["volume_difference_ml"] == pytest.approx(-0.2)
    assert means["absolute_volume_difference_ml"] == pytest.approx(0.3)
    score_tables.write(tmp_path, rows, {}, "100 % & more_of it.")
    text = (tmp_path / "table.md").read_text("utf-8")
    for title in ("Dice\n", "HD95 (mm)\n", "volume difference (ml)\n", "| full | net | 1 |"):
        assert title in text
    latex = (tmp_path / "table.tex").read_text("utf-8")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 4
    assert r"$\pm$" in latex
    assert "±" not in latex.split("% Dice")[0]
    with Image.open(tmp_path / "table.png") as picture:
        assert picture.size[0] >= 540


def test_latex_keeps_what_latex_would_take_as_its_own():
    rows = score_tables.rows_of({cell("a_b & 50%", 0): {"s": {1: 0.5}}}, (1,))
    line = next(x for x in score_tables.latex(rows, "").splitlines() if x.startswith("a"))
    assert r"a\_b \& 50\%" in line


def test_a_plot_shows_every_source():
    cells = {
        cell(source, draw, shots=shots): {"a": {1: value}, "b": {1: value + 0.1}}
        for source, value in (("net", 0.6), ("random", 0.4))
        for draw in range(2)
        for shots in (1, 3)
    }
    pixels = np.asarray(score_plot.draw(score_tables.rows_of(cells, (1,))))
    colours = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}
    assert {(0, 114, 178), (213, 94, 0)} <= colours
    assert score_plot.draw([]).height == 460


def test_no_two_lines_of_the_plot_look_alike_and_no_name_is_cut():
    cells = {
        cell(f"net{number}", draw): {"a": {1: 0.05 * number}, "b": {1: 0.05 * number + 0.1}}
        for number in range(10)
        for draw in range(2)
    }
    pixels = np.asarray(score_plot.draw(score_tables.rows_of(cells, (1,))))
    # The legend: the middle of a marker is its colour, or white once colours begin anew.
    middles = [tuple(pixels[42 + 20 * number, 512]) for number in range(10)]
    assert len(set(middles[:8])) == 8
    assert middles[8:] == [(255, 255, 255)] * 2
    rims = [tuple(pixels[42 + 20 * number, 508]) for number in range(10)]
    assert rims[8:] == rims[:2]
    longer = {cell("a network with a name that is long", 0): {"a": {1: 0.5}, "b": {1: 0.6}}}
    widths = [score_plot.draw(score_tables.rows_of(some, (1,))).width for some in (cells, longer)]
    assert widths[1] > widths[0] + 100


def test_a_difference_says_which_draws_it_is_of(tmp_path):
    """Means are of all draws, a difference of those of both sides: 0.5 to 0.3, and not 0.7."""
    flat = {0: 0.5, 1: 0.9}
    cells = {cell("net", draw): {"a": {1: d}, "b": {1: d}} for draw, d in flat.items()}
    cells |= {cell("random", 0): {"a": {1: 0.3}, "b": {1: 0.3}}}
    cells |= {cell("random", 0, 1): {"a": {1: 0.3}, "b": {1: 0.3}}}
    rows = score_tables.rows_of(cells, (1,), "random")
    net = row(rows, "net", "mean")
    assert (net.mean, net.difference) == pytest.approx((0.7, 0.2))
    assert (net.compared_draws, net.uncompared_draws) == (1, 1)
    score_tables.write(tmp_path, rows, {}, "")
    text = (tmp_path / "table.md").read_text("utf-8")
    assert "+0.200 [+0.200, +0.200]†, 1 draw of 2 |" in text
    assert "where draws are named, a difference is of those that both sides have" in text
    written = list(csv.DictReader((tmp_path / "table.csv").read_text("utf-8").splitlines()))
    assert [line["compared_draws"] for line in written] == ["1", "1", "", ""]
    content = json.loads((tmp_path / "table.json").read_text("utf-8"))
    assert content["rows"][0]["uncompared_draws"] == 1

    both = cells | {cell("random", 1): {"a": {1: 0.3}, "b": {1: 0.3}}}
    same = score_tables.rows_of(both, (1,), "random")
    assert row(same, "net", "mean").compared_draws == 2
    assert "draws are named" not in score_tables.markdown(same, "")
    assert "2 draws" not in score_tables.markdown(same, "")

    other = {cell("net", 0): cells[cell("net", 0)]}
    other |= {cell("random", 1): {"a": {1: 0.3}, "b": {1: 0.3}}}
    apart = score_tables.rows_of(other, (1,), "random")
    assert row(apart, "net", "mean").difference == pytest.approx(0.2)
    assert "†, no draw in common |" in score_tables.markdown(apart, "")
