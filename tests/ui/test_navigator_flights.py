"""Flights in the navigator: record, pause, discard, replay, and what may come between."""

import errno
import os
import threading

import numpy as np
import pytest
from flight_actions import rows, settled, small_volume, steps

from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Dataset, Flight, Recorder, flight_of, journal, locate
from napari_mrissl.ui.navigator.flight_panel import FlightPanel
from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.navigator.recording import FRAME_SIZE
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.recorder import shelf, work
from napari_mrissl.ui.recorder.work import default_folder
from napari_mrissl.volumes import read, write_image


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
def deck(state, clock, qtbot):
    deck = FlightDeck(state, clock=clock)
    yield deck
    deck.close(wait=True)
    qtbot.waitUntil(lambda: not deck.shelf.busy, timeout=10_000)


@pytest.fixture
def heard(deck):
    """Every sentence the deck says, and whether it is about a failure."""
    heard = []
    deck.said.connect(lambda text: heard.append((text, False)))
    deck.failed.connect(lambda text: heard.append((text, True)))
    return heard


def test_a_recording_becomes_an_episode_of_todays_dataset(deck, state, qtbot, heard):
    deck.task = "find the middle"
    deck.record()
    assert deck.recording
    poses = steps(state, qtbot=qtbot)
    assert deck.frames == len(poses)
    assert deck.seconds > 0.25
    deck.stop_recording()
    assert not deck.recording
    settled(deck, qtbot)
    dataset = Dataset.open(default_folder())
    (entry,) = dataset.entries
    assert entry.task == "find the middle"
    assert entry.identity == state.volume.identity
    recorded = rows(dataset.flight(0).poses)
    # At 20 Hz every pose of 60 ms is on some frame, in the order flown, and nothing else is.
    order = [np.abs(rows(poses) - row).max(axis=1).argmin() for row in recorded]
    assert np.abs(recorded - rows(poses)[order]).max() < 1e-12
    assert sorted(set(order)) == list(range(len(poses)))
    assert order == sorted(order)
    assert deck.number == 0
    np.testing.assert_array_equal(rows(deck.flight.poses), recorded)
    assert any("episode 0" in text for text, _ in heard)


def test_a_pause_is_not_in_the_episode(deck, state, qtbot):
    deck.record()
    before = steps(state, 2, qtbot)
    qtbot.wait(60)
    deck.pause()
    assert deck.paused
    seconds = deck.seconds
    away = steps(state, 3, qtbot)[1:]
    assert deck.seconds == pytest.approx(seconds)
    deck.resume()
    after = steps(state, 2, qtbot)
    deck.stop_recording()
    settled(deck, qtbot)
    recorded = rows(deck.flight.poses)

    def found(poses):
        return [bool((np.abs(recorded - row).max(axis=1) < 1e-9).any()) for row in rows(poses)]

    # The pose that the pause ended with is where the recording went on.
    assert found(away) == [False, False, True]
    assert all(found([*before[1:], *after[1:]]))
    assert deck.flight.duration_s < 0.6


def test_a_discarded_flight_is_no_episode_until_redo(deck, state, qtbot, heard):
    deck.record()
    steps(state, 2, qtbot)
    deck.discard()
    assert not deck.recording
    settled(deck, qtbot)
    assert len(Dataset.open(default_folder())) == 0
    assert deck.shelf.contents.undone
    assert "discarded" in heard[-1][0]
    deck.shelf.redo_last()
    settled(deck, qtbot)
    assert len(Dataset.open(default_folder())) == 1


def test_several_recordings_follow_each_other_without_waiting(deck, state, qtbot):
    for count in (1, 2, 3):
        deck.record()
        steps(state, count)
        deck.stop_recording()
    settled(deck, qtbot)
    assert len(Dataset.open(default_folder())) == 3
    assert [one.number for one in deck.shelf.contents.episodes] == [0, 1, 2]
    deck.stop_recording()
    deck.discard()
    deck.pause()
    assert not deck.recording


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
    deck.player.tick()
    np.testing.assert_allclose(state.pose.to_row(), poses[2].to_row(), atol=1e-9)
    assert deck.progress == pytest.approx(0.5)
    clock.now += 10**9
    deck.player.tick()
    assert not deck.replaying
    np.testing.assert_allclose(state.pose.to_row(), poses[4].to_row(), atol=1e-9)
    state.undo()
    assert state.pose == before


def test_scrubbing_and_stepping_are_one_undo_step(deck, state, clock):
    poses = steps(state, 4)
    flight = Flight(
        state.volume.identity, poses, np.arange(5) * 10**9, flight_of(state.volume, poses).info
    )
    deck.set_flight(flight)
    state.move([0.1, 0, 0, 0, 0, 0, 0.1])
    before = state.pose
    player = deck.player
    player.seek(3.5e9)
    assert player.frame == 3
    player.step(-1)
    np.testing.assert_allclose(state.pose.to_row(), poses[2].to_row(), atol=1e-9)
    player.step(-9)
    np.testing.assert_allclose(state.pose.to_row(), poses[0].to_row(), atol=1e-9)
    player.step(1)
    player.seek(99e9)
    np.testing.assert_allclose(state.pose.to_row(), poses[4].to_row(), atol=1e-9)
    state.undo()
    assert state.pose == before


def test_a_move_of_the_user_ends_the_replay_where_it_is(deck, state, clock):
    deck.set_flight(flight_of(state.volume, steps(state), hertz=1))
    deck.replay()
    clock.now += 2 * 10**9
    deck.player.tick()
    state.move([0, 0, 0.05, 0, 0, 0, 0])
    moved = state.pose
    assert not deck.replaying
    deck.player.tick()
    deck.player.play()
    assert deck.replaying
    assert deck.progress == pytest.approx(0.4)
    deck.stop_replay()
    state.undo()
    assert state.pose == moved


def test_a_flight_over_another_scan_is_said_to_be_one(deck, state, heard):
    other = small_volume(2.0)
    deck.set_flight(flight_of(other, [Pose(other.center, np.eye(3), 40.0)] * 3))
    assert state.volume.identity
    deck.replay()
    assert "another scan" in heard[-1][0]


def refuse(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_refuses_ends_the_recording_with_what_there_is(
    deck, state, qtbot, monkeypatch, heard
):
    deck.record()
    steps(state, 2, qtbot)
    with monkeypatch.context() as disk:
        disk.setattr(journal, "_write", refuse)
        state.move([0.02, 0, 0, 0, 0, 0, 0])
        qtbot.waitUntil(lambda: not deck.recording, timeout=5000)
    settled(deck, qtbot)
    failures = [text for text, failed in heard if failed]
    assert len(failures) == 1
    assert "No space left" in failures[0]
    assert "was ended" in failures[0]
    assert len(Dataset.open(default_folder())) == 1
    # The navigator flies on, and the next recording works.
    deck.record()
    assert deck.recording


def test_an_episode_that_cannot_be_written_can_be_saved_again(deck, state, qtbot, heard):
    deck.record()
    steps(state, 2, qtbot)
    episodes = default_folder() / "episodes"
    episodes.write_text("in the way", "utf-8")
    deck.stop_recording()
    settled(deck, qtbot)
    assert any(failed and "could not be saved" in text for text, failed in heard)
    (ending,) = deck.shelf.unsaved
    episodes.unlink()
    deck.save_again(ending)
    settled(deck, qtbot)
    assert deck.shelf.unsaved == ()
    assert len(Dataset.open(default_folder())) == 1


def test_a_closing_window_does_not_wait_for_many_frames(deck, state, qtbot, monkeypatch):
    monkeypatch.setattr(shelf, "LONGEST_GOODBYE_S", 0.0)
    deck.enter()
    deck.keep_frames = True
    deck.record()
    steps(state, 2, qtbot)
    deck.leave(wait=True)
    assert not deck.recording
    dataset = Dataset.open(default_folder())
    assert len(dataset) == 0
    (cut_off,) = dataset.unfinished()
    assert cut_off.poses == 3
    dataset.recover(cut_off, state.volume)
    again = Dataset.open(default_folder())
    assert again.entries[0].frame_size == FRAME_SIZE
    assert again.unfinished() == []


def test_a_closing_window_waits_for_what_ended_a_moment_before(deck, state, qtbot, monkeypatch):
    commit, slow = work.commit, threading.Event()

    def late(*arguments):
        slow.wait(0.3)
        return commit(*arguments)

    monkeypatch.setattr(work, "commit", late)
    deck.enter()
    deck.record()
    steps(state)
    state.set_volume(None)
    deck.leave(wait=True)
    assert len(Dataset.open(default_folder())) == 1


def test_the_command_line_finds_the_scan_of_a_recorded_flight(deck, state, tmp_path, qtbot):
    path = tmp_path / "scan.nii"
    write_image(path, state.volume.data, state.volume)
    state.set_volume(read(path))
    deck.record()
    steps(state)
    deck.stop_recording()
    settled(deck, qtbot)
    assert locate(deck.flight.identity) == path
    assert deck.shelf.contents.episodes[0].scan == path


def test_the_scan_going_away_ends_and_keeps_the_recording(deck, state, qtbot, heard):
    deck.record()
    steps(state)
    state.set_volume(None)
    assert not deck.recording
    settled(deck, qtbot)
    assert any("The scan changed" in text for text, _ in heard)
    assert len(Dataset.open(default_folder())) == 1
    state.set_volume(small_volume())
    deck.replay()
    state.set_volume(small_volume(3.0))
    assert not deck.replaying


def test_the_same_scan_told_again_does_not_end_the_recording(deck, state):
    deck.record()
    state.set_volume(state.volume, object())
    assert deck.recording


def test_bad_folders_are_refused_and_change_nothing(deck, state, tmp_path, qtbot, heard):
    before = deck.shelf.folder
    (tmp_path / "dataset.json").write_text("{}\n", "utf-8")
    (tmp_path / "file").write_text("no folder", "utf-8")
    for folder in (tmp_path, tmp_path / "file"):
        deck.choose_dataset(folder)
        settled(deck, qtbot)
        assert heard.pop()[1]
        assert deck.shelf.folder == before
    deck.record()
    deck.choose_dataset(tmp_path / "other")
    assert "cannot be changed" in heard[-1][0]
    assert deck.shelf.folder == before


def test_a_recording_into_a_place_that_cannot_be_is_refused(deck, state, tmp_path, qtbot, heard):
    deck.choose_dataset(tmp_path / "new")
    settled(deck, qtbot)
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").write_text("in the way", "utf-8")
    deck.record()
    assert not deck.recording
    assert heard[-1][1]


def test_a_recording_that_was_cut_off_is_told_of_in_the_navigator(deck, state, qtbot):
    cut_off = Recorder(default_folder(), state.volume)
    cut_off.pose(state.pose)
    (journal_file,) = (default_folder() / "open").iterdir()
    qtbot.waitUntil(lambda: b'"pose"' in journal_file.read_bytes(), timeout=5000)
    left = journal_file.read_bytes()
    cut_off.discard()
    (default_folder() / "open" / f"{'0' * 31}1.jsonl").write_bytes(left)
    panel = FlightPanel(deck, None)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: "cut off" in panel.message.text(), timeout=10_000)
    settled(deck, qtbot)
    panel.let_go()
