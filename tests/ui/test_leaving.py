"""However the viewer is left, the process ends with 0 and nothing on disk is torn."""

import os
import subprocess
import sys

import pytest

from napari_mrissl.directories import data_directory
from napari_mrissl.trajectories import Dataset

pytestmark = pytest.mark.gui

SCRIPT = """
import sys
import napari, numpy as np
from qtpy.QtCore import QTimer
from napari_mrissl.ui import demo
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.volumes import Volume

index = np.indices((24, 26, 28), np.float32)
volume = Volume.from_stored(index.sum(axis=0) + 40 * (index[0] > 12), np.diag([2, 2, 2, 1.0]))
viewer = napari.Viewer()
add_volume(viewer, volume)
navigator, segmenter = demo.open_widgets(viewer)
demo.wait_until(lambda: not segmenter.busy, "the scan")
navigator.deck.record()
navigator.state.move([0, 0, 0.1, 0.2, 0, 0, 0])
segmenter.add_click((10, 10, 10), 1)
segmenter.add_click((10, 10, 40), 2)
segmenter.segment()
how = sys.argv[1]
if how == "close":
    viewer.close()
elif how == "quit":
    QTimer.singleShot(0, viewer.close)
    napari.run()
elif how == "settled":
    demo.wait_until(lambda: not segmenter.busy, "labels")
    viewer.close()
# "drop": the script ends with everything open.
"""


@pytest.mark.parametrize("how", ["close", "quit", "settled", "drop"])
def test_leaving_while_recording_and_segmenting(how):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        capture_output=True, text=True, timeout=240, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = (data_directory() / "flights").iterdir()
    assert len(Dataset.open(folder).flight(0)) >= 2
    assert not list((folder / "open").iterdir())
