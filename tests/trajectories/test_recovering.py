"""Recordings that were cut off: recovered as they would have been, or put away."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from flight_datasets import fly, rows

from napari_mrissl.errors import MrisslError
from napari_mrissl.slicing import render
from napari_mrissl.trajectories import (
    Dataset,
    Recorder,
    validate,
)
from napari_mrissl.volumes import Volume

ALL = {"cursor", "window", "clicks", "layers"}


def test_a_recording_that_was_left_can_be_recovered_as_it_would_have_been(
    volume, poses, tmp_path, clock
):
    for folder in ("left", "committed"):
        recorder = Recorder(tmp_path / folder, volume, task="look", columns=ALL, clock=clock)
        fly(recorder, poses[:5], clock)
        recorder.pause()
        clock.wait(3)
        recorder.resume()
        recorder.click((1, 2, 3), 4)
        recorder.task = "find"
        fly(recorder, poses[5:], clock)
        recorder.leave() if folder == "left" else recorder.commit()
    left, committed = Dataset.open(tmp_path / "left"), Dataset.open(tmp_path / "committed")
    (one,) = left.unfinished()
    assert (one.poses, one.task, one.damage) == (30, "find", None)
    assert one.seconds == pytest.approx(4.5)
    assert one.identity == volume.identity
    assert abs(one.started.timestamp() - (time.time() - 4.5)) < 60
    entry = left.recover(one)
    assert left.unfinished() == []
    assert entry.content == committed.entries[0].content
    assert entry.uid == one.path.stem
    with pytest.raises(MrisslError, match="no unfinished recording"):
        left.recover(one)
    assert validate(tmp_path / "left").ok


def test_a_recovered_episode_gets_its_slices_when_the_scan_is_given(volume, poses, tmp_path, clock):
    recorders = [Recorder(tmp_path, volume, frame_size=8, clock=clock) for _ in range(2)]
    for recorder in recorders:
        fly(recorder, poses[:3], clock)
        recorder.leave()
    dataset = Dataset.open(tmp_path)
    with_scan, without = dataset.unfinished()
    assert "frame" in dataset.recover(with_scan, volume).columns
    np.testing.assert_array_equal(
        dataset.table(0, ("frame",))["frame"], render(volume, dataset.flight(0).poses, 8).values
    )
    assert "frame" not in dataset.recover(without).columns
    assert "no scan was given" in dataset.notes[-1]


def test_a_recording_recovered_elsewhere_while_it_went_on_is_kept_whole(
    volume, poses, tmp_path, monkeypatch
):
    folder = tmp_path / "set"
    recorder = Recorder(folder, volume)
    for pose in poses[:5]:
        recorder.pose(pose)
    path = folder / "open" / f"{recorder.uid}.jsonl"
    while path.read_bytes().count(b"pose") < 5:
        time.sleep(0.01)
    # Another user of a shared folder has another data directory, and sees no lock in it.
    code = (
        "from napari_mrissl.trajectories import Dataset\n"
        f"dataset = Dataset.open({str(folder)!r})\n"
        "one = dataset.unfinished()[0]\n"
        "from napari_mrissl.volumes import Volume\n"
        "import numpy as np\n"
        "voxels = np.arange(10 * 11 * 12, dtype=np.int16).reshape(10, 11, 12)\n"
        f"volume = Volume.from_stored(voxels, {volume.stored.affine.tolist()})\n"
        "print(dataset.recover(one, volume).frames)\n"
    )
    environment = os.environ | {"MRISSL_DATA_DIR": str(tmp_path / "theirs")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    time.sleep(0.3)
    for pose in poses[5:]:
        recorder.pose(pose)
    entry = recorder.commit()
    dataset = Dataset.open(folder)
    assert len(dataset) == 2
    assert entry.uid != recorder.uid
    found = dataset.table(1)["pose"]
    np.testing.assert_allclose(found[-1], poses[-1].to_row(), atol=1e-14)
    assert validate(folder).ok


def test_a_recording_cut_off_before_its_scan_was_known(volume, poses, tmp_path):
    """Killed while the identity is still being found: nothing but the identity is lost."""
    folder = tmp_path / "set"
    code = (
        "import sys, time\n"
        "import numpy as np\n"
        "from napari_mrissl.geometry import Pose\n"
        "from napari_mrissl.trajectories import Recorder\n"
        "from napari_mrissl.volumes import Volume\n"
        "Volume.identity = property(lambda self: time.sleep(600))\n"
        f"rows, affine = {rows(poses).tolist()}, {volume.stored.affine.tolist()}\n"
        "voxels = np.arange(10 * 11 * 12, dtype=np.int16).reshape(10, 11, 12)\n"
        f"recorder = Recorder({str(folder)!r}, Volume.from_stored(voxels, affine), task='look')\n"
        "for row in rows:\n"
        "    recorder.pose(Pose.from_row(np.array(row)))\n"
        "time.sleep(1)\n"
        "print('flown', flush=True)\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root) as flying:
        try:
            assert flying.stdout.readline().strip() == b"flown"
        finally:
            flying.kill()
    dataset = Dataset.open(folder)
    (one,) = dataset.unfinished()
    assert (one.identity, one.poses, one.task, one.damage) == (None, 30, "look", None)
    with pytest.raises(MrisslError, match="before it knew its scan"):
        dataset.recover(one)
    other = Volume.from_stored(np.zeros((10, 11, 12), np.int16), np.eye(4))
    with pytest.raises(MrisslError, match="another geometry"):
        dataset.recover(one, other)
    assert len(dataset.unfinished()) == 1
    entry = dataset.recover(one, volume)
    assert (entry.identity, entry.task) == (volume.identity, "look")
    np.testing.assert_allclose(dataset.table(0)["pose"][-1], poses[-1].to_row(), atol=1e-14)
    assert dataset.unfinished() == []
    assert validate(folder).ok


def test_an_unfinished_recording_can_be_put_away(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path, volume, clock=clock)
    fly(recorder, poses[:3], clock)
    assert Dataset.open(tmp_path).unfinished() == []  # it is being written
    recorder.leave()
    dataset = Dataset.open(tmp_path)
    dataset.dismiss(dataset.unfinished()[0])
    assert dataset.unfinished() == []
    assert os.listdir(tmp_path / "removed") == [f"{recorder.uid}.jsonl"]
