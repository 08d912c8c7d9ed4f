"""One writing process a dataset: the second is told who, a killed one holds nothing."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from napari_mrissl.directories import data_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Dataset, Recorder, validate
from napari_mrissl.trajectories.locks import DatasetLock, holder

_ROOT = Path(__file__).resolve().parents[2]
_HOLD = """
import os, sys, time
from napari_mrissl.trajectories.locks import DatasetLock
lock = DatasetLock(sys.argv[1])
print(os.getpid(), flush=True)
sys.stdin.readline()
"""
# Each process adds as many episodes as it can get the lock for, and notes when it was alone.
_APPEND = """
import sys, time
import numpy as np
from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Dataset, flight_of
from napari_mrissl.trajectories.locks import locked
from napari_mrissl.volumes import Volume
folder, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
volume = Volume.from_stored(np.zeros((4, 4, 4), np.uint8), np.eye(4))
flight = flight_of(volume, [Pose(np.zeros(3), np.eye(3), 9.0)] * 3, 20)
dataset, added, refused = Dataset.open(folder), 0, 0
print("ready", flush=True)
sys.stdin.readline()
for n in range(times):
    try:
        with locked(folder):
            with open(sys.argv[4], "a") as log:
                log.write(f"+{name}\\n"); log.flush()
                dataset.append(flight, task=f"{name} {n}")
                log.write(f"-{name}\\n")
        added += 1
    except MrisslError as error:
        assert "another process" in str(error), error
        refused += 1
print(added, refused)
"""


@pytest.fixture
def holding(tmp_path):
    """A process that holds the lock of a dataset."""
    Dataset.create(tmp_path / "set")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path / "set"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=_ROOT,
    ) as process:
        assert int(process.stdout.readline()) == process.pid
        yield process
        process.kill()


def test_the_second_is_refused_soon_and_told_who_and_since_when(holding, volume, tmp_path):
    folder = tmp_path / "set"
    began = time.monotonic()
    with pytest.raises(MrisslError) as told:
        Recorder(folder, volume)
    # The limit is one second; there is room for a busy machine.
    assert time.monotonic() - began < 5
    assert f"process {holding.pid}, since {time.strftime('%Y-%m-%d')}" in str(told.value)
    assert holder(folder) == holding.pid
    dataset = Dataset.open(folder)
    assert dataset.unfinished() == []
    for change in (dataset.undo_last, dataset.redo_last, lambda: dataset.set_task("x")):
        with pytest.raises(MrisslError, match="another process"):
            change()
    assert sorted(os.listdir(folder)) == ["dataset.json"]


def test_a_killed_process_holds_nothing(holding, volume, tmp_path):
    holding.kill()
    holding.wait()
    assert holder(tmp_path / "set") is None
    Recorder(tmp_path / "set", volume).discard()


def test_the_lock_is_one_for_all_names_of_a_folder_and_not_in_it(holding, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "set")
    for name in ("link", "set/../set", "./set"):
        with pytest.raises(MrisslError, match="another process"):
            DatasetLock(f"{tmp_path}/{name}")
    assert os.listdir(tmp_path / "set") == ["dataset.json"]
    assert str(tmp_path) not in "".join(os.listdir(data_directory() / "locks"))


def test_within_a_process_several_may_hold_it_and_the_last_gives_it_back(tmp_path):
    locks = [DatasetLock(tmp_path) for _ in range(3)]
    worker = threading.Thread(target=locks[0].release)
    worker.start()
    worker.join()
    locks[0].release()
    assert holder(tmp_path) == os.getpid()
    for lock in locks[1:]:
        lock.release()
    assert holder(tmp_path) is None


def test_a_data_directory_that_cannot_be_used_is_told(tmp_path, monkeypatch, volume):
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(MrisslError, match="MRISSL_DATA_DIR"):
        Recorder(tmp_path / "set", volume)
    assert not (tmp_path / "set").exists()


def race(tmp_path, times):
    Dataset.create(tmp_path / "set")
    log = tmp_path / "log"
    command = [sys.executable, "-c", _APPEND, tmp_path / "set"]
    processes = [
        subprocess.Popen(
            [*command, name, str(times), log],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            cwd=_ROOT,
        )
        for name in "ab"
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    answers = [process.communicate("go\n", timeout=600)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    counts = [list(map(int, answer.split())) for answer in answers]
    lines = log.read_text("utf-8").splitlines()
    # Whoever came in went out before anybody else came in.
    assert [line[1] for line in lines[::2]] == [line[1] for line in lines[1::2]]
    assert {line[0] for line in lines[::2]} <= {"+"}
    added = sum(count[0] for count in counts)
    assert len(lines) == 2 * added
    entries = Dataset.open(tmp_path / "set").entries
    assert len(entries) == added
    assert [entry.task[0] for entry in entries] == [line[1] for line in lines[::2]]
    assert validate(tmp_path / "set").ok
    print(json.dumps({"added": added, "refused": sum(count[1] for count in counts)}))
    return added


def test_two_processes_never_interleave(tmp_path):
    assert race(tmp_path, 5) > 0


@pytest.mark.slow
def test_two_processes_never_interleave_in_a_hundred_tries(tmp_path):
    assert race(tmp_path, 100) > 100
