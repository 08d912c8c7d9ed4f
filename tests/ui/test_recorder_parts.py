"""Parts of the recorder without a window: key poses, folders, datasets in the background."""

import json

import numpy as np
import pytest

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Dataset, flight_of
from napari_mrissl.ui.recorder import work
from napari_mrissl.ui.recorder.key_poses import KeyPoses
from napari_mrissl.ui.recorder.parts import clock
from napari_mrissl.volumes import Volume


def pose(x):
    return Pose(np.array([x, 0.0, 0.0]), np.eye(3), 100.0)


@pytest.fixture
def volume():
    return Volume.from_stored(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))


def test_every_change_of_the_key_poses_can_be_taken_back():
    keys = KeyPoses()
    heard = []
    keys.changed.connect(lambda: heard.append(len(keys)))
    keys.undo()
    assert keys.add(pose(0))
    assert not keys.add(pose(0))
    keys.add(pose(1))
    keys.add(pose(2))
    keys.remove(1)
    assert keys.poses == [pose(0), pose(2)]
    keys.undo()
    assert keys.poses == [pose(0), pose(1), pose(2)]
    keys.redo()
    assert keys[1] == pose(2)
    keys.undo()
    keys.replace([pose(5)])
    assert not keys.can_redo
    for _ in range(4):
        keys.undo()
    assert keys.poses == []
    assert not keys.can_undo
    assert heard == [1, 2, 3, 2, 3, 2, 3, 1, 3, 2, 1, 0]


def test_key_poses_of_a_session_are_poses_or_nothing():
    keys = KeyPoses()
    keys.add(pose(3))
    assert KeyPoses.from_rows(json.loads(json.dumps(keys.rows()))) == keys.poses
    for bad in (None, 3, "text", [[1, 2]], [["a"] * 8], [[10**400] * 8], [[0.0] * 8]):
        assert KeyPoses.from_rows(bad) is None


def test_new_folders_are_of_today_and_not_there_yet():
    first = work.new_folder()
    assert first == work.default_folder()
    first.mkdir(parents=True)
    second = work.new_folder()
    assert second.parent == first.parent
    assert not second.exists()
    second.mkdir()
    assert work.new_folder() not in (first, second)


def test_the_last_used_datasets_are_known_and_a_damaged_list_is_none(tmp_path):
    assert work.recent_folders() == []
    for number in range(12):
        work.note_recent(tmp_path / f"dataset {number}")
    work.note_recent(tmp_path / "dataset 9")
    recent = work.recent_folders()
    assert [folder.name for folder in recent[:3]] == ["dataset 9", "dataset 11", "dataset 10"]
    assert len(recent) == len(set(recent)) == 8
    for bad in ("{", "{}", "[1, null]", "[" * 5000):
        (data_directory() / "datasets.json").write_text(bad, "utf-8")
        assert work.recent_folders() == []


def test_looking_makes_nothing_and_refuses_what_is_no_dataset(tmp_path):
    assert work.look(tmp_path / "new") == work.Contents(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "notes.txt").write_text("no dataset", "utf-8")
    with pytest.raises(MrisslError):
        work.look(tmp_path)


def test_made_flights_become_episodes_with_their_maker(tmp_path, volume):
    flight = work.steady_flight(
        volume, [pose(x) for x in range(5)], 10.0, "policy", policy="pan", seed=4
    )
    kept = work.append(tmp_path / "d", flight, 10.0, "pan along", "policy")
    assert kept.number == 0
    assert kept.contents.hertz == 10.0
    (episode,) = kept.contents.episodes
    assert (episode.task, episode.source, episode.frames) == ("pan along", "policy", 5)
    entry = Dataset.open(tmp_path / "d").entries[0]
    assert (entry.policy, entry.seed) == ("pan", 4)
    again = flight_of(volume, flight.poses, hertz=10.0)
    np.testing.assert_array_equal(kept.flight.times_ns, again.times_ns)
    with pytest.raises(MrisslError):
        work.append(tmp_path / "d", flight, 20.0, "", "policy")
    assert work.undo_last(tmp_path / "d").undone
    assert work.redo_last(tmp_path / "d").episodes == kept.contents.episodes


def test_a_time_reads_like_a_clock():
    assert [clock(s) for s in (0, 7.26, 59.96, 761)] == ["0:00.0", "0:07.3", "1:00.0", "12:41.0"]
