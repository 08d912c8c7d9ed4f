"""The comparison of clicks on small labelled scans, made in full."""

import dataclasses
import json

import numpy as np
import pytest
from evaluation.labelled_folder import make

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import clicks, robot
from napari_mrissl.evaluation.cells import CELLS
from napari_mrissl.evaluation.clicks import ClickSettings
from napari_mrissl.evaluation.frozen import plain_source
from napari_mrissl.evaluation.labelled_scans import labelled_scans
from napari_mrissl.segmentation import SegmentSettings, suggestions

SETTINGS = ClickSettings(clicks=6, scans=2, draws=2)
SESSIONS = 2 * (1 + 1 + 2 + 2)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return labelled_scans(make(tmp_path_factory.mktemp("labelled"), 3))


def test_every_way_is_measured_and_a_cell_is_a_session(scans, tmp_path):
    source = plain_source("filters")
    report = clicks.compare(tmp_path, [source], scans, SETTINGS)
    assert [r.next for r in report.rows[::5]] == [
        "largest-error",
        "suggested",
        "random",
        "by-class",
    ]
    assert {(r.next, r.sessions) for r in report.rows} == {
        ("largest-error", 2), ("suggested", 2), ("random", 4), ("by-class", 4),
    }  # fmt: skip
    cells = [json.loads(path.read_text("utf-8")) for path in (tmp_path / CELLS).iterdir()]
    assert len(cells) == SESSIONS
    (scan, _) = scans.split(2, 0)[0]
    volume, labels = scan.read()
    scene = robot.Scene.of(volume, features.compute(volume, source.settings), labels, scans.labels)
    wanted = robot.click_through(scene, SegmentSettings(), 6, robot.largest_error)
    (kept,) = (
        cell
        for cell in cells
        if (cell["cell"]["next"], cell["cell"]["scan"]) == ("largest-error", scan.identity)
    )
    assert list(kept["dice"][scan.identity].values()) == pytest.approx(wanted.curve)
    assert kept["cell"]["clicks"] == 6
    assert kept["command"].startswith("mrissl benchmark clicks --features filters --data DATA")
    place = str(scans.scans[0].image.parent.parent)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            text = path.read_text("utf-8")
            assert "person_" not in text
            assert place not in text


def test_it_goes_on_where_it_stopped_and_takes_more(scans, tmp_path, monkeypatch):
    settings = SETTINGS.model_copy(update={"following": ("random", "largest-error"), "clicks": 4})
    click_through, calls = robot.click_through, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return click_through(*arguments)

    monkeypatch.setattr(robot, "click_through", stopping)
    source = plain_source("intensity")
    with pytest.raises(KeyboardInterrupt):
        clicks.compare(tmp_path, [source], scans, settings)
    assert len(list((tmp_path / CELLS).iterdir())) == 2
    report = clicks.compare(tmp_path, [source], scans, settings)
    assert len(calls) == 3 + 4
    more = settings.model_copy(update={"draws": 3})
    clicks.compare(tmp_path, [source], scans, more)
    assert len(calls) == 7 + 2
    assert clicks.compare(tmp_path, [source], scans, settings) == report
    assert len(calls) == 9
    with pytest.raises(MrisslError, match="other clicks"):
        clicks.compare(tmp_path, [source], scans, settings.model_copy(update={"clicks": 5}))


def test_what_cannot_be_measured_is_refused_and_nothing_is_made(scans, tmp_path):
    source = plain_source("intensity")
    tested, _ = scans.split(2, 0)
    saw = dataclasses.replace(source, known=frozenset({tested[0].identity}))
    with pytest.raises(MrisslError, match="1 of the 2 test scans"):
        clicks.compare(tmp_path / "out", [saw], scans, SETTINGS)
    with pytest.raises(MrisslError, match="4 of 3 subjects"):
        clicks.compare(tmp_path / "out", [source], scans, ClickSettings(scans=4))
    with pytest.raises(MrisslError, match="classifier 'best'"):
        clicks.compare(tmp_path / "out", [source], scans, ClickSettings(scans=2, classifier="best"))
    assert not (tmp_path / "out").exists()


def test_suggested_clicks_are_those_of_suggestions(scans):
    volume, labels = scans.scans[0].read()
    settings = SegmentSettings(uncertainty=True)
    stack = features.compute(volume, settings.features)
    scene = robot.Scene.of(volume, stack, labels, scans.labels)
    asked = []

    def choose(moment):
        candidate = suggestions.Candidate(volume, stack, moment.result.uncertainty, moment.prompts)
        asked.append(suggestions.suggest([candidate]).place[1:])
        return clicks.suggested(moment)

    session = robot.click_through(scene, settings, 5, choose)
    np.testing.assert_allclose(session.prompts.positions[3:], asked, atol=1e-9)
    assert len(set(asked)) == 2
