"""The comparison of frozen features on small labelled scans, made in full."""

import dataclasses
import json

import numpy as np
import pytest
from evaluation.labelled_folder import make
from sklearn.linear_model import LogisticRegression

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation import frozen
from napari_mrissl.evaluation.cells import CELLS
from napari_mrissl.evaluation.frozen import FrozenSettings, plain_source
from napari_mrissl.evaluation.labelled_scans import drawn, labelled_scans
from napari_mrissl.evaluation.leakage import refuse_overlap
from napari_mrissl.features import FilterBankSettings
from napari_mrissl.features.filter_bank import FilterBank

SETTINGS = FrozenSettings(shots=(1, 2), draws=2, test=3, voxels=8000, decision="likeliest")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return labelled_scans(make(tmp_path_factory.mktemp("labelled"), 6))


def test_a_cell_is_what_scikit_learn_says(scans, tmp_path):
    rows = frozen.compare(tmp_path, [plain_source("filters")], scans, SETTINGS)
    assert [(r.shots, r.label) for r in rows] == [
        (shots, label) for shots in (1, 2) for label in ("1", "2", "mean")
    ]
    test, pool = scans.split(3, 0)
    wanted = []
    for draw in range(2):
        x, y = [], []
        for scan in drawn(pool, 2, draw, 0):
            volume, labels = scan.read()
            x.append(features.compute(volume, FilterBankSettings()).data.reshape(11, -1).T)
            y.append(labels.reshape(-1))
        x, y = np.concatenate(x), np.concatenate(y)
        center, spread = x.mean(axis=0), x.std(axis=0)
        head = LogisticRegression(max_iter=5000, tol=1e-8).fit((x - center) / spread, y)
        for scan in test:
            volume, labels = scan.read()
            seen = features.compute(volume, FilterBankSettings()).data.reshape(11, -1).T
            guess = head.predict((seen - center) / spread)
            truth = labels.reshape(-1)
            for label in (1, 2):
                one, other = guess == label, truth == label
                wanted.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    (found,) = (r for r in rows if (r.shots, r.label) == (2, "mean"))
    assert found.mean == pytest.approx(np.mean(wanted), abs=2e-3)
    assert found.mean > 0.8


def test_it_goes_on_where_it_stopped_and_takes_more(scans, tmp_path, monkeypatch):
    sources = [plain_source("filters"), plain_source("intensity")]
    fit, calls = frozen.linear_head.fit, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(frozen.linear_head, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        frozen.compare(tmp_path, sources, scans, SETTINGS)
    assert len(list((tmp_path / CELLS).iterdir())) == 5
    said = []
    rows = frozen.compare(tmp_path, sources, scans, SETTINGS, tell=said.append)
    assert len(calls) == 6 + 3
    assert [line.split(":")[0] for line in said] == ["6 of 8", "7 of 8", "8 of 8"]
    more = SETTINGS.model_copy(update={"draws": 3})
    all_rows = frozen.compare(tmp_path, sources, scans, more)
    assert len(calls) == 9 + 4
    assert {row.draws for row in all_rows} == {3}
    assert {row.draws for row in rows} == {2}
    # A later call with less takes nothing out of the table.
    assert frozen.compare(tmp_path, sources, scans, SETTINGS) == all_rows
    assert len(calls) == 13
    with pytest.raises(MrisslError, match="other voxels"):
        frozen.compare(tmp_path, sources, scans, SETTINGS.model_copy(update={"voxels": 500}))


def test_the_tables_hold_what_earlier_calls_made(scans, tmp_path):
    once = SETTINGS.model_copy(update={"draws": 1})
    first = frozen.compare(tmp_path, [plain_source("filters")], scans, once)
    one_shot = once.model_copy(update={"shots": (1,)})
    rows = frozen.compare(tmp_path, [plain_source("intensity")], scans, one_shot)
    assert list(dict.fromkeys(row.source for row in rows)) == ["intensity", "filters"]
    assert [row for row in rows if row.source == "filters"] == first
    written = json.loads((tmp_path / "table.json").read_text("utf-8"))
    assert written["rows"] == [dataclasses.asdict(row) for row in rows]
    assert (written["protocol"]["shots"], written["protocol"]["draws"]) == ([1, 2], 1)


def test_numbers_of_an_earlier_version_are_made_anew_and_leave_the_table(
    scans, tmp_path, monkeypatch
):
    once = SETTINGS.model_copy(update={"draws": 1, "shots": (1,)})
    frozen.compare(tmp_path, [plain_source("intensity")], scans, once)
    before = plain_source("intensity").identity
    monkeypatch.setattr(FilterBank, "version", FilterBank.version + 1)
    assert plain_source("intensity").identity != before
    rows = frozen.compare(tmp_path, [plain_source("intensity")], scans, once)
    assert len(list((tmp_path / CELLS).iterdir())) == 2
    assert {row.draws for row in rows} == {1}


def test_weights_that_saw_the_test_scans_are_refused(scans, tmp_path):
    test, pool = scans.split(3, 0)
    source = plain_source("intensity")
    refuse_overlap([dataclasses.replace(source, known=frozenset({pool[0].identity}))], test)
    saw = dataclasses.replace(source, known=frozenset({test[1].identity, pool[0].identity}))
    with pytest.raises(MrisslError, match="was pretrained on 1 of the 3 test scans"):
        frozen.compare(tmp_path / "out", [saw], scans, SETTINGS)
    assert not (tmp_path / "out").exists()


def test_nothing_written_says_where_or_whose_the_scans_are(scans, tmp_path):
    frozen.compare(tmp_path, [plain_source("intensity")], scans, SETTINGS)
    place = str(scans.scans[0].image.parent.parent)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"person_" not in content
            assert place.encode() not in content
            assert "person_" not in path.name
    cell = json.loads(next((tmp_path / CELLS).iterdir()).read_text("utf-8"))
    assert cell["command"].startswith("mrissl benchmark features --weights intensity --data DATA")
    assert cell["seconds"] > 0
    assert cell["cell"]["seed"] == 0
    assert set(cell["dice"]) == {scan.identity for scan in scans.split(3, 0)[0]}
