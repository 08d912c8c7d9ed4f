"""The view of the crop: linked with the main view, turned as the network got it, gone with it."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from scipy.spatial.transform import Rotation

from napari_mrissl.pretext import cube
from napari_mrissl.pretext.crops import crop_at, cut
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.ui.inspector.vectorpose.crop_view import LinkedCrop
from napari_mrissl.ui.layers import add_volume

pytestmark = pytest.mark.gui

CENTER = np.array([11.0, -7.0, 23.0])
AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
DEGREES = 17.0
EDGE_MM, SIDE = 24.0, 12
ELEMENT = 29


@pytest.fixture(scope="module")
def scan(make_geometry, marker_volume):
    """Oblique, permuted and anisotropic: 0.5 x 0.7 x 5 mm."""
    volume = marker_volume(make_geometry((1, 2, 0), (-1, 1, 1), "anisotropic", DEGREES))
    return Scan(volume, 0.0, 250.0, "markers", volume.identity)


@pytest.fixture(scope="module")
def shown(scan, qapp):
    """A view made once: a canvas takes its time."""
    viewer = ViewerModel()
    add_volume(viewer, scan.volume)
    view = LinkedCrop(viewer)
    view.resize(300, 300)
    view.show()
    yield view, viewer
    view.shut_down()
    view.deleteLater()
    # Napari's own fixtures look for canvases that outlive their test.
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def main(shown):
    """A main viewer without a window, in the middle of the scan."""
    shown[1].dims.set_point(range(3), CENTER[::-1])
    return shown[1]


@pytest.fixture
def view(shown, main, scan):
    """A turned crop in the middle of the scan."""
    view = shown[0]
    view.linked.setChecked(True)
    view.plane.setCurrentIndex(0)
    record = crop_at(scan, middle(scan), SIDE, EDGE_MM, 1.0, ELEMENT)
    view.present(cut(scan, record), record)
    return view


def middle(scan):
    return (np.array(scan.volume.shape) - 1) / 2 * scan.volume.spacing


def directions():
    """The world directions (RAS) of the turned crop's three axes, without our own affines."""
    turn = Rotation.from_rotvec(np.radians(DEGREES) * AXIS).as_matrix()
    axes, signs = cube.signed_axes(ELEMENT)
    # The scan's axes are S, A and R: the columns of the turn from the last to the first.
    return [sign * turn[:, 2 - axis] for axis, sign in zip(axes, signs, strict=True)]


def world(viewer):
    return np.array(viewer.dims.point)[::-1]


def near(viewer, wanted):
    """Whether a viewer is at a place (R, A, S), but for its sliders' steps."""
    steps = np.array([one.step for one in viewer.dims.range])[::-1]
    return (np.abs(world(viewer) - wanted) <= 0.501 * steps).all()


def test_it_shows_the_voxels_that_the_network_gets(view, scan):
    np.testing.assert_array_equal(view.layer.data, cut(scan, view.record))
    np.testing.assert_allclose(np.ptp(view.layer.extent.world, axis=0), EDGE_MM - EDGE_MM / SIDE)
    assert view.viewer.dims.axis_labels == ("axis 1", "axis 2", "axis 3")


def test_a_step_here_moves_the_main_view_along_the_crops_own_axis(view, main):
    for axis, direction in enumerate(directions()):
        view.viewer.dims.set_point(range(3), (0.0, 0.0, 0.0))
        view.viewer.dims.set_point(axis, 6.0)
        moved = view.viewer.dims.point[axis]
        assert moved == pytest.approx(6.0, abs=EDGE_MM / SIDE / 2)
        rest = [view.viewer.dims.point[other] * directions()[other] for other in range(3)]
        assert near(main, CENTER + sum(rest))
        assert (world(main) - CENTER) @ direction == pytest.approx(moved, abs=2)


def test_a_step_of_the_main_view_moves_through_the_crop(view, main):
    wanted = CENTER + 8.0 * directions()[1] - 6.0 * directions()[2]
    main.dims.set_point(range(3), wanted[::-1])
    assert near(main, wanted)
    expected = np.array(directions()) @ (world(main) - CENTER)
    np.testing.assert_allclose(view.viewer.dims.point, expected, atol=0.501 * EDGE_MM / SIDE)
    # Outside the crop its face is shown, and the main view stays where the user went.
    wanted = CENTER + 300.0 * directions()[0]
    main.dims.set_point(range(3), wanted[::-1])
    assert view.viewer.dims.point[0] == pytest.approx((EDGE_MM - EDGE_MM / SIDE) / 2)
    view.linked.setChecked(False)
    before = world(main)
    view.viewer.dims.set_point(0, -3.0)
    np.testing.assert_array_equal(world(main), before)


def test_a_click_goes_there_in_both(view, main):
    callback = view.viewer.mouse_drag_callbacks[-1]

    def click(position, displayed=(1, 2), moved=0):
        event = SimpleNamespace(button=1, modifiers=(), position=position, pos=(50, 60),
                                type="mouse_press", dims_displayed=list(displayed))  # fmt: skip
        steps = callback(view.viewer, event)
        next(steps)
        event.type, event.pos = "mouse_release", (50 + moved, 60)
        with pytest.raises(StopIteration):
            next(steps)

    click((0.0, 5.0, -3.0))
    place = view.viewer.dims.point
    np.testing.assert_allclose(place, (0.0, 5.0, -3.0), atol=EDGE_MM / SIDE / 2)
    wanted = CENTER + sum(one * way for one, way in zip(place, directions(), strict=True))
    assert near(main, wanted)
    there = world(main)
    # A drag pans, and in 3D a click has no depth.
    click((0.0, 1.0, 1.0), moved=30)
    click((0.0, 1.0, 1.0), displayed=(0, 1, 2))
    np.testing.assert_array_equal(world(main), there)


def test_letters_say_where_its_axes_point(view):
    """17 degrees off, the strongest direction still comes first."""

    def strongest(direction):
        number = int(np.abs(direction).argmax())
        return ("LR", "PA", "IS")[number][int(direction[number] > 0)]

    for name, (up, right) in (("axes 2 and 3", (1, 2)), ("axes 1 and 3", (0, 2)),
                              ("axes 1 and 2", (0, 1))):  # fmt: skip
        view.plane.setCurrentText(name)
        assert view.viewer.dims.displayed == (up, right)
        texts = [letter.text for letter in view._letters]
        found = directions()
        for text, direction in zip(
            texts, (found[up], -found[up], -found[right], found[right]), strict=True
        ):
            assert text[0] == strongest(direction)
    view.plane.setCurrentText("3D")
    assert view.viewer.dims.ndisplay == 3
    assert {letter.text for letter in view._letters} == {""}


def test_another_crop_takes_the_place_and_none_is_empty(view, scan):
    layer = view.layer
    record = crop_at(scan, middle(scan), SIDE + 4, EDGE_MM, 0.5)
    view.present(cut(scan, record), record)
    assert view.viewer.layers[:] == [layer]
    assert layer.data.shape == (SIDE + 4,) * 3
    np.testing.assert_allclose(layer.scale, EDGE_MM / 2 / (SIDE + 4))
    view.clear()
    assert not layer.visible
    view.viewer.dims.set_point(0, 1.0)
