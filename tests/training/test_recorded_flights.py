"""Recorded flights in a run: taken once, known by their checksum, without any path."""

import hashlib
import shutil

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.navigation import recorded
from napari_mrissl.training import recorded_flights
from napari_mrissl.training.building import settings_for
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import DataSettings, SubjectRecord
from napari_mrissl.trajectories.scan_index import locate
from tests.flight_datasets import dataset_over, remembered_scans


@pytest.fixture
def scans(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "data"))
    return remembered_scans(tmp_path)


def settings_over(identities, method="dynamics", **changes):
    records = tuple(
        SubjectRecord(identity=one, subject=f"subject-{n + 1:03d}")
        for n, one in enumerate(identities)
    )
    data = DataSettings(kind="scans", subjects=records)
    changes = {"flights.frames": 4, "flights.hertz": 5, **changes}
    return settings_for(method, data, "tiny", changes)


def test_flights_are_taken_at_their_rate(tmp_path, scans):
    """20 a second were recorded, 5 are taken: every fourth pose of long enough episodes."""
    dataset = dataset_over(tmp_path / "flights", scans, (30, 9, 14))
    found = recorded.flights_of(dataset.folder, 4, 5.0)
    assert set(found) == {scans[0].identity}
    first, third = found[scans[0].identity]
    assert np.array_equal(first, dataset.table(0)["pose"][::4])
    assert np.array_equal(third, dataset.table(2)["pose"][::4])
    with pytest.raises(MrisslError, match="no flight of 40 frames at 5 a second"):
        recorded.flights_of(dataset.folder, 40, 5.0)


def test_a_run_holds_its_flights_itself(tmp_path, scans):
    dataset = dataset_over(tmp_path / "flights", scans, (30, 30))
    settings = settings_over([scan.identity for scan in scans])
    with recorded_flights.recorded_flights(settings, dataset.folder) as (made, file, left_out):
        assert left_out == 0
        run = Run.create(tmp_path / "run", made)
        recorded_flights.keep(run, file)
    shutil.rmtree(dataset.folder)
    kept = tmp_path / "run" / recorded_flights.FILE
    sha256 = made.task["flights"]["recorded"]
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == sha256
    assert str(tmp_path).encode() not in kept.read_bytes()
    # The run goes elsewhere and is found there.
    moved = run.folder.rename(tmp_path / "moved")
    recorded_flights.place(Run.open(moved))
    assert locate(sha256) == moved / recorded_flights.FILE
    recorded.known.cache_clear()
    assert set(recorded.known(sha256)) == {scan.identity for scan in scans}
    assert settings.task["flights"]["recorded"] == ""


def test_scans_without_flights_take_no_part(tmp_path, scans):
    dataset = dataset_over(tmp_path / "flights", scans[:1], (30,))
    settings = settings_over([scan.identity for scan in scans], "tokenizer")
    with recorded_flights.recorded_flights(settings, dataset.folder) as (made, _, left_out):
        assert [one.identity for one in made.data.subjects] == [scans[0].identity]
        assert left_out == 1
    with (
        pytest.raises(MrisslError, match="no scan for training has recorded flights"),
        recorded_flights.recorded_flights(settings_over(["0" * 64]), dataset.folder),
    ):
        pass


def test_what_does_not_fly_is_refused(tmp_path, scans):
    dataset = dataset_over(tmp_path / "flights", scans[:1], (30,))
    painted = settings_for("dynamics", None, "tiny")
    with (
        pytest.raises(MrisslError, match="painted data"),
        recorded_flights.recorded_flights(painted, dataset.folder),
    ):
        pass
    with (
        pytest.raises(MrisslError, match="recorded flights for masked"),
        recorded_flights.recorded_flights(settings_for("masked"), dataset.folder),
    ):
        pass
    with recorded_flights.recorded_flights(painted, None) as same:
        assert same == (painted, None, 0)
