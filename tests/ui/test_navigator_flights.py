"""Flights in the navigator: record, replay, generate, open, save, and what may come between."""

import errno
import os
import sys

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

sys.path.insert(0, __file__.rpartition("/")[0])
import navigator_actions as user

from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Flight, flight_of, journal, locate, read_flight
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator.flights import FlightDeck, flights_directory, new_flight_folder
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.volumes import read, write_image
from napari_mrissl.volumes.volume import Volume


def small_volume(value=1.0):
    index = np.indices((24, 24, 24), np.float32)
    voxels = value * np.exp(-((index - 11.5) ** 2).sum(axis=0) / 60)
    return Volume.from_stored(voxels.astype(np.float32), np.diag([2.0, 2, 2, 1]), name="ball")


class Clock:
    now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def state(qtbot):
    state = NavigatorState()
    state.set_volume(small_volume())
    return state


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def deck(state, clock):
    deck = FlightDeck(state, clock=clock)
    yield deck
    deck.close()


def steps(state, count=5):
    poses = [state.pose]
    for _ in range(count):
        state.move([0.01, 0.02, 0, 0.05, 0, 0, 0])
        poses.append(state.pose)
    return poses


def test_every_pose_is_recorded_with_rising_stamps(deck, state):
    deck.record()
    assert deck.recording
    poses = steps(state)
    assert deck.frames == len(poses)
    deck.stop_recording()
    assert not deck.recording
    assert deck.folder.parent == flights_directory()
    flight = read_flight(deck.folder)
    rows = np.array([pose.to_row() for pose in flight.poses])
    np.testing.assert_allclose(rows, [pose.to_row() for pose in poses], atol=1e-12)
    assert (np.diff(flight.times_ns) >= 0).all()
    assert flight.identity == state.volume.identity


def test_nothing_is_recorded_before_and_after(deck, state):
    steps(state)
    deck.record()
    deck.stop_recording()
    steps(state)
    assert len(deck.flight) == 1
    deck.stop_recording()
    deck.record()
    deck.stop_recording()
    assert len(list(flights_directory().iterdir())) == 2


def test_replay_shows_the_flight_at_its_speed_and_undo_returns(deck, state, clock):
    poses = steps(state, 4)
    flight = Flight(
        state.volume.identity, poses, np.arange(5) * 10**9, flight_of(state.volume, poses).info
    )
    deck.set_flight(flight)
    state.move([0.1, 0, 0, 0, 0, 0, 0.1])
    before = state.pose
    deck.speed = 2.0
    deck.replay()
    assert deck.replaying
    assert state.pose == poses[0]
    clock.now += 10**9
    deck._tick()
    np.testing.assert_allclose(state.pose.to_row(), poses[2].to_row(), atol=1e-9)
    assert deck.progress == pytest.approx(0.5)
    clock.now += 10**9
    deck._tick()
    assert not deck.replaying
    np.testing.assert_allclose(state.pose.to_row(), poses[4].to_row(), atol=1e-9)
    state.undo()
    assert state.pose == before


def test_replay_can_be_stopped(deck, state, clock):
    deck.set_flight(flight_of(state.volume, steps(state), hertz=1))
    deck.replay()
    clock.now += 2 * 10**9
    deck._tick()
    stopped = state.pose
    deck.stop_replay()
    assert not deck.replaying
    assert state.pose == stopped


def test_a_flight_over_another_scan_is_said_to_be_one(deck, state):
    said = []
    deck.said.connect(said.append)
    other = small_volume(2.0)
    deck.set_flight(flight_of(other, [Pose(other.center, np.eye(3), 40.0)] * 3))
    assert state.volume.identity
    deck.replay()
    assert "another scan" in said[-1]


def test_a_disk_that_refuses_ends_the_recording_and_is_said(deck, state, qtbot, monkeypatch):
    said = []
    deck.failed.connect(said.append)
    deck.record()
    qtbot.waitUntil(lambda: deck.frames > 0)

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal, "_write", refuse)
    steps(state)
    qtbot.waitUntil(lambda: not deck.recording, timeout=5000)
    assert len(said) == 1
    assert "No space left" in said[0]


def test_the_command_line_finds_the_scan_of_a_recorded_flight(deck, state, tmp_path):
    path = tmp_path / "scan.nii"
    write_image(path, state.volume.data, state.volume)
    state.set_volume(read(path))
    deck.record()
    steps(state)
    deck.stop_recording()
    assert locate(deck.flight.identity) == path


def test_the_scan_going_away_stops_and_keeps_the_recording(deck, state):
    said = []
    deck.said.connect(said.append)
    deck.record()
    poses = steps(state)
    state.set_volume(None)
    assert not deck.recording
    assert "The scan changed" in said[-1]
    assert len(read_flight(deck.folder)) == len(poses)
    state.set_volume(small_volume())
    deck.replay()
    state.set_volume(small_volume(3.0))
    assert not deck.replaying


def test_damaged_and_missing_flights_are_reported(deck, state, tmp_path):
    said = []
    deck.failed.connect(said.append)
    deck.load(tmp_path)
    assert "no flight here" in said[0]
    (tmp_path / "flight.jsonl").write_text("{}\n")
    deck.load(tmp_path)
    assert len(said) == 2
    assert deck.flight is None
    deck.parent_folder = tmp_path / "flight.jsonl"
    deck.record()
    assert not deck.recording
    assert len(said) == 3


def test_saved_and_opened_again(deck, state, tmp_path):
    deck.save(tmp_path / "never")
    assert not (tmp_path / "never").exists()
    poses = steps(state)
    deck.set_flight(flight_of(state.volume, poses))
    folder = new_flight_folder(tmp_path)
    deck.save(folder)
    assert new_flight_folder(tmp_path) != folder
    deck.set_flight(flight_of(state.volume, poses[:2]))
    deck.load(folder)
    assert len(deck.flight) == len(poses)
    failed = []
    deck.failed.connect(failed.append)
    deck.save(folder)
    assert "already" in failed[0]


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    add_volume(viewer, small_volume())
    return viewer


@pytest.mark.gui
def test_record_by_button_fly_by_mouse_replay_by_button(navigator, viewer, qtbot):
    panel, canvas = navigator.flight_panel, navigator.view.canvas
    assert not panel.replay.isEnabled()
    panel.record.click()
    assert panel.record.text().startswith("Stop")
    assert "background" in panel.record.styleSheet()
    x, y = user.middle(canvas)
    user.drag(qtbot, canvas, (x, y), (x + 10, y + 10), user.SHIFT)
    for _ in range(3):
        user.wheel(qtbot, canvas, (x, y), 1)
    end = navigator.pose
    panel.record.click()
    assert panel.record.text() == "Record"
    assert "Recorded" in panel.message.text()
    navigator.state.reset()
    before = navigator.pose
    panel.speed.setCurrentIndex(panel.speed.count() - 1)
    panel.replay.click()
    assert panel.replay.text() == "Stop"
    qtbot.waitUntil(lambda: not navigator.deck.replaying, timeout=20_000)
    np.testing.assert_allclose(navigator.pose.to_row(), end.to_row(), atol=1e-9)
    assert panel.replay.text() == "Replay"
    navigator.moves.undo.click()
    assert navigator.pose == before


@pytest.mark.gui
def test_generated_flights_are_replayable_and_have_seeds(navigator, qtbot):
    panel = navigator.flight_panel
    flights = []
    for seed in (1, 1, 2):
        panel.policy.setCurrentText("walk")
        panel.frames.setValue(20)
        panel.seed.setValue(seed)
        panel.generate.click()
        assert not panel.generate.isEnabled()
        qtbot.waitUntil(lambda: not panel.jobs.running, timeout=20_000)
        assert panel.generate.isEnabled()
        flights.append(np.array([p.to_row() for p in navigator.deck.flight.poses]))
    np.testing.assert_array_equal(flights[0], flights[1])
    assert not np.allclose(flights[0], flights[2])
    panel.replay.click()
    assert navigator.deck.replaying
    panel.replay.click()
    assert not navigator.deck.replaying


@pytest.mark.gui
def test_the_layer_deleted_while_recording(navigator, viewer, qtbot):
    navigator.deck.record()
    navigator.state.move([0.01, 0, 0, 0, 0, 0, 0])
    viewer.layers.remove(next(x for x in viewer.layers if x.name == "ball"))
    assert not navigator.deck.recording
    assert "The scan changed" in navigator.flight_panel.message.text()
    assert len(read_flight(navigator.deck.folder)) == 2
    assert not navigator.flight_panel.record.isEnabled()
    qtbot.wait(30)


@pytest.mark.gui
@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_closed_while_recording(navigator, viewer, qtbot, what):
    navigator.deck.record()
    navigator.state.move([0.01, 0, 0, 0, 0, 0, 0])
    if what == "dock":
        viewer.window.remove_dock_widget(navigator)
    else:
        viewer.close()
    assert not navigator.deck.recording
    (folder,) = flights_directory().iterdir()
    assert len(read_flight(folder)) == 2


@pytest.mark.gui
def test_closed_while_replaying_and_generating(navigator, viewer, qtbot):
    panel = navigator.flight_panel
    poses = steps(navigator.state)
    navigator.deck.set_flight(flight_of(navigator.volume, poses, hertz=1))
    navigator.deck.replay()
    panel.frames.setValue(2000)
    panel.generate.click()
    viewer.window.remove_dock_widget(navigator)
    assert not navigator.deck.replaying
    pose = navigator.pose
    qtbot.wait(100)
    assert navigator.pose == pose
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=20_000)


@pytest.mark.gui
def test_folders_are_chosen_in_dialogs(navigator, qtbot, monkeypatch, tmp_path):
    panel, deck = navigator.flight_panel, navigator.deck
    answers = iter(["", str(tmp_path), str(tmp_path), ""])
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: next(answers))
    panel.folder.click()
    assert deck.parent_folder is None
    panel.folder.click()
    assert deck.parent_folder == tmp_path
    panel.record.click()
    steps(navigator.state, 2)
    panel.record.click()
    (recorded,) = tmp_path.iterdir()
    panel.save.click()
    saved = next(folder for folder in tmp_path.iterdir() if folder != recorded)
    assert len(read_flight(saved)) == 3
    panel.load.click()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(saved))
    panel.load.click()
    assert deck.folder == saved
    assert "3 poses" in panel.message.text()
