"""The pixels of napari's real canvas (bar O2): the marker of the patient's left is on the left."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_mrissl.ui.layers import add_volume, edge_letters, orient_camera, show_view, to_napari
from napari_mrissl.ui.layers import orientation as orientation_module
from napari_mrissl.ui.preferences import Preferences

pytestmark = pytest.mark.gui

CENTER = np.array([11.0, -7.0, 23.0])
VALUES = {"L": 250, "A": 170, "S": 110}
SEEN = {"axial": "LA", "coronal": "LS", "sagittal": "AS"}


def blob(picture, value) -> np.ndarray:
    """Centre (row, column) of the largest patch of about one grey value."""
    grey = picture[..., :3].astype(float).mean(axis=-1)
    patches, count = ndimage.label(np.abs(grey - value) < 12)
    assert count, f"nothing of grey {value} on the canvas"
    sizes = ndimage.sum_labels(np.ones_like(grey), patches, np.arange(1, count + 1))
    return np.array(ndimage.center_of_mass(patches == 1 + int(np.argmax(sizes))))


@pytest.fixture
def plain_viewer(make_napari_viewer, monkeypatch):
    """A real viewer without letters, so that only the scan is on the canvas."""
    monkeypatch.setattr(orientation_module, "preferences", lambda: Preferences(letters=False))
    return make_napari_viewer(show=True)


def check_views(viewer, volume, convention="neurological") -> None:
    viewer.layers.clear()
    add_volume(viewer, volume, contrast_limits=(0, 255))
    orient_camera(viewer, convention)
    for view, letters in SEEN.items():
        show_view(viewer, view)
        viewer.dims.point = tuple(to_napari(CENTER))
        picture = viewer.screenshot(canvas_only=True, flash=False)
        middle = np.array(picture.shape[:2]) / 2
        sides = edge_letters(viewer)
        for letter in letters:
            row, column = (blob(picture, VALUES[letter]) - middle) / middle.min()
            side = next(name for name, found in sides.items() if found == letter)
            toward, across = (column, row) if side in ("left", "right") else (row, column)
            assert (toward < -0.2) == (side in ("left", "top")), (view, letter)
            assert abs(toward) > 0.2
            assert abs(across) < 0.12
            if letter != "L" and view != "sagittal":
                assert side == "top"


def test_canvas_shows_left_on_the_stated_side(plain_viewer, geometries, marker_volume, no_warnings):
    with no_warnings():
        for number, geometry in enumerate(geometries[5::24]):
            convention = ("neurological", "radiological")[number % 2]
            check_views(plain_viewer, marker_volume(geometry), convention)
            left = {"neurological": "left", "radiological": "right"}[convention]
            show_view(plain_viewer, "axial")
            assert edge_letters(plain_viewer)[left] == "L"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("convention", ["neurological", "radiological"])
def test_canvas_of_all_192_geometries(
    plain_viewer, geometries, marker_volume, no_warnings, convention, part
):
    with no_warnings():
        for geometry in geometries[part * 24 : part * 24 + 24]:
            check_views(plain_viewer, marker_volume(geometry), convention)


@pytest.mark.parametrize("degrees", [0.0, 17.0])
@pytest.mark.parametrize("convention", ["neurological", "radiological"])
def test_3d_is_no_mirror_image(
    plain_viewer, make_geometry, marker_volume, no_warnings, degrees, convention
):
    viewer = plain_viewer
    volume = marker_volume(make_geometry((2, 0, 1), (-1, 1, -1), degrees=degrees))
    with no_warnings():
        add_volume(viewer, volume, contrast_limits=(0, 255))
        orient_camera(viewer, convention)
        for view in SEEN:
            show_view(viewer, view)
            viewer.dims.ndisplay = 3
            viewer.reset_view()
            axes = np.array(viewer.dims.order)
            camera = viewer.scene.camera
            toward_eye, up = np.zeros(3), np.zeros(3)
            toward_eye[axes] = -np.array(camera.view_direction)
            up[axes] = camera.up_direction
            right = np.cross(up[::-1], toward_eye[::-1])
            picture = viewer.screenshot(canvas_only=True, flash=False)
            middle = np.array(picture.shape[:2]) / 2
            letter, offset = ("L", (-15, 0, 0)) if view != "sagittal" else ("A", (0, 15, 0))
            row, column = (blob(picture, VALUES[letter]) - middle) / middle.min()
            # A right-handed screen: right = up x toward the observer, in RAS.
            assert np.sign(column) == np.sign(right @ offset)
            assert abs(column) > 0.2
            assert abs(row) < 0.12


def test_letters_are_on_the_canvas_and_follow_the_view(
    make_napari_viewer, make_geometry, marker_volume
):
    viewer = make_napari_viewer(show=True)
    add_volume(viewer, marker_volume(make_geometry()), contrast_limits=(0, 255))
    overlays = viewer.canvas.overlays
    assert (overlays["patient_left"].text, overlays["patient_right"].text) == ("L", "R")
    show_view(viewer, "sagittal")
    assert overlays["patient_bottom"].text == "I"
    assert overlays["patient_top"].text == "S\nneurological"
    orient_camera(viewer, "radiological")
    assert (overlays["patient_left"].text, overlays["patient_right"].text) == ("A", "P")
    assert overlays["patient_top"].text == "S\nradiological"
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert picture[picture.shape[0] // 2 - 30 : picture.shape[0] // 2 + 30, :40].max() > 100
    viewer.dims.ndisplay = 3
    assert not overlays["patient_left"].visible
