"""Where a dataset may lie: odd names work, bad places are told at once, in a sentence."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Dataset, Recorder, validate
from napari_mrissl.volumes import atomic

_ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "with space", "données", "数据集", "ναός\u0301", "🧠", ";$(touch owned)", "`id`", "a'b\"c",
    "-rf", "%s%n", "trailing.", ".hidden", "x" * 200, "new\nline", "tab\t",
]  # fmt: skip


def record(folder, volume, poses):
    recorder = Recorder(folder, volume, task="look")
    try:
        for pose in poses[:3]:
            recorder.pose(pose)
        return recorder.commit()
    finally:
        recorder.leave()


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_names(name, volume, poses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record(Path(name), volume, poses)
    record(tmp_path / name, volume, poses)
    assert len(Dataset.open(tmp_path / name)) == 2
    assert validate(name).ok
    assert os.listdir(tmp_path) == [name]


def told(folder, volume, poses):
    with pytest.raises(MrisslError) as error:
        record(folder, volume, poses)
    said = str(error.value)
    assert len(said) < 200 + len(Path(folder).name)
    assert str(Path(folder).parent) not in said
    return said


def test_places_that_cannot_be(volume, poses, tmp_path):
    (tmp_path / "file").write_text("mine", "utf-8")
    assert "could not be" in told(tmp_path / "file", volume, poses)
    assert "could not be" in told(tmp_path / "file" / "below", volume, poses)
    assert told(tmp_path / ("x" * 300), volume, poses)
    assert told(tmp_path / "nul\0", volume, poses)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "deep")
    assert told(tmp_path / "dangling", volume, poses)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert told(tmp_path / "loop", volume, poses)
    assert (tmp_path / "file").read_text("utf-8") == "mine"


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.ESTALE])
def test_a_place_that_cannot_be_written(code, dataset, volume, poses, monkeypatch):
    before = Dataset.open(dataset.folder).entries

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic, "_create", refuse)
    assert os.strerror(code) in told(dataset.folder, volume, poses)
    monkeypatch.undo()
    assert Dataset.open(dataset.folder).entries == before
    assert validate(dataset.folder).unfinished == 1


def test_a_folder_deleted_while_recording(dataset, volume, poses):
    recorder = Recorder(dataset.folder, volume)
    for pose in poses:
        recorder.pose(pose)
    shutil.move(dataset.folder, dataset.folder.with_name("unplugged"))
    with pytest.raises(MrisslError, match="no dataset here"):
        recorder.commit()
    assert not dataset.folder.exists()
    shutil.move(dataset.folder.with_name("unplugged"), dataset.folder)
    assert recorder.commit().frames >= 1
    assert validate(dataset.folder).ok


_FULL = """
import resource, sys
import numpy as np
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Dataset, Recorder, validate
from napari_mrissl.volumes import Volume
voxels = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
volume = Volume.from_stored(voxels, np.eye(4))
recorder = Recorder(sys.argv[1], volume, frame_size=64)
recorder.pose(Pose(np.full(3, 4.0), np.eye(3), 9.0))
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))
try:
    recorder.commit()
    sys.exit(6)
except MrisslError as error:
    assert "File too large" in str(error), error
assert len(Dataset.open(sys.argv[1])) == 0
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert recorder.commit().frames >= 1
assert validate(sys.argv[1]).ok
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_a_disk_that_is_full_for_a_while(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _FULL, tmp_path / "set"],
        cwd=_ROOT, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
