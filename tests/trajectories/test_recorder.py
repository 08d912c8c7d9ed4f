"""Recording: events become an episode, whatever the disk, the clock or the user do."""

import errno
import os
import threading
import time

import numpy as np
import pytest
from flight_datasets import fly, rows

from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing import render
from napari_mrissl.trajectories import (
    Dataset,
    Recorder,
    journal,
    manifest,
    read_journal,
    sampling,
    validate,
)
from napari_mrissl.trajectories import recorder as recording

ALL = {"cursor", "window", "clicks", "layers"}


def test_what_was_flown_is_an_episode(volume, poses, tmp_path, clock):
    folder = tmp_path / "a" / "new set"
    recorder = Recorder(folder, volume, task=" look\naround ", clock=clock)
    clock.wait(5)  # before the first pose nothing has begun
    fly(recorder, poses, clock)
    assert (recorder.poses, recorder.seconds) == (30, pytest.approx(1.5))
    assert sorted(os.listdir(folder)) == ["dataset.json", "open"]
    entry = recorder.commit()
    assert sorted(os.listdir(folder)) == [
        "dataset.json", "dataset.previous.json", "episodes", "open"
    ]  # fmt: skip
    assert os.listdir(folder / "open") == []
    dataset = Dataset.open(folder)
    assert dataset.entries == [entry]
    assert dataset.tasks == ("look around",)
    assert (entry.hertz, entry.frames, entry.duration_s, entry.cut_s) == (20, 31, 1.5, 0)
    assert (entry.source, entry.policy, entry.seed) == ("recorded", None, None)
    assert entry.identity == volume.identity
    flight = dataset.flight(0)
    np.testing.assert_allclose(rows(flight.poses), rows([*poses, poses[-1]]), atol=1e-14)
    np.testing.assert_array_equal(np.diff(flight.times_ns), 50_000_000)
    assert flight.info["shape"] == [12, 11, 10]
    assert validate(folder).ok


def test_the_rate_is_the_datasets_and_can_be_chosen_for_a_new_one(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path / "d", volume, hertz=100, clock=clock)
    fly(recorder, poses, clock)
    assert recorder.commit().frames == 151
    with pytest.raises(MrisslError, match="100 frames a second"):
        Recorder(tmp_path / "d", volume, hertz=20)
    again = Recorder(tmp_path / "d", volume, clock=clock)
    fly(again, poses[:3], clock)
    assert again.commit().hertz == 100


def test_optional_columns_hold_what_was_there(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, columns=ALL, clock=clock)
    recorder.layers({"image:0123456789ab": True, "labels:1": False})
    recorder.pose(poses[0])
    clock.wait(0.05)
    recorder.cursor((1, 2, 3))
    recorder.window(-5, 80)
    clock.wait(0.02)
    recorder.click((4, 5, 6), 2)
    recorder.click((4, 5, 7), 1)
    clock.wait(0.03)
    recorder.cursor(None)
    recorder.layers({"image:0123456789ab": False, "labels:1": True})
    entry = recorder.commit()
    table = Dataset.open(tmp_path).table(0)
    assert entry.columns[7:] == ("cursor_ras", "window", "clicks", "layers")
    nan = np.nan
    np.testing.assert_array_equal(table["cursor_ras"], [[nan] * 3, [1, 2, 3], [nan] * 3])
    np.testing.assert_array_equal(table["window"], [[nan] * 2, [-5, 80], [-5, 80]])
    assert table["clicks"] == [[], [], [(4, 5, 6, 2), (4, 5, 7, 1)]]
    assert table["layers"].tolist() == [0b01, 0b01, 0b10]
    assert entry.layers == ("image:0123456789ab", "labels:1")


def test_columns_that_were_not_asked_for_are_not_written_anywhere(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, clock=clock)
    recorder.pose(poses[0])
    recorder.cursor((1, 2, 3))
    recorder.window(0, 1)
    recorder.click((1, 2, 3), 1)
    recorder.layers({"PATIENT-7.nii": True})
    recorder.leave()
    _, events = read_journal(next((tmp_path / "open").iterdir()))
    assert [set(event) for event in events if "identity" not in event] == [{"pose"}, {"ended"}]


def test_layers_are_never_named(volume, tmp_path):
    recorder = Recorder(tmp_path, volume, columns={"layers"})
    for name in ("PATIENT-7.nii", "image:PATIENT", "labels:x", "labels:1\n", ""):
        with pytest.raises(MrisslError, match="named in words"):
            recorder.layers({name: True})
    recorder.discard()


def test_more_layers_than_bits_are_left_out_and_told(volume, poses, tmp_path, clock):
    for folder in ("committed", "left"):
        recorder = Recorder(tmp_path / folder, volume, columns={"layers"}, clock=clock)
        recorder.pose(poses[0])
        for number in range(70):
            recorder.layers({f"labels:{number}": True})
        recorder.leave() if folder == "left" else recorder.commit()
        dataset = Dataset.open(tmp_path / folder)
        if folder == "left":
            dataset.recover(dataset.unfinished()[0])
        notes = dataset.notes if folder == "left" else recorder.notes
        assert notes == ("7 layers were left out: an episode has room for 63.",)
        assert dataset.entries[0].layers == tuple(f"labels:{n}" for n in range(63))
        assert validate(tmp_path / folder).ok


def test_too_many_tasks_are_refused_before_a_recording_never_after(
    volume, poses, tmp_path, monkeypatch
):
    monkeypatch.setattr(manifest, "_MOST_TASKS", 2)
    for task in ("one", "two"):
        recorder = Recorder(tmp_path, volume, task=task)
        recorder.pose(poses[0])
        recorder.commit()
    with pytest.raises(MrisslError, match="2 task texts already"):
        Recorder(tmp_path, volume, task="three")
    with pytest.raises(MrisslError, match="2 task texts already"):
        Dataset.open(tmp_path).set_task("three")
    recorder = Recorder(tmp_path, volume, task="two")
    recorder.pose(poses[0])
    recorder.task = "three"
    assert recorder.commit().task == "three"
    assert Dataset.open(tmp_path).tasks == ("one", "two", "three")


def test_a_recording_is_never_too_long_to_be_kept(volume, poses, tmp_path, clock, monkeypatch):
    for module in (sampling, recording):
        monkeypatch.setattr(module, "MOST_FRAMES", 200)
    recorder = Recorder(tmp_path, volume, clock=clock)
    for number in range(1000):
        if recorder.seconds > 6:
            with pytest.raises(MrisslError, match="has 200 frames"):
                recorder.pose(poses[0])
            break
        recorder.pose(poses[number % 30])
        clock.wait(0.05)
    clock.wait(60)
    assert 100 < recorder.commit().frames <= 200


def test_a_pause_is_cut_out_and_goes_on_from_what_is_shown(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, columns=ALL, clock=clock)
    fly(recorder, poses[:4], clock)
    recorder.pause()
    recorder.pause()
    assert recorder.paused
    fly(recorder, poses[10:20], clock, 7)
    recorder.click((0, 0, 0), 1)
    assert (recorder.poses, recorder.seconds) == (4, pytest.approx(0.2))
    recorder.resume()
    recorder.resume()
    assert not recorder.paused
    clock.wait(0.05)
    fly(recorder, poses[20:22], clock)
    assert recorder.seconds == pytest.approx(0.35)
    entry = recorder.commit()
    assert entry.cut_s == pytest.approx(70)
    table = Dataset.open(tmp_path).table(0)
    expected = [*poses[:4], poses[19], *poses[20:22], poses[21]]
    np.testing.assert_allclose(table["pose"], rows(expected), atol=1e-14)
    assert not any(table["clicks"])
    # Frame 3 shows the last pose before the pause, frame 4 the first one after it.
    assert entry.cuts == (3,)
    assert Dataset.open(tmp_path).entries == [entry]
    assert validate(tmp_path).ok


def test_a_pause_in_which_nothing_moved_is_no_cut(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, clock=clock)
    fly(recorder, poses[:4], clock)
    for shown in (poses[9], poses[3]):  # away and back again
        recorder.pause()
        recorder.pose(shown)
        recorder.pose(poses[3])
        clock.wait(1)
        recorder.resume()
        clock.wait(0.1)
    fly(recorder, poses[4:6], clock)
    recorder.pause()  # never resumed
    recorder.pose(poses[8])
    assert recorder.commit().cuts == ()


def test_idleness_is_cut_to_two_seconds(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, clock=clock)
    recorder.pose(poses[0])
    clock.wait(100)
    recorder.pose(poses[1])
    clock.wait(1.9)
    recorder.pose(poses[2])
    entry = recorder.commit()
    assert entry.cut_s == pytest.approx(98)
    assert entry.duration_s == pytest.approx(3.9)
    found = Dataset.open(tmp_path).table(0)["pose"]
    np.testing.assert_allclose(found, rows([poses[0]] * 40 + [poses[1]] * 38 + [poses[2]]))


def test_rendered_slices_are_stored_without_loss(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, frame_size=24, clock=clock)
    fly(recorder, poses, clock, 0.2)
    shares = []
    entry = recorder.commit(progress=shares.append)
    assert entry.frames == 121
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (2, 1)
    dataset = Dataset.open(tmp_path)
    assert "frame" not in dataset.table(0)
    flown = dataset.flight(0).poses
    expected = render(volume, flown, 24).values
    np.testing.assert_array_equal(dataset.table(0, ("frame",))["frame"], expected)
    part = dataset.table(0, ("frame", "index"), 60, 70)
    np.testing.assert_array_equal(part["frame"], expected[60:70])
    assert part["index"].tolist() == list(range(60, 70))
    statistics = entry.statistics["frame"]
    assert statistics["count"] == 121 * 24 * 24
    assert statistics["max"] == [expected.max()]
    assert statistics["mean"] == pytest.approx([expected.mean(dtype=float)])
    assert statistics["std"] == pytest.approx([expected.std(dtype=float)])


def test_the_task_can_be_changed_while_recording(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, task="look", clock=clock)
    fly(recorder, poses[:3], clock)
    recorder.task = "find the \x1b[31m vessel\u202e "
    assert recorder.commit().task == "find the [31m vessel"


def test_nothing_flown_is_told_and_recording_goes_on(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, clock=clock)
    with pytest.raises(MrisslError, match="nothing was recorded"):
        recorder.commit()
    recorder.pose(poses[0])
    assert recorder.commit().frames == 1
    with pytest.raises(MrisslError, match="has ended"):
        recorder.pose(poses[0])
    assert recorder.commit().episode_index == 0  # twice is once
    assert len(Dataset.open(tmp_path)) == 1


def test_a_discarded_recording_is_kept_aside(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, clock=clock)
    fly(recorder, poses, clock)
    recorder.discard()
    dataset = Dataset.open(tmp_path)
    assert (len(dataset), dataset.unfinished()) == (0, [])
    _, events = read_journal(tmp_path / "removed" / f"{recorder.uid}.jsonl")
    assert sum("pose" in event for event in events) == 30
    Recorder(tmp_path, volume).discard()  # the lock is free again


def test_a_flight_discarded_as_an_episode_can_be_brought_back(volume, poses, tmp_path):
    """And so can the one that was undone before it: the numbers go on from there."""
    kept = []
    for number in range(3):
        recorder = Recorder(tmp_path, volume, task=f"task {number}", frame_size=8)
        for pose in poses[number : number + 5]:
            recorder.pose(pose)
            time.sleep(0.03)
        if number == 2:
            Dataset.open(tmp_path).undo_last()
        kept.append(recorder.commit(undone=number == 2))
    dataset = Dataset.open(tmp_path)
    assert [entry.uid for entry in dataset.entries] == [kept[0].uid]
    assert [entry.uid for entry in dataset.undone] == [kept[1].uid, kept[2].uid]
    assert len(os.listdir(tmp_path / "episodes")) == 1
    assert validate(tmp_path).ok
    slices = {}
    for expected in (kept[2], kept[1]):
        assert dataset.redo_last().uid == expected.uid
        slices[expected.uid] = dataset.table(-1, ("frame",))["frame"]
        assert slices[expected.uid].shape == (expected.frames, 8, 8)
    assert [entry.uid for entry in dataset.entries] == [kept[n].uid for n in (0, 2, 1)]
    assert [entry.task for entry in dataset.entries] == ["task 0", "task 2", "task 1"]
    assert [entry.episode_index for entry in dataset.entries] == [0, 1, 2]
    flown = dataset.flight(2).poses
    np.testing.assert_allclose(flown[0].to_row(), poses[1].to_row(), atol=1e-14)
    np.testing.assert_array_equal(slices[kept[1].uid], render(volume, flown, 8).values)
    assert dataset.undone == []
    assert validate(tmp_path).ok


def test_a_manifest_that_was_just_read_is_not_parsed_again(volume, poses, tmp_path, monkeypatch):
    first = Recorder(tmp_path, volume)
    first.pose(poses[0])
    first.commit()
    manifest._known.clear()
    Dataset.open(tmp_path)
    parsed = []

    def parse(*words):
        parsed.append(words)
        return whole(*words)

    whole = manifest.parsed
    monkeypatch.setattr(manifest, "parsed", parse)
    second = Recorder(tmp_path, volume)
    second.pose(poses[1])
    second.commit()
    assert parsed == []
    assert len(Dataset.open(tmp_path)) == 2
    assert len(parsed) == 1


def test_the_next_recording_runs_while_the_last_is_written(volume, poses, tmp_path, monkeypatch):
    first = Recorder(tmp_path, volume, frame_size=8)
    first.pose(poses[0])
    held, go = threading.Event(), threading.Event()

    def hold(_):
        held.set()
        assert go.wait(30)

    worker = threading.Thread(target=first.commit, args=(hold,))
    worker.start()
    assert held.wait(30)
    second = Recorder(tmp_path, volume)
    for pose in poses:
        second.pose(pose)
    go.set()
    worker.join()
    second.commit()
    dataset = Dataset.open(tmp_path)
    assert [entry.uid for entry in dataset.entries] == [first.uid, second.uid]
    assert [entry.first_index for entry in dataset.entries] == [0, dataset.entries[0].frames]
    assert validate(tmp_path).ok


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_the_journal_is_told_and_costs_nothing(
    code, volume, poses, tmp_path, monkeypatch
):
    told = []
    recorder = Recorder(tmp_path, volume, on_error=told.append)
    recorder.pose(poses[0])
    path = next((tmp_path / "open").iterdir())
    while b"pose" not in path.read_bytes():
        time.sleep(0.01)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(journal, "_write", refuse)
    recorder.pose(poses[1])
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.strerror(code) in str(told[0])
    with pytest.raises(MrisslError, match="could not be written"):
        recorder.pose(poses[2])
    monkeypatch.undo()
    # What came before the refusal was said is still there to be committed.
    recorder.commit()
    found = Dataset.open(tmp_path).table(0)["pose"]
    np.testing.assert_allclose(found[-1], poses[1].to_row(), atol=1e-14)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"columns": {"pixels"}}, "column 'pixels'"),
        ({"frame_size": 0}, "frames of 0"),
        ({"frame_size": 5000}, "frames of 5000"),
        ({"hertz": 0}, "0 frames a second"),
        ({"hertz": float("nan")}, "nan frames"),
        ({"hertz": 1e9}, "frames a second"),
    ],
)
def test_settings_that_cannot_be_are_told_and_leave_nothing(settings, said, volume, tmp_path):
    with pytest.raises(MrisslError, match=said):
        Recorder(tmp_path / "d", volume, **settings)
    assert not (tmp_path / "d").exists()
    Recorder(tmp_path / "d", volume).discard()


def test_no_event_that_is_not_a_number_gets_in(volume, poses, tmp_path):
    recorder = Recorder(tmp_path, volume, columns=ALL)
    recorder.pose(poses[0])
    for wrong in ((1, 2), (1, 2, float("nan")), "abc"):
        with pytest.raises((MrisslError, ValueError)):
            recorder.cursor(wrong)
        with pytest.raises((MrisslError, ValueError)):
            recorder.click(wrong, 1)
    with pytest.raises(MrisslError):
        recorder.window(0, float("inf"))
    assert recorder.commit().frames >= 1
