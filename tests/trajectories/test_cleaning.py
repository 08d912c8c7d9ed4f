"""What recordings and datasets tell of people, and how what was taken back is gone for good."""

import json
import os

import numpy as np
import pytest
from flight_datasets import fly

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import (
    Dataset,
    Recorder,
    validate,
)

ALL = {"cursor", "window", "clicks", "layers"}


def test_a_recording_tells_nothing_private(volume, poses, tmp_path, clock):
    recorder = Recorder(tmp_path / "secret", volume, columns=ALL, clock=clock)
    fly(recorder, poses[:3], clock)
    recorder.leave()
    folder = tmp_path / "secret"
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    Dataset.open(folder).recover(Dataset.open(folder).unfinished()[0])
    content += b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for private in ("PATIENT", "private", "secret", str(tmp_path), os.uname().nodename):
        assert private.encode() not in content
    header = json.loads(content.split(b"\n")[0][content.index(b'{"format":"napari-mrissl j') :])
    assert set(header["header"]["info"]) == {"shape", "spacing_mm", "affine", "frame", "software"}


def test_a_cleaned_dataset_tells_nothing_that_was_taken_back(volume, poses, tmp_path):
    folder = tmp_path / "set"
    for task in ("find it for Mustermann", "look", "discarded for Musterfrau"):
        recorder = Recorder(folder, volume, task=task, frame_size=8)
        recorder.pose(poses[len(task)])
        recorder.commit(undone="discarded" in task)
    dataset = Dataset.open(folder)
    frames = dataset.table(1, ("frame",))["frame"][-1:].tobytes()
    dataset.set_task("find it", 0)
    assert dataset.tasks == ("", "look", "discarded for Musterfrau", "find it")
    left = Recorder(folder, volume, task="cut off for Mustermann")
    left.pose(poses[0])
    with pytest.raises(MrisslError, match="is being recorded"):
        dataset.clean()
    left.leave()

    def found(word):
        # Parquet keeps an entry's text as it is, and compresses pictures.
        return [p for p in folder.rglob("*") if p.is_file() and word in p.read_bytes()]

    assert len(found(b"Mustermann")) >= 2
    assert len(found(b"Musterfrau")) >= 2
    before = [dataset.table(n) for n in range(2)]
    assert len(list((folder / "removed").iterdir())) == 2
    gone = Dataset.open(folder).clean()
    assert len(gone) == 4
    assert f"open/{left.uid}.jsonl" in gone
    assert (found(b"Mustermann"), found(b"Musterfrau")) == ([], [])
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    dataset = Dataset.open(folder)
    assert names == {"dataset.json", *(entry.file for entry in dataset.entries)}
    assert dataset.tasks == ("", "look", "", "find it")
    for n, table in enumerate(before):
        np.testing.assert_array_equal(dataset.table(n)["pose"], table["pose"])
    assert dataset.table(1, ("frame",))["frame"][-1:].tobytes() == frames
    assert (dataset.undone, dataset.unfinished()) == ([], [])
    assert validate(folder).ok
    assert Dataset.open(folder).clean() == ["dataset.previous.json"]
