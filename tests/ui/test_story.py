"""A researcher's first hour, in one viewer with real widgets, mouse and keys."""

import navigator_actions as user
import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt

from napari_mrissl.geometry import apply_affine
from napari_mrissl.segmentation import read_prompts, segment
from napari_mrissl.trajectories import Dataset
from napari_mrissl.ui.layers import labels_array, volume_of
from napari_mrissl.volumes import read

pytestmark = pytest.mark.gui


def key(canvas, code, modifiers=user.PLAIN):
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        user.QApplication.sendEvent(canvas, user.QKeyEvent(kind, code, modifiers))


def settled(segmenter, qtbot):
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not segmenter.busy, timeout=120_000)


def click_at(navigator, qtbot, row, column):
    """A real click on the slice canvas at mm (row, column) from its middle."""
    canvas = navigator.view.canvas
    zoom = navigator.slice_viewer.scene.camera.zoom
    x, y = user.middle(canvas)
    user.click(qtbot, canvas, (x + column * zoom, y + row * zoom))
    pose = navigator.pose
    return pose.center + column * pose.right - row * pose.up


def test_the_first_hour(make_napari_viewer_proxy, qtbot, tmp_path):
    viewer = make_napari_viewer_proxy(show=True)

    # Open the sample.
    (layer,) = viewer.open_sample("napari-mrissl", "mni152_2mm")
    scan = volume_of(layer)
    _, segmenter = viewer.window.add_plugin_dock_widget("napari-mrissl", "Click segmentation")
    _, navigator = viewer.window.add_plugin_dock_widget("napari-mrissl", "Slice navigator")
    settled(segmenter, qtbot)
    canvas = navigator.view.canvas

    # Fly by mouse and key while recording, then replay.
    navigator.flight_panel.record.click()
    x, y = user.middle(canvas)
    user.drag(qtbot, canvas, (x, y), (x + 12, y + 6))
    user.wheel(qtbot, canvas, (x, y), 2)
    user.drag(qtbot, canvas, (x, y), (x + 20, y), modifiers=user.SHIFT)
    key(canvas, Qt.Key.Key_K)
    flown = navigator.pose
    navigator.flight_panel.record.click()
    deck = navigator.deck
    qtbot.waitUntil(lambda: not deck.saving and not deck.shelf.busy, timeout=20_000)
    flight = Dataset.open(deck.shelf.folder).flight(0)
    assert len(flight) >= 2
    np.testing.assert_allclose(flight.poses[-1].to_row(), flown.to_row(), atol=1e-12)
    assert flight.identity == scan.identity
    navigator.state.reset()
    navigator.flight_panel.replay.click()
    qtbot.waitUntil(lambda: not navigator.deck.replaying, timeout=20_000)
    np.testing.assert_allclose(navigator.pose.to_row(), flown.to_row(), atol=1e-9)

    # Click on the oblique slice; the labels come by themselves.
    navigator.state.reset()
    segmenter.mark_buttons.click.click()
    qtbot.wait(600)  # the panel looks for a navigator twice a second
    placed = [click_at(navigator, qtbot, -14, 20), click_at(navigator, qtbot, 6, -22)]
    segmenter.choose_class(2)
    placed += [click_at(navigator, qtbot, 0, 95), click_at(navigator, qtbot, -90, 0)]
    segmenter.segment()
    qtbot.waitUntil(lambda: segmenter.result_layer is not None, timeout=120_000)
    settled(segmenter, qtbot)
    session = segmenter.controller.session
    marked = np.array([click[:3] for click in session.state.clicks])
    np.testing.assert_allclose(marked, placed, atol=navigator.view.scale * 2)
    assert [click[3] for click in session.state.clicks] == [1, 1, 2, 2]
    labels = np.array(labels_array(segmenter.result_layer))
    assert set(np.unique(labels)) == {1, 2}

    # Save clicks and labels, reload both, compare with the one-call segmentation.
    segmenter.save_prompts(tmp_path / "clicks.json")
    segmenter.save_segmentation(tmp_path / "labels.nii.gz")
    settled(segmenter, qtbot)
    saved = nib.load(tmp_path / "labels.nii.gz")
    np.testing.assert_array_equal(saved.affine, scan.stored.affine)
    again = read(tmp_path / "labels.nii.gz")
    np.testing.assert_array_equal(again.data, labels)
    alone = segment(scan, read_prompts(tmp_path / "clicks.json"), segmenter.settings)
    np.testing.assert_array_equal(alone.labels, labels)
    first = tuple(np.rint(apply_affine(scan.to_index, placed[0])).astype(int))
    assert labels[first] == 1

    # Rename, hide, delete; close the panel and open it again: the clicks are still there.
    layer.name = "renamed"
    layer.visible = False
    viewer.layers.remove(segmenter.result_layer)
    segmenter.undo()
    settled(segmenter, qtbot)
    assert len(session.state.clicks) == 3
    segmenter.redo()
    settled(segmenter, qtbot)
    viewer.window.remove_dock_widget(segmenter.parentWidget())
    _, segmenter = viewer.window.add_plugin_dock_widget("napari-mrissl", "Click segmentation")
    settled(segmenter, qtbot)
    assert len(segmenter.controller.session.state.clicks) == 4
    segmenter.segment()
    qtbot.waitUntil(lambda: segmenter.result_layer is not None, timeout=60_000)
    settled(segmenter, qtbot)
    np.testing.assert_array_equal(labels_array(segmenter.result_layer), labels)
