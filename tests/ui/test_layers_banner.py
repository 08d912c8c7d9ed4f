"""The banner over the canvas: both readings of a scan, for as long as it is shown."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from napari_mrissl.ui.commands import toggle_banner
from napari_mrissl.ui.layers import add_labels, add_volume, toggle_readings
from napari_mrissl.volumes import Volume

SAID = "nibabel reads axes LAS, ITK programs read axes LPS, up to 30 mm apart"
DOUBTFUL = Volume.from_stored(
    np.random.default_rng(0).integers(0, 99, (9, 8, 7)).astype(np.uint8),
    np.eye(4),
    name="doubtful",
    notes=(SAID, "the scan is one slice thick"),
    disagreements=(SAID,),
)
CLEAR = Volume.from_stored(DOUBTFUL.data.copy(), np.eye(4), name="clear")


def shown(viewer):
    overlay = viewer.canvas.overlays.get("readings")
    return " ".join(overlay.text.split()) if overlay is not None and overlay.visible else ""


def test_it_comes_with_the_scan_and_goes_with_it():
    viewer = ViewerModel()
    clear = add_volume(viewer, CLEAR)
    assert shown(viewer) == ""
    doubtful = add_volume(viewer, DOUBTFUL)
    assert shown(viewer) == f"doubtful: {SAID}."
    doubtful.visible = False
    assert shown(viewer) == ""
    doubtful.visible = True
    labels = add_labels(viewer, DOUBTFUL, np.zeros(DOUBTFUL.shape, np.uint8))
    assert shown(viewer) == f"doubtful: {SAID}."
    viewer.layers.remove(doubtful)
    # Labels of a scan lie where the scan lies.
    assert shown(viewer) == f"doubtful: {SAID}."
    viewer.layers.remove(labels)
    assert shown(viewer) == ""
    assert list(viewer.layers) == [clear]
    clear.visible = False


def test_the_lines_fit_on_a_small_canvas():
    viewer = ViewerModel()
    add_volume(viewer, DOUBTFUL)
    assert max(map(len, viewer.canvas.overlays["readings"].text.splitlines())) <= 60


def test_it_is_hidden_and_shown_again_and_new_scans_bring_it_back():
    viewer = ViewerModel()
    layer = add_volume(viewer, DOUBTFUL)
    assert toggle_readings(viewer)
    assert shown(viewer) == ""
    layer.visible = False
    layer.visible = True
    assert shown(viewer) == ""
    assert toggle_readings(viewer)
    assert shown(viewer)
    toggle_readings(viewer)
    viewer.layers.remove(layer)
    add_volume(viewer, DOUBTFUL)
    assert shown(viewer)


def test_without_doubt_there_is_nothing_to_hide():
    viewer = ViewerModel()
    add_volume(viewer, CLEAR)
    assert not toggle_readings(viewer)
    assert shown(viewer) == ""


@pytest.mark.gui
def test_a_file_opened_in_napari_shows_it_and_warns(make_napari_viewer_proxy, tmp_path, qtbot):
    import nibabel

    image = nibabel.Nifti1Image(np.asarray(DOUBTFUL.data), None)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "nowhere.nii")
    viewer = make_napari_viewer_proxy(show=True)
    notification_manager.records.clear()
    (layer,) = viewer.open(tmp_path / "nowhere.nii", plugin="napari-mrissl")
    assert "left and right" in shown(viewer) or "ITK programs read" in shown(viewer)
    warned = [r for r in notification_manager.records if "ITK programs" in r.message]
    assert [str(r.severity) for r in warned] == ["warning"]
    toggle_banner()
    assert shown(viewer) == ""
    viewer.layers.remove(layer)
    toggle_banner()
    assert "same place" in notification_manager.records[-1].message
