"""The Inspector's panel of body coordinates, with real widgets and random weights."""

import subprocess
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QTableWidget

from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.pretext.lattices import Lattice
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.coordinates import showing, work
from napari_mrissl.ui.inspector.coordinates.order_tab import scatter
from napari_mrissl.ui.inspector.coordinates.panel import MAP, ORDER
from napari_mrissl.ui.inspector.coordinates.place_tab import TEMPLATE
from napari_mrissl.ui.inspector.method_panel import MethodPanel
from napari_mrissl.ui.layers import add_volume, volume_of
from tests.coordinated import coordinates_run
from tests.observed import turned

pytestmark = pytest.mark.gui

CENTER = np.array([11.0, -7.0, 23.0])
SECONDS = 60_000
DEGREES = 17.0
AXES = {"matrix": (70 * np.eye(3)).tolist(), "center": [1.5] * 3, "scans": 2, "error_mm": 9.0}


def settle(inspector, qtbot):
    qtbot.waitUntil(lambda: not inspector.busy, timeout=SECONDS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coordinated")
    return {
        "axes": coordinates_run(folder / "axes", body_axes=AXES),
        "none": coordinates_run(folder / "none"),
    }


@pytest.fixture(scope="module")
def scans(make_geometry, marker_volume):
    """Oblique, permuted and anisotropic: 0.5 x 0.7 x 5 mm; and an upright one."""
    oblique = marker_volume(make_geometry((1, 2, 0), (-1, 1, 1), "anisotropic", DEGREES))
    upright = marker_volume(make_geometry())
    return replace(oblique, name="oblique"), replace(upright, name="upright")


@pytest.fixture(autouse=True)
def alignments(monkeypatch):
    """The pairs that were aligned: instead of SimpleITK, by the known turn of the two scans."""
    asked = []

    def align(control, fixed, moving):
        asked.append((fixed.name, moving.name))
        matrix = np.eye(4)
        matrix[:3, :3] = turned(DEGREES).T
        matrix[:3, 3] = CENTER - matrix[:3, :3] @ CENTER
        return work.Aligned((fixed.identity, moving.identity), matrix)

    monkeypatch.setattr(work, "align", align)
    return asked


@pytest.fixture
def opened(qtbot, scans, runs):
    """On a viewer without a window, the oblique scan inspected beside the upright one."""
    viewer = ViewerModel()
    for scan in scans:
        add_volume(viewer, scan)
    inspector = Inspector(viewer)
    qtbot.addWidget(inspector, before_close_func=lambda one: one.shut_down())
    inspector.resize(430, 660)
    inspector.show()
    inspector.load(runs["axes"])
    qtbot.waitUntil(
        lambda: inspector.panel is not None and inspector.panel.loaded is not None, timeout=SECONDS
    )
    settle(inspector, qtbot)
    assert inspector.status.message.text() == ""
    assert inspector.panel.layer.name == "oblique"
    return inspector


@pytest.fixture
def panel(opened):
    return opened.panel


def planted(panel):
    """Coordinates that are places along the scan's axes, half as steep along A, in place of it."""
    loaded = panel.loaded
    points = loaded.field.lattice.points_mm
    shape = loaded.field.coordinates.shape
    said = (points * (1.0, 0.5, 1.0) / 70 + 1.5).reshape(shape)
    body = (np.linalg.norm(points, axis=1) < 26).reshape(shape[:3])
    field = replace(loaded.field, coordinates=said, body=body)
    panel._loaded = replace(loaded, field=field, drawn=field.drawn())
    panel.maps.remove()
    panel._draw()
    return field


def test_colours_are_where_the_affine_says(panel):
    planted(panel)
    layer = panel.maps.layers[showing.COLOURS]
    assert layer in panel.viewer.layers
    turn = turned(DEGREES)
    low, high = panel.loaded.drawn.low, panel.loaded.drawn.high
    for offset in ((4.0, 1.0, -6.0), (-9.0, 6.0, 3.0), (2.0, -11.0, 8.0)):
        world = CENTER + turn @ np.array(offset)
        index = np.rint(layer.world_to_data(world[::-1])).astype(int)
        shown = np.asarray(layer.data[tuple(index)]).astype(float)
        wanted = 255 * np.clip((np.array(offset) * (1, 0.5, 1) - low) / (high - low), 0, 1)
        # A cell of the layer is some mm wide, and colours change over 40 mm.
        np.testing.assert_allclose(shown, wanted, atol=30)


def test_arrows_rise_along_the_axes_of_the_scan(panel):
    planted(panel)
    tab = panel.map_tab
    panel.viewer.dims.ndisplay = 3
    tab.arrows.setChecked(True)
    turn = turned(DEGREES)
    for axis, steep in enumerate((1.0, 0.5, 1.0)):
        tab.axis.setCurrentIndex(axis)
        drawn = panel.arrows.layers[showing.ARROWS].data[..., ::-1]
        assert len(drawn) > 4
        wanted = np.tile(steep * showing.LONG_MM * turn[:, axis], (len(drawn), 1))
        np.testing.assert_allclose(drawn[:, 1], wanted, atol=1e-3)
    # In 2D only those near the plane in view are drawn.
    count = len(panel.arrows.layers[showing.ARROWS].data)
    panel.viewer.dims.ndisplay = 2
    assert 0 < len(panel.arrows.layers[showing.ARROWS].data) < count


def test_folds_are_where_the_field_is_mirrored(panel):
    field = planted(panel)
    assert field.folded == 0
    mirrored = field.coordinates.copy()
    # Beyond the middle the coordinate falls again.
    mirrored[..., 2] = 1.5 - np.abs(mirrored[..., 2] - 1.5)
    folded = replace(field, coordinates=mirrored)
    panel._loaded = replace(panel.loaded, field=folded)
    panel.map_tab.folds.setChecked(True)
    layer = panel.maps.layers[showing.FOLDS]
    turn = turned(DEGREES)

    def shown(offset):
        index = layer.world_to_data((CENTER + turn @ np.array(offset))[::-1])
        return int(np.asarray(layer.data[tuple(np.rint(index).astype(int))]))

    assert shown((2.0, 2.0, 12.0)) == 1
    assert shown((2.0, 2.0, -12.0)) == 0
    panel.map_tab.folds.setChecked(False)
    assert layer not in panel.viewer.layers


def test_iso_lines_part_the_scan_each_ten_mm(panel):
    planted(panel)
    layer = panel.maps.layers[showing.LINES]
    assert layer.contour == 1
    for band in (1, 2, 3):
        assert max(layer.get_color(band)[:3]) < 0.1
    drawn = panel.loaded.drawn
    bands = drawn.bands(2, 10.0)
    assert bands[~drawn.body].max() == 0
    heights = drawn.lattice.points_mm[:, 2].reshape(bands.shape)
    for band in range(1, bands.max() + 1):
        inside = heights[bands == band]
        assert np.ptp(inside) <= 10.0
    panel.map_tab.each.setValue(5)
    assert panel.loaded.drawn.bands(2, 5.0).max() > bands.max()
    # In 3D napari draws no contours but whole bands.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Contours are not displayed")
        panel.viewer.dims.ndisplay = 3
        assert not layer.visible
        panel.viewer.dims.ndisplay = 2
    assert layer.visible
    panel.map_tab.lines.setChecked(False)
    assert layer not in panel.viewer.layers


def test_a_click_is_found_in_the_other_scan_and_gone_to(panel, opened, qtbot):
    field = planted(panel)
    # The upright scan is known to have the same coordinates along its own axes.
    upright = next(one for one in panel.viewer.layers if one.name == "upright")
    volume = volume_of(upright)
    lattice = Lattice.filling(volume, 4.0, 10**6)
    said = (lattice.points_mm * (1.0, 0.5, 1.0) / 70 + 1.5).reshape(*lattice.shape, 3)
    body = np.ones(lattice.shape, bool)
    known = replace(field, lattice=lattice, coordinates=said, body=body)
    panel._fields[volume.identity] = known
    offset = np.array([5.0, -6.0, 9.0])
    clicked = CENTER + turned(DEGREES) @ offset
    panel.pick(tuple(clicked))
    settle(opened, qtbot)
    # Along its own axes the upright scan is the world's.
    assert np.linalg.norm(panel.found.world - (CENTER + offset)) < 0.8
    marks = panel.places.layer
    points = np.array([marks.data_to_world(one) for one in marks.data])[:, ::-1]
    np.testing.assert_allclose(points[0], clicked, atol=1e-3)
    np.testing.assert_allclose(points[1], panel.found.world, atol=1e-3)
    assert list(panel.places.layer.features["what"]) == ["clicked", "in upright"]
    assert "5 mm right, 3 mm posterior, 9 mm superior" in panel.place_tab.clicked.text()
    panel.place_tab.go.click()
    assert panel.slice_state.source is upright
    np.testing.assert_allclose(panel.slice_state.pose.center, panel.found.world, atol=1e-3)
    panel.place_tab.back.click()
    assert panel.slice_state.source is panel.layer
    np.testing.assert_allclose(panel.slice_state.pose.center, clicked, atol=1e-3)
    panel.place_tab.remove.click()
    assert panel.places.layer not in panel.viewer.layers
    assert not panel.place_tab.go.isEnabled()


def test_the_error_beside_an_alignment_is_said_and_a_pair_is_aligned_once(
    panel, opened, qtbot, alignments
):
    for number, offset in enumerate(((5.0, -6.0, 9.0), (-4.0, 2.0, 3.0))):
        clicked = CENTER + turned(DEGREES) @ np.array(offset)
        panel.pick(tuple(clicked))
        settle(opened, qtbot)
        # Along its own axes the upright scan is the world's.
        error = np.linalg.norm(panel.found.world - (CENTER + offset))
        header = np.linalg.norm(clicked - (CENTER + offset))
        said = panel.place_tab.error.text()
        assert f"Error: {error:.1f} mm from where an affine alignment" in said, number
        assert f"is {header:.1f} mm from there" in said
    assert alignments == [("oblique", "upright")]
    panel.place_tab.remove.click()
    assert panel.place_tab.error.text() == ""


def test_an_alignment_that_was_cancelled_begins_again_with_the_next_click(
    panel, opened, qtbot, monkeypatch
):
    asked, known = [], work.align

    def endless(control, fixed, moving):
        asked.append(fixed.name)
        while not control.cancelled():
            time.sleep(0.005)
        raise Cancelled

    monkeypatch.setattr(work, "align", endless)
    panel.pick(tuple(CENTER))
    qtbot.waitUntil(lambda: len(asked) == 1, timeout=SECONDS)
    # Another click meanwhile waits for the same alignment.
    panel.pick(tuple(CENTER + 2))
    qtbot.waitUntil(lambda: panel.found is not None, timeout=SECONDS)
    assert len(asked) == 1
    opened._on_cancel()
    settle(opened, qtbot)
    assert panel.place_tab.error.text() == ""
    monkeypatch.setattr(work, "align", known)
    panel.pick(tuple(CENTER))
    settle(opened, qtbot)
    assert "Error: " in panel.place_tab.error.text()


def test_a_scan_that_is_moved_or_gets_other_data_is_located_again(panel, opened, qtbot):
    first, scan = panel.loaded, panel.layer
    middle = panel.maps.layers[showing.COLOURS].extent.world.mean(axis=0)
    panel.pick(tuple(CENTER))
    settle(opened, qtbot)
    scan.translate = np.asarray(scan.translate) + np.array([30.0, -20.0, 10.0])
    qtbot.waitUntil(lambda: panel.loaded not in (None, first), timeout=SECONDS)
    settle(opened, qtbot)
    assert panel.clicked is None
    shown = panel.maps.layers[showing.COLOURS].extent.world.mean(axis=0)
    np.testing.assert_allclose(shown - middle, (30.0, -20.0, 10.0), atol=2)
    second = panel.loaded
    assert second.scan.identity != first.scan.identity
    scan.data = np.asarray(scan.data)[:, ::-1].copy()
    qtbot.waitUntil(lambda: panel.loaded not in (None, second), timeout=SECONDS)
    settle(opened, qtbot)
    assert panel.loaded.scan.identity != second.scan.identity


def test_clicks_beside_the_scan_and_in_3d_are_refused_in_a_sentence(panel, opened):
    panel.pick((400.0, 0.0, 0.0))
    assert "outside of the scan" in opened.status.message.text()
    assert panel.clicked is None


def test_the_template_is_offered_where_no_other_scan_is_open(panel, opened, qtbot):
    box = panel.place_tab.other
    assert [box.itemText(n) for n in range(box.count())] == ["upright", TEMPLATE]
    panel.viewer.layers.remove("upright")
    assert [box.itemText(n) for n in range(box.count())] == [TEMPLATE]
    panel.pick(tuple(CENTER))
    settle(opened, qtbot)
    assert panel.found.name == TEMPLATE
    panel.place_tab.go.click()
    assert TEMPLATE in [one.name for one in panel.viewer.layers]
    assert panel.slice_state.volume.identity == panel.found.volume.identity


def test_order_is_beside_chance_and_the_untrained_network(panel, opened, qtbot):
    opened.panel.tabs.setCurrentIndex(ORDER)
    table = panel.order_tab.table
    numbers = panel.loaded.numbers
    assert table.item(2, 0).text() == f"{numbers['spearman_superior']:.2f}"
    assert table.item(2, 1).text() == "0.00"
    assert table.item(4, 2).text() == ""
    panel.order_tab.measure.click()
    assert opened.busy
    settle(opened, qtbot)
    assert table.item(0, 2).text() != ""
    assert float(table.item(4, 1).text()) > 0


def test_scatters_put_places_right_and_coordinates_up():
    image = scatter(np.array([-10.0, 10.0]), np.array([-10.0, 10.0]))
    rows, columns = np.nonzero(image)
    assert rows[columns < 20].min() > 100
    assert rows[columns > 100].max() < 50


def test_cancelling_leaves_the_panel_usable(panel, opened, qtbot, runs):
    panel.measure()
    opened._on_cancel()
    settle(opened, qtbot)
    assert panel.order_tab.table.item(4, 2).text() == ""
    opened.load(runs["none"])
    opened._on_cancel()
    settle(opened, qtbot)
    opened.load(runs["none"])
    qtbot.waitUntil(lambda: panel.loaded is not None and panel.loaded.field.own_axes,
                    timeout=SECONDS)  # fmt: skip
    assert "fitted to this very scan" in panel.map_tab.legend.text()


def test_a_session_keeps_the_settings_and_all_layers_go_with_the_panel(panel, opened):
    panel.map_tab.arrows.setChecked(True)
    panel.map_tab.folds.setChecked(True)
    panel.map_tab.each.setValue(20)
    panel.tabs.setCurrentIndex(ORDER)
    state = panel.state()
    panel.map_tab.each.setValue(5)
    panel.tabs.setCurrentIndex(MAP)
    assert panel.take_state(state) == []
    assert panel.map_tab.each.value() == 20
    assert panel.tabs.currentIndex() == ORDER
    assert panel.take_state({"each": 1000, "tab": "x", "folds": 3}) == ["tab", "folds", "each"]
    # A map is no scan: neither this dock nor another offers it as one.
    assert opened.sources.scan.count() == 2
    opened.shut_down()
    assert [one.name for one in panel.viewer.layers] == ["oblique", "upright"]


def test_every_control_says_what_it_is_and_nothing_is_cut_off(panel, opened, qtbot):
    controls = panel.findChildren((QAbstractButton, QComboBox, QAbstractSpinBox, QTableWidget))
    assert len(controls) > 10
    ours = [one for one in controls if type(one.parent()).__module__.startswith("napari_mrissl")]
    assert len(ours) > 8
    assert [one for one in ours if not one.toolTip()] == []
    for number in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(number)
        qtbot.wait(20)
        for one in ours:
            if one.isVisible() and isinstance(one, QAbstractButton):
                assert one.width() >= one.fontMetrics().horizontalAdvance(one.text()), one.text()


def test_nothing_is_left_when_the_dock_is_closed(qtbot, scans, runs):
    viewer = ViewerModel()
    add_volume(viewer, scans[0])
    inspector = Inspector(viewer)
    qtbot.addWidget(inspector, before_close_func=lambda one: one.shut_down())
    inspector.load(runs["axes"])
    callbacks = list(viewer.mouse_drag_callbacks)
    qtbot.waitUntil(lambda: inspector.panel is not None and inspector.busy, timeout=SECONDS)
    inspector.panel.place_tab.pick.setChecked(True)
    assert viewer.mouse_drag_callbacks != callbacks
    # In the midst of locating the scan.
    inspector.shut_down()
    qtbot.wait(200)
    assert inspector.panel.loaded is None
    assert [one.name for one in viewer.layers] == ["oblique"]
    assert viewer.mouse_drag_callbacks == callbacks


def test_nothing_imports_torch_before_weights_are_loaded():
    words = (
        "import sys; import napari_mrissl.ui.inspector.coordinates.panel; "
        "print([m for m in ('torch', 'monai') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_panel_is_one_of_a_method_and_fits_a_narrow_dock(panel, opened):
    assert isinstance(panel, MethodPanel)
    assert opened.minimumSizeHint().width() <= 430
