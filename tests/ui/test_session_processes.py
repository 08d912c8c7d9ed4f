"""Two real processes with one scan: each keeps its own session, and SIGKILL loses two seconds."""

import os
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest

from napari_mrissl.ui.session import store

pytestmark = pytest.mark.gui

SCRIPT = """
import sys, threading
import napari
from qtpy.QtCore import QTimer
from napari_mrissl.ui.docks import open_dock

viewer = napari.Viewer()
viewer.open(sys.argv[1], plugin="napari-mrissl")
_, navigator = open_dock(viewer, "Slice navigator")
lines = []
threading.Thread(target=lambda: lines.extend(iter(sys.stdin.readline, "")), daemon=True).start()

def obey():
    while lines:
        gamma = float(lines.pop(0))
        viewer.layers[0].gamma = gamma
        print("done", flush=True)

timer = QTimer()
timer.timeout.connect(obey)
timer.start(20)
print("ready", flush=True)
napari.run()
"""


def start(scan):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(scan)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        encoding="utf-8", env=os.environ.copy(),
    )  # fmt: skip


def tell(child, gamma):
    child.stdin.write(f"{gamma}\n")
    child.stdin.flush()
    assert child.stdout.readline() == "done\n"


def gammas(name):
    return [layer.look.gamma for layer in store.read_session(name).record.layers]


def written(gamma, patience=60):
    """The session in which a layer has this gamma, once one is on disk."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        for path in store.sessions_directory().glob("*/session.json"):
            if gamma in gammas(path.parent.name):
                return path.parent.name
        time.sleep(0.05)
    raise AssertionError(f"no session with {gamma}")


def test_two_processes_and_a_kill(tmp_path):
    scan = tmp_path / "one.nii.gz"
    voxels = np.random.default_rng(1).integers(0, 250, (12, 14, 16)).astype(np.int16)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(scan)
    children = [start(scan), start(scan)]
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        tell(children[0], 0.25)
        tell(children[1], 0.5)
        first, second = written(0.25), written(0.5)
        assert first != second
        # Both windows live: neither session is anybody's to take.
        assert store.last_session() is None
        store.remove_old()
        children[0].send_signal(signal.SIGKILL)
        children[0].wait()
        assert store.last_session().name == first
        tell(children[1], 0.75)
        assert written(0.75) == second
        assert gammas(first) == [0.25]
    finally:
        for child in children:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()
    assert {one.name for one in store.stored_sessions()} == {first, second}
