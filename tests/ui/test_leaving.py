"""However and whenever the viewer is left (bar G3), the process ends with 0 and nothing is lost."""

import os
import random
import subprocess
import sys
import time

import nibabel
import numpy as np
import psutil
import pytest

from napari_mrissl.directories import data_directory
from napari_mrissl.trajectories import Dataset

pytestmark = pytest.mark.gui

SCRIPT = """
import sys, time
import napari
from qtpy.QtCore import QTimer
from napari_mrissl.ui import demo, docks

scan, what, how, later = *sys.argv[1:4], float(sys.argv[4])
viewer = napari.Viewer()
(layer,) = viewer.open(scan, plugin="napari-mrissl")
navigator, segmenter = demo.open_widgets(viewer)
for title in ("Slice views", "Flight recorder"):
    docks.open_dock(viewer, title)
if what != "loading":
    demo.wait_until(lambda: not segmenter.busy, "the scan")
if what == "computing":
    segmenter.add_click((10, 10, 10), 1)
    segmenter.add_click((10, 10, 40), 2)
    segmenter.segment()
if what in ("recording", "replaying", "computing"):
    navigator.deck.record()
    moving = QTimer()
    moving.timeout.connect(lambda: navigator.state.move([0, 0, 0.02, 0.02, 0, 0, 0]))
    moving.start(10)
    demo.wait_until(lambda: navigator.deck.frames > 4, "some moves")
if what == "replaying":
    moving.stop()
    navigator.deck.stop_recording()
    demo.wait_until(lambda: navigator.deck.flight is not None, "the episode")
    navigator.deck.speed = 0.25
    navigator.deck.replay()
    assert navigator.deck.replaying
if what == "generating":
    _, recorder = viewer.window.add_plugin_dock_widget("napari-mrissl", "Flight recorder")
    recorder.maker.by_policy("walk", 100_000, 0, keep=False)
    assert recorder.maker.busy
demo.settle(later)
if how == "close":
    viewer.close()
elif how == "quit":
    QTimer.singleShot(0, viewer.close)
    napari.run()
# "drop": the script ends with everything open.
"""

ACTIVITIES = {
    "loading": "close", "computing": "drop", "recording": "quit", "replaying": "close",
    "generating": "drop",
}  # fmt: skip
WAYS = ("close", "quit", "drop")


@pytest.fixture
def scan(tmp_path):
    index = np.indices((24, 26, 28), np.int16)
    voxels = index.sum(axis=0) + 40 * (index[0] > 12)
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels.astype(np.int16), np.diag([2, 2, 2, 1])), path)
    return path


def leave(scan, what: str, how: str, later: float) -> None:
    """Leave a viewer that is busy, and look at what is left of it."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(scan), what, how, str(later)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=dict(os.environ),
        start_new_session=True,
    )  # fmt: skip
    try:
        _, complaints = child.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    assert child.returncode == 0, complaints
    assert "Traceback" not in complaints
    deadline = time.monotonic() + 5
    while left := of_session(child.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    if what not in ("recording", "replaying", "computing"):
        return
    (folder,) = (data_directory() / "flights").iterdir()
    dataset = Dataset.open(folder)
    # A flight is kept whole on the way out, without asking to be recovered next time.
    newest = dataset.flight(len(dataset) - 1)
    assert len(newest) >= 2
    assert newest.poses[-1] != newest.poses[0]
    assert not list((folder / "open").iterdir())


def of_session(number: int) -> list[str]:
    """Processes that a session leader left behind."""
    found = []
    for process in psutil.process_iter(["name", "status"]):
        try:
            if os.getsid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.info["name"])
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.mark.parametrize("what", ACTIVITIES)
def test_leaving_in_the_middle(scan, what):
    leave(scan, what, ACTIVITIES[what], 0.05)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("what", ACTIVITIES)
def test_leaving_at_any_moment(scan, what, how, monkeypatch, tmp_path):
    """Four times each, 60 in all, after a random while."""
    chance = random.Random(f"{what} {how}")
    for attempt in range(4):
        monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / f"data {attempt}"))
        later = chance.uniform(0, 0.6)
        print(what, how, attempt, f"{later:.3f} s")
        leave(scan, what, how, later)
