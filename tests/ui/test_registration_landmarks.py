"""Landmarks placed in the registration panel: numbered, counted, begun with, and measured."""

import numpy as np
import pytest
from registration_actions import QUICK, SHIFT_MM, affine, fixed, moving, settle

from napari_mrissl.ui.explorer.landmark_pair import landmarks_layer
from napari_mrissl.ui.layers import UNITS, add_volume, to_napari
from napari_mrissl.ui.registration import RegistrationPanel
from napari_mrissl.ui.registration.landmarks_box import words_of
from napari_mrissl.ui.registration.pair_box import FIXED, MOVING
from napari_mrissl.volumes import Volume

pytestmark = [pytest.mark.gui, pytest.mark.timeout(900)]

PLACES = np.array([(3.0, 2.0, 1.0), (-8.0, 5.0, 4.0), (1.0, -9.0, 6.0), (6.0, 7.0, -8.0)])


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    made = make_napari_viewer_proxy(show=True)
    add_volume(made, fixed())
    add_volume(made, moving())
    return made


@pytest.fixture
def panel(viewer):
    made = RegistrationPanel(viewer)
    viewer.window.add_dock_widget(made, name="Registration")
    settle(made)
    made.settings_box.show_settings(QUICK)
    return made


def numbers(layer) -> list[int]:
    return layer.features["number"].tolist()


def test_landmarks_are_placed_counted_begun_with_and_measured(panel, viewer):
    box, pair = panel.landmarks_box, panel.pair
    begin = QUICK.model_copy(update={"initial": "landmarks", "deformable": False})
    panel.settings_box.show_settings(begin)
    assert panel.settings_box.initial.currentData() == "landmarks"
    assert panel.settings_box.settings == begin
    panel.register()
    settle(panel)
    assert "at least 3 pairs of points" in panel.status.message.text()
    assert not box.said.isVisibleTo(box)

    # One scan is seen at a time, and clicks go into its points.
    scans = viewer.layers["fixed scan"], viewer.layers["moving scan"]
    box.buttons[FIXED].click()
    points = pair.side(FIXED).points
    assert [points.name, pair.side(MOVING).points.name] == [
        "landmarks of fixed scan",
        "landmarks of moving scan",
    ]
    assert [scan.visible for scan in scans] == [True, False]
    assert (viewer.layers.selection.active, points.mode) == (points, "add")
    for place in to_napari(PLACES):
        points.add(place)
    assert numbers(points) == [1, 2, 3, 4]
    assert points.text.values.tolist() == ["1", "2", "3", "4"]
    assert points.text.anchor != "center"
    assert panel.pair.choices[FIXED, "points"].toolTip().startswith("landmarks of fixed scan\n")
    assert "4 in the fixed and 0 in the moving scan" in box.said.text()
    panel.register()
    assert "as many as landmarks of fixed scan, 4" in panel.status.message.text()
    assert points.mode == "pan_zoom"

    box.buttons[MOVING].click()
    assert not box.buttons[FIXED].isChecked()
    assert [scan.visible for scan in scans] == [False, True]
    others = pair.side(MOVING).points
    for place in to_napari(PLACES + SHIFT_MM):
        others.add(place)
    box.buttons[MOVING].click()
    assert [scan.visible for scan in scans] == [True, True]
    assert others.mode == "pan_zoom"
    assert box.said.text() == "4 pairs of landmarks."

    # Taking one away moves the numbers up.
    points.selected_data = {1}
    points.remove_selected()
    assert numbers(points) == [1, 2, 3]
    assert "number 4 is missing in the fixed one" in box.said.text()
    others.selected_data = {1}
    others.remove_selected()

    panel.register()
    settle(panel)
    result = panel.result
    assert result is not None, panel.status.message.text()
    np.testing.assert_allclose(result.found.linear[:3, 3], SHIFT_MM, atol=1e-6)
    distance = f"{np.linalg.norm(SHIFT_MM):.1f}"
    assert panel.scores_tab.rows == [
        ("landmarks: mean mm", distance, "0.0", "0.0"),
        ("landmarks: largest mm", distance, "0.0", "0.0"),
    ]
    assert panel.scores_tab.fitted.isVisibleTo(panel.scores_tab)


def test_a_pair_that_was_found_is_taken_and_a_deleted_one_ends_placing(panel, viewer):
    for side, name in enumerate(("fixed scan", "moving scan")):
        sure = np.full(len(PLACES), 0.5)
        made = landmarks_layer(PLACES, f"landmarks of {name}", side, UNITS, confidence=sure)
        viewer.add_layer(made)
    panel.landmarks_box.buttons[MOVING].click()
    there = panel.viewer.layers["landmarks of moving scan"]
    assert panel.pair.side(MOVING).points is there
    assert panel.pair.side(FIXED).points is panel.viewer.layers["landmarks of fixed scan"]
    assert "A click places number 5 in the moving scan" in panel.landmarks_box.said.text()
    there.add(to_napari(PLACES[0]))
    there.selected_data = {0}
    there.remove_selected()
    assert numbers(there) == [1, 2, 3, 4]
    assert there.features["confidence"].isna().tolist() == [False, False, False, True]
    viewer.layers.remove(there)
    assert panel.landmarks.placing == ""
    assert viewer.layers["fixed scan"].visible
    # Points of the user's are numbered once more are placed among them.
    kinds = {"kind": ["a", "b"]}
    places = to_napari(PLACES[:2])
    own = panel.viewer.add_points(places, name="own", units=UNITS, features=kinds)
    panel.pair.choose(MOVING, "points", own)
    panel.landmarks_box.buttons[MOVING].click()
    own.add(to_napari(PLACES[2]))
    assert numbers(own) == [1, 2, 3]
    own.mode = "pan_zoom"
    assert not panel.landmarks_box.buttons[MOVING].isChecked()
    panel.landmarks_box.buttons[FIXED].click()
    panel.pair.swap.click()
    assert panel.landmarks.placing == ""


def test_the_scan_comes_into_sight_in_2d(panel, viewer):
    far = affine()
    far[:3, 3] += 500
    away = add_volume(panel.viewer, Volume.from_stored(moving().data, far, name="far"))
    panel.pair.choose(MOVING, "scan", away)
    dims = panel.viewer.dims
    dims.ndisplay = 3
    dims.set_point((0, 1, 2), (0, 0, 0))
    for side, place in ((FIXED, 0.0), (MOVING, 500.0), (FIXED, 0.0)):
        panel.landmarks_box.buttons[side].click()
        assert dims.ndisplay == 2
        np.testing.assert_allclose(dims.point, place, atol=2.1)
        np.testing.assert_allclose(panel.viewer.scene.camera.center[-2:], place, atol=2.1)


def test_without_two_scans_none_are_placed(panel, viewer):
    viewer.layers.remove(viewer.layers["moving scan"])
    panel.landmarks_box.buttons[FIXED].click()
    assert panel.status.message.text().startswith("no two scans are chosen")
    assert not panel.landmarks_box.buttons[FIXED].isChecked()


SAID = {
    (None, ""): "",
    ((0, 0), ""): "0 pairs of landmarks; to begin with them takes 3.",
    ((1, 1), ""): "1 pair of landmarks.",
    ((2, 3), ""): (
        "2 pairs of landmarks, but 3 in the moving and 2 in the fixed scan: number 3 is missing in "
        "the fixed one."
    ),
    ((4, 4), FIXED): "4 pairs of landmarks. A click places number 5 in the fixed scan.",
}


@pytest.mark.parametrize(("counts", "placing"), SAID)
def test_what_is_said_of_numbers(counts, placing):
    assert words_of(counts, placing) == SAID[counts, placing]
