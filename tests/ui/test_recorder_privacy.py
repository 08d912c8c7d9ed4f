"""A recording made in the window, over a scan and layers that name their patient."""

import numpy as np
import pytest
from planted import everything, leaks, plant, token

from napari_mrissl.trajectories import Dataset
from napari_mrissl.ui.recorder import FlightRecorder
from napari_mrissl.ui.recorder.work import default_folder

pytestmark = pytest.mark.gui


def test_a_recorded_window_names_nobody(viewer, tmp_path, qtbot, caplog):
    from napari_mrissl.ui.navigator import SliceNavigator

    caplog.set_level("DEBUG")
    planted = plant(tmp_path)
    viewer.layers.clear()
    viewer.open(planted["nifti"], plugin="napari-mrissl")
    (scan,) = viewer.layers
    assert token("scan name") in scan.name
    labels = viewer.add_labels(np.zeros((20, 40, 36), np.uint8), name=token("layer"))
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator")
    recorder = FlightRecorder(viewer)
    viewer.window.add_dock_widget(recorder, name="Flight recorder")
    idle = lambda: not recorder.busy and not recorder.deck.saving  # noqa: E731
    qtbot.waitUntil(lambda: navigator.pose is not None and idle(), timeout=30_000)
    recorder.find_navigator()
    for box in recorder.record_box.kept.values():
        box.setChecked(True)
    recorder.record_box.frames.setChecked(True)
    recorder.record_box.record.click()
    for seen in (False, True):
        qtbot.wait(150)
        navigator.state.move([0.01, 0.01, 0, 0.05, 0, 0, 0])
        labels.visible = seen
    qtbot.wait(150)
    recorder.record_box.record.click()
    qtbot.waitUntil(idle, timeout=30_000)

    (entry,) = Dataset.open(default_folder()).entries
    assert "labels:1" in entry.layers
    # napari's own debugging names layers; what we and the lock say does not.
    said = [r for r in caplog.records if r.name.startswith(("napari_mrissl", "filelock"))]
    content = everything(default_folder()) + "\n".join(r.getMessage() for r in said).encode()
    assert b"labels:1" in content
    assert leaks(content, tmp_path) == []
