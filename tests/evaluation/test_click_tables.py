"""Tables of sessions, from curves whose numbers are known."""

import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from napari_mrissl.evaluation import click_plot, click_tables
from napari_mrissl.evaluation.cells import Cell
from napari_mrissl.evaluation.click_tables import AREA, report_of

CLICKS = 20
SCANS = ("a", "b", "c", "d", "e", "f")


def sessions(source, chosen, curves, draw=0):
    """Cells of a way to choose places: one for each curve, of the first scans."""
    return {
        Cell(source, CLICKS, draw, 0, f"{source} {scan}", chosen): {
            scan: dict(enumerate(map(float, curve), 1))
        }
        for scan, curve in zip(SCANS[: len(curves)], curves, strict=True)
    }


def rising(first, last):
    return np.linspace(first, last, CLICKS)


def row(report, source, chosen, measure):
    (found,) = (
        r for r in report.rows if (r.source, r.next, r.measure) == (source, chosen, measure)
    )
    return found


def test_clicks_are_counted_as_the_field_counts_them():
    curves = [
        np.r_[np.zeros(4), np.full(16, 0.75)],  # 0.7 after the fifth click
        np.r_[0.9, np.zeros(19)],  # reached once, by the first
        np.full(20, 0.69),  # never
    ]
    report = report_of(sessions("f", "largest-error", curves), CLICKS)
    at = row(report, "f", "largest-error", "clicks to Dice 0.7")
    assert at.mean == pytest.approx((5 + 1 + 20) / 3)
    assert (at.failed, at.sessions, at.scans, at.worst) == (1, 3, 3, 20)
    high = row(report, "f", "largest-error", "clicks to Dice 0.85")
    assert (high.mean, high.failed) == (pytest.approx((20 + 1 + 20) / 3), 2)
    after = row(report, "f", "largest-error", "Dice after 10 clicks")
    assert (after.mean, after.failed, after.worst) == (pytest.approx((0.75 + 0.69) / 3), None, 0)
    assert row(report, "f", "largest-error", AREA).mean == pytest.approx(np.mean(curves))
    assert [p.mean for p in report.points] == pytest.approx(np.mean(curves, axis=0).tolist())
    assert report.differences == ()
    assert all(r.low <= r.mean <= r.high for r in report.rows)


def test_differences_are_paired_by_scan_after_draws_are_averaged():
    own = [rising(0, last) for last in (0.6, 0.7, 0.9, 0.6, 0.7, 0.9)]
    first = [rising(0, 0.5)] * 6
    second = [rising(0, last) for last in (0.3, 0.7, 0.6, 0.3, 0.7, 0.6)]
    found = (
        sessions("f", "suggested", own)
        | sessions("f", "random", first, draw=0)
        | sessions("f", "random", second, draw=1)
    )
    report = report_of(found, CLICKS)
    (gap,) = (d for d in report.differences if d.measure == "Dice after 20 clicks")
    assert (gap.next, gap.other_next, gap.other_source) == ("suggested", "random", "f")
    by_scan = np.tile([0.6 - 0.4, 0.7 - 0.6, 0.9 - 0.55], 2)
    assert gap.mean == pytest.approx(by_scan.mean())
    assert by_scan.min() <= gap.low <= gap.mean <= gap.high <= by_scan.max()
    assert gap.p == pytest.approx(stats.wilcoxon(by_scan).pvalue), (
        "one comparison: nothing to adjust"
    )
    assert row(report, "f", "random", "Dice after 20 clicks").sessions == 12
    assert "With f, suggested clicks beat clicks random" in click_tables.markdown(report, "")


def test_chance_of_few_draws_widens_the_interval_of_a_difference():
    """Three draws that differ far more than scans do: what scans alone claim is not claimed."""
    own = [rising(0, 0.5 + 0.01 * scan) for scan in range(6)]
    found = sessions("f", "suggested", own)
    for draw, last in enumerate((0.2, 0.3, 0.64)):
        curves = [rising(0, last + 0.01 * scan) for scan in range(6)]
        found |= sessions("f", "random", curves, draw)
    report = report_of(found, CLICKS)
    (gap,) = (d for d in report.differences if d.measure == "Dice after 20 clicks")
    assert gap.low == pytest.approx(gap.mean)
    assert gap.mean == pytest.approx(0.12)
    # All three draws may be the worst one: as often as one in 27, which is more than 2.5 %.
    assert gap.wide_low == pytest.approx(0.5 - 0.64)
    assert gap.wide_high == pytest.approx(0.5 - 0.2)
    assert gap.none
    said = click_tables.markdown(report, "")
    assert "suggested clicks do not beat clicks random" in said
    assert "+0.120 [-0.140, +0.300]" in said
    assert "where there are several, draws and seeds" in said


def test_a_difference_that_may_be_none_is_marked_and_not_called_better():
    own = [rising(0, 0.6), rising(0, 0.4), rising(0, 0.5)]
    other = [rising(0, 0.4), rising(0, 0.6), rising(0, 0.5)]
    found = sessions("f", "suggested", own) | sessions("f", "random", other)
    report = report_of(found, CLICKS)
    assert all(d.none for d in report.differences if d.measure.startswith("Dice"))
    said = click_tables.markdown(report, "")
    assert "suggested clicks do not beat clicks random after 10 clicks and after 20 clicks" in said
    (line,) = (line for line in said.splitlines() if line.startswith("| f, suggested, less"))
    assert "†" in line


def test_features_are_compared_with_the_first_ones():
    one, other = [rising(0, 0.5)] * 3, [rising(0, 0.6)] * 3
    found = sessions("f", "largest-error", one) | sessions("g", "largest-error", other)
    report = report_of(found, CLICKS)
    assert {(d.source, d.other_source, d.next) for d in report.differences} == {
        ("g", "f", "largest-error")
    }
    (gap,) = (d for d in report.differences if d.measure == "Dice after 20 clicks")
    assert (gap.low, gap.mean, gap.high) == pytest.approx((0.1, 0.1, 0.1))


def test_all_files_say_the_same(tmp_path):
    found = sessions("f", "suggested", [rising(0, 0.9)] * 3)
    report = report_of(found | sessions("f", "random", [rising(0, 0.5)] * 3), CLICKS)
    click_tables.write(tmp_path, report, {"seed": 0}, "About it.")
    table = json.loads((tmp_path / "table.json").read_text("utf-8"))
    written = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text("utf-8"))))
    assert len(written) == len(table["rows"]) == len(report.rows) == 2 * 6
    assert [float(r["mean"]) for r in written] == pytest.approx([r.mean for r in report.rows])
    points = list(csv.DictReader(io.StringIO((tmp_path / "curves.csv").read_text("utf-8"))))
    assert len(points) == 2 * CLICKS
    assert len((tmp_path / "differences.csv").read_text("utf-8").splitlines()) == 1 + 6
    assert "About it." in (tmp_path / "table.md").read_text("utf-8")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_curve_is_where_its_numbers_are():
    flat = [(0.5, 0.4, 0.6)] * 10
    picture = click_plot.draw({"half": flat, "none": [(0.0, 0.0, 0.0)] * 10}, (0.8,))
    pixels = np.asarray(picture).astype(int)
    blue = np.abs(pixels - (0, 114, 178)).sum(axis=2) < 30
    rows, columns = np.nonzero(blue[:, :530])
    bottom, top = pixels.shape[0] - 48, 34
    assert abs(np.median(rows) - (bottom + top) / 2) <= 1
    assert columns.min() <= 64
    assert columns.max() >= 520
    assert click_plot.draw({}).size == (820, 480)
