"""Recording: what was flown is there, also after a kill."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import FlightRecorder, Journal, journal, read_flight

_ROOT = Path(__file__).resolve().parents[2]


def test_a_recording_becomes_a_flight(volume, poses, tmp_path):
    recorder = FlightRecorder(tmp_path / "a" / "b", volume, made="by hand")
    repeated = [pose for pose in poses for _ in range(2)]
    assert [recorder.record(pose) for pose in repeated] == list(range(60))
    assert recorder.frames == 60
    assert os.listdir(tmp_path / "a" / "b") == ["journal.jsonl"]
    flight = recorder.stop()
    assert os.listdir(tmp_path / "a" / "b") == ["flight.jsonl"]
    assert flight.identity == volume.identity
    assert flight.info["made"] == "by hand"
    np.testing.assert_allclose(
        [pose.to_row() for pose in flight.poses], [pose.to_row() for pose in repeated], atol=1e-15
    )
    assert (np.diff(flight.times_ns) >= 0).all()
    with pytest.raises(MrisslError, match="closed"):
        recorder.record(poses[0])
    assert len(recorder.stop()) == 60
    assert len(read_flight(tmp_path / "a" / "b")) == 60


def test_an_existing_flight_is_never_touched(volume, poses, tmp_path):
    recorder = FlightRecorder(tmp_path, volume)
    with pytest.raises(MrisslError, match="flight already"):
        FlightRecorder(tmp_path, volume)
    recorder.record(poses[0])
    recorder.stop()
    with pytest.raises(MrisslError, match="flight already"):
        FlightRecorder(tmp_path, volume)
    assert len(read_flight(tmp_path)) == 1


def test_an_empty_recording_is_an_empty_flight(volume, tmp_path):
    assert len(FlightRecorder(tmp_path, volume).stop()) == 0


def test_a_refusing_disk_is_told(volume, poses, tmp_path, monkeypatch):
    told = []
    recorder = FlightRecorder(tmp_path, volume, on_error=told.append)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "_write", refuse)

    def keep_recording():
        for _ in range(2000):
            recorder.record(poses[0])
            time.sleep(0.01)

    with pytest.raises(MrisslError, match="No space left"):
        keep_recording()
    with pytest.raises(MrisslError, match="No space left"):
        recorder.stop()
    assert len(told) == 1


def test_a_folder_that_cannot_be_made_is_told(volume, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MrisslError):
        FlightRecorder(tmp_path / "file" / "flight", volume)


_FLY = """
import sys, time
import numpy as np
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import FlightRecorder
from napari_mrissl.volumes import Volume
volume = Volume.from_stored(np.zeros((20, 20, 20), np.uint8), np.eye(4))
recorder = FlightRecorder(sys.argv[1], volume)
n = 0
while True:
    recorder.record(Pose(np.array([n, 0.5, 0.25]), np.eye(3), 100.0))
    n += 1
    print(n, time.monotonic(), flush=True)
    time.sleep(0.005)
"""


def killed_after(seconds, folder):
    """Kill a recording process; how many poses it had made one second before."""
    with subprocess.Popen(
        [sys.executable, "-c", _FLY, str(folder)], stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as flying:
        lines = [flying.stdout.readline()]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines.append(flying.stdout.readline())
        flying.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        lines += flying.stdout.readlines()
    stamps = [float(line.split()[1]) for line in lines if line.endswith("\n")]
    return sum(stamp <= killed - 1 for stamp in stamps), len(stamps)


def check_kills(times, tmp_path):
    dice = random.Random(times)
    for number in range(times):
        folder = tmp_path / str(number)
        before, all_made = killed_after(dice.uniform(0.1, 2.0), folder)
        assert os.listdir(folder) == ["journal.jsonl"]
        try:
            flight = read_flight(folder)
        except MrisslError:
            assert before == 0
            continue
        # One more may have been recorded than was printed.
        assert before <= len(flight) <= all_made + 1
        indices = [pose.center[0] for pose in flight.poses]
        assert indices == list(range(len(flight)))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_kill_costs_at_most_a_second(tmp_path):
    check_kills(5, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_many_kills_cost_at_most_a_second_each(tmp_path):
    check_kills(25, tmp_path)


def test_appending_never_waits_for_the_disk(tmp_path, monkeypatch):
    """A disk that hangs holds up the writer's thread only."""
    hang = time.sleep
    started = []

    def slow(_):
        started.append(True)
        hang(1.5)

    opened = Journal(tmp_path / "j", {})
    opened.append({"n": -1})
    monkeypatch.setattr(journal.os, "fsync", slow)
    deadline = time.monotonic() + 20
    while not started and time.monotonic() < deadline:
        opened.append({"n": 0})
        hang(0.01)
    for n in range(100):
        opened.append({"n": n})
    # All hundred were taken while the writer was still in its first sync.
    assert len(started) == 1
    opened.close()
