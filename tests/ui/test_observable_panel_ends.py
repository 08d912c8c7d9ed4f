"""The panel of the observable tasks where layers, scans, runs and docks come and go."""

import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QMenu,
    QSlider,
    QTableWidget,
)

from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.method_panel import MethodPanel
from napari_mrissl.ui.inspector.observable import boxes, hints
from napari_mrissl.ui.inspector.observable.choice import Choice
from napari_mrissl.ui.inspector.observable.panel import (
    CHECK,
    CHUNKS,
    LAYOUT,
    MATRIX,
    ROUTES,
    SLICES,
)
from napari_mrissl.ui.inspector.observable.routes_tab import ZERO
from napari_mrissl.ui.layers import add_volume
from tests.observed import EDGE_MM, observable_run, turned

pytestmark = pytest.mark.gui

CENTER = np.array([11.0, -7.0, 23.0])
SECONDS = 60_000
# Order and signs of the stored axes, spacing, tilt in degrees.
STORED = (
    ((0, 1, 2), (1, 1, 1), "isotropic", 0.0),
    ((2, 0, 1), (-1, 1, -1), "anisotropic", 0.0),
    ((1, 0, 2), (1, -1, -1), "anisotropic", 17.0),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("observed")
    return {
        "potential": observable_run(folder / "potential", grad_views="all"),
        "gaps": observable_run(folder / "gaps", vectors=False, routes=False, chunks=False),
        "slabs": observable_run(
            folder / "slabs", view={"kind": "slab", "side": 16, "slab": 8, "edge_mm": 48.0}
        ),
    }


def settle(inspector, qtbot):
    qtbot.waitUntil(lambda: not inspector.busy, timeout=SECONDS)


@pytest.fixture
def inspector(qtbot, make_geometry, marker_volume):
    """On a viewer without a window, with one scan and no run loaded."""
    viewer = ViewerModel()
    viewer.dims.ndisplay = 3
    add_volume(viewer, marker_volume(make_geometry(*STORED[0])))
    inspector = Inspector(viewer)
    qtbot.addWidget(inspector, before_close_func=lambda one: one.shut_down())
    inspector.resize(430, 660)
    inspector.show()
    return inspector


@pytest.fixture
def panel(inspector, qtbot, runs):
    """With a loaded run, and views that were looked at."""
    inspector.load(runs["potential"])
    qtbot.waitUntil(lambda: getattr(inspector.panel, "seen", None) is not None, timeout=SECONDS)
    settle(inspector, qtbot)
    assert inspector.status.message.text() == ""
    return inspector.panel


def corners_drawn(panel, name):
    layer = panel.layers.layers[name]
    assert layer in panel.viewer.layers
    ends = np.concatenate([layer.data[:, 0], layer.data.sum(axis=1)])[:, ::-1]
    return np.unique(ends.round(3), axis=0)


def check_boxes(panel, degrees, moved=(0, 0, 0)):
    """Both boxes of the chosen cell, from the scan's own axes and its middle."""
    turn = turned(degrees)
    signs = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    for name, number in zip((boxes.VIEW_I, boxes.VIEW_J), panel.choice.cell, strict=True):
        offset = panel.seen.views.centers_mm[number] + signs * EDGE_MM
        wanted = CENTER + moved + offset @ turn.T
        found = corners_drawn(panel, name)
        apart = np.linalg.norm(found[:, None] - wanted, axis=-1)
        assert found.shape == (8, 3)
        assert apart.min(axis=0).max() < 5e-3


def test_boxes_are_right_however_a_scan_is_stored(panel, inspector, qtbot, make_geometry,
                                                  marker_volume):  # fmt: skip
    check_boxes(panel, 0.0)
    for number, stored in enumerate(STORED[1:], 1):
        add_volume(panel.viewer, marker_volume(make_geometry(*stored)))
        inspector.sources.scan.setCurrentIndex(number)
        settle(inspector, qtbot)
        assert panel.layer is inspector.sources.layer
        check_boxes(panel, stored[3])
        panel.choose(panel.choice.at(3, number))
        check_boxes(panel, stored[3])


def test_layers_and_scans_may_be_renamed_moved_and_deleted(panel, inspector, qtbot, scan_moved_mm):
    viewer, scan = panel.viewer, panel.layer
    first, second = (panel.layers.layers[name] for name in (boxes.VIEW_I, boxes.VIEW_J))
    first.name = "mine"
    viewer.layers.move(viewer.layers.index(second), 0)
    viewer.layers.remove(panel.layers.layers[boxes.TRUE_GAP])
    scan.name = "renamed"
    panel.choose(panel.choice.at(1, 2))
    settle(inspector, qtbot)
    check_boxes(panel, 0.0)
    assert first.name == "mine"
    assert panel.layers.layers[boxes.TRUE_GAP] in viewer.layers
    # A scan that is moved takes its views along.
    identity = panel.seen.views.identity
    scan.translate = np.asarray(scan.translate) + np.array(scan_moved_mm)[::-1]
    qtbot.waitUntil(
        lambda: panel.seen is not None and panel.seen.views.identity != identity, timeout=SECONDS
    )
    settle(inspector, qtbot)
    check_boxes(panel, 0.0, scan_moved_mm)
    for tab in (LAYOUT, ROUTES, CHUNKS):
        panel.tabs.setCurrentIndex(tab)
        settle(inspector, qtbot)
    assert len(panel.layers.layers[boxes.ADJACENT].data) == 24
    viewer.layers.remove(scan)
    settle(inspector, qtbot)
    assert panel.seen is None
    assert not panel.routes_tab.play.isEnabled()
    assert "open a scan" in inspector.status.message.text()
    assert all(len(layer.data) == 0 for layer in viewer.layers)
    inspector.shut_down()
    assert len(viewer.layers) == 0


def test_only_what_is_drawn_comes_into_the_viewer(panel, inspector, qtbot):
    viewer = panel.viewer
    there = [layer.name for layer in viewer.layers]
    assert len(there) == 5
    # No pair of slices is chosen yet: there is nothing to draw, and nothing is brought.
    panel.slices_tab.count.setValue(4)
    panel.tabs.setCurrentIndex(SLICES)
    settle(inspector, qtbot)
    assert panel.rows_shown is not None
    assert [layer.name for layer in viewer.layers] == there
    assert len(panel.layers.layers[boxes.VIEW_I].data) == 0
    viewer.layers.remove(panel.layers.layers[boxes.TRUE_GAP])
    panel.tabs.setCurrentIndex(ROUTES)
    panel.tabs.setCurrentIndex(SLICES)
    settle(inspector, qtbot)
    assert panel.layers.layers[boxes.TRUE_GAP] not in viewer.layers


@pytest.fixture
def scan_moved_mm():
    return (4.0, -3.0, 10.0)


def test_in_2d_boxes_are_seen_along_the_normal_of_the_plane(panel):
    viewer = panel.viewer
    solid = panel.layers.layers[boxes.VIEW_I].data.copy()
    viewer.dims.ndisplay = 2
    viewer.dims.set_point(0, viewer.dims.point[0] + 4)
    flat = panel.layers.layers[boxes.VIEW_I].data
    np.testing.assert_allclose(flat[..., 1:], solid[..., 1:], atol=1e-4)
    np.testing.assert_allclose(flat[:, 0, 0], viewer.dims.point[0], atol=1e-4)


def test_a_dock_that_is_closed_meanwhile_ends_its_work(panel, inspector, qtbot):
    panel.tabs.setCurrentIndex(ROUTES)
    panel.choose(Choice(3, 5))
    settle(inspector, qtbot)
    panel.routes_tab.play.setChecked(True)
    assert panel.routes_tab._timer.isActive()
    panel.choose(Choice(12, 7))
    inspector.shut_down()
    assert not panel.routes_tab._timer.isActive()
    assert len(panel.viewer.layers) == 1
    qtbot.waitUntil(lambda: not panel.busy, timeout=SECONDS)
    assert panel.seen is None
    panel.viewer.dims.ndisplay = 2


def test_work_is_cancelled_and_taken_up_again(panel, inspector, qtbot, monkeypatch):
    told = []
    from napari_mrissl.ui.inspector.observable import work

    look = work.look

    def slow(control, loaded, choice):
        while not control.cancelled() and choice.seed == 9:
            told.append(choice.count)
            time.sleep(0.01)
        return look(control, loaded, choice)

    monkeypatch.setattr(work, "look", slow)
    before = panel.seen
    panel.choose(Choice(4, 9))
    qtbot.waitUntil(lambda: bool(told), timeout=SECONDS)
    inspector.status.cancel.click()
    settle(inspector, qtbot)
    assert panel.seen is before
    assert "Cancelled" in inspector.status.message.text()
    # What is wished for is what is shown; the next cell asks for nothing.
    tab = panel.matrix_tab
    assert panel.choice == before.choice
    assert tab.count.value() == len(tab.maps[0].values) == len(before.views)
    assert not tab.back.isEnabled()
    assert tab.forward.isEnabled()
    told.clear()
    tab.maps[0].cell_chosen.emit(2, 3)
    assert not inspector.busy
    assert panel.choice.cell == (2, 3)
    panel.matrix_tab.back.click()
    # Back to older views, which is cancelled as well: forward again to those that are shown.
    for seed in (1, 9):
        panel.choose(Choice(3, seed))
        if seed == 1:
            settle(inspector, qtbot)
    qtbot.waitUntil(lambda: bool(told), timeout=SECONDS)
    inspector.status.cancel.click()
    settle(inspector, qtbot)
    assert panel.choice == panel.seen.choice == Choice(3, 1)
    tab.forward.click()
    told.clear()
    qtbot.waitUntil(lambda: bool(told), timeout=SECONDS)
    assert panel.choice == Choice(3, 9)
    tab.back.click()
    tab.back.click()
    settle(inspector, qtbot)
    assert panel.seen.choice.views == panel.choice.views == before.choice.views


def test_a_cancelled_row_of_slices_leaves_the_one_that_is_shown(panel, inspector, qtbot,
                                                                monkeypatch):  # fmt: skip
    from napari_mrissl.ui.inspector.observable import work

    tab, made = panel.slices_tab, work.rows
    tab.count.setValue(4)
    panel.tabs.setCurrentIndex(SLICES)
    settle(inspector, qtbot)
    shown = panel.rows_shown
    assert shown is not None
    begun = []

    def slow(control, loaded, count, axis):
        begun.append(count)
        while not control.cancelled():
            time.sleep(0.01)
        return made(control, loaded, count, axis)

    monkeypatch.setattr(work, "rows", slow)
    tab.count.setValue(9)
    qtbot.waitUntil(lambda: bool(begun), timeout=SECONDS)
    inspector.status.cancel.click()
    settle(inspector, qtbot)
    assert tab.wish == (4, 2)
    assert panel.rows_shown is shown
    assert tab.map.values.shape == (4, 4)


def test_of_the_potential_head_drift_is_zero_by_construction(panel, inspector, qtbot):
    panel.tabs.setCurrentIndex(ROUTES)
    settle(inspector, qtbot)
    tab = panel.routes_tab
    assert ZERO in tab.facts.text()
    assert tab.table.item(0, 2).text() == "0"
    assert tab.table.item(0, 2).toolTip() == ZERO
    assert "Closed" not in tab.here.text()
    assert not panel.matrix_tab.lagging.isEnabled()


def test_what_a_run_has_not_learned_is_said(panel, inspector, qtbot, runs):
    inspector.load(runs["gaps"])
    settle(inspector, qtbot)
    panel = inspector.panel
    assert not panel.matrix_tab.head.isEnabled()
    panel.tabs.setCurrentIndex(ROUTES)
    settle(inspector, qtbot)
    assert panel.routes_tab.facts.text() == hints.NO_VECTORS
    panel.tabs.setCurrentIndex(CHUNKS)
    settle(inspector, qtbot)
    assert panel.chunks_tab.facts.text() == hints.NO_CHUNKS
    assert panel.chunks_tab.pair.count() == 0
    panel.tabs.setCurrentIndex(MATRIX)
    assert panel.matrix_tab.maps[1].values is not None


def test_slabs_are_boxes_of_their_own_thickness_and_only_axial(panel, inspector, qtbot, runs):
    inspector.load(runs["slabs"])
    settle(inspector, qtbot)
    panel = inspector.panel
    assert not panel.slices_tab.axis.isEnabled()
    extent = np.ptp(corners_drawn(panel, boxes.VIEW_I), axis=0)
    np.testing.assert_allclose(extent, (48, 48, 24), atol=1e-3)
    # Its side views are as wide as it is, and no higher than it is thick.
    pictures = panel.matrix_tab.pictures
    pictures.plane.setCurrentText("coronal")
    image = pictures.pictures[0].image
    assert image.pixelColor(80, 10).value() == 0
    assert image.pixelColor(80, 150).value() == 0


def test_nothing_imports_torch_before_weights_are_loaded():
    words = (
        "import sys; import napari_mrissl.ui.inspector.observable.panel; "
        "print([m for m in ('torch', 'monai', 'pyqtgraph') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_session_brings_views_cell_and_tab_back(inspector, panel, qtbot):
    choice = Choice(5, 3, False, (4, 2))
    panel.choose(choice)
    panel.matrix_tab.channel.setCurrentIndex(3)
    panel.tabs.setCurrentIndex(CHECK)
    settle(inspector, qtbot)
    state = inspector.session_state()["panel"]
    panel.choose(Choice())
    panel.tabs.setCurrentIndex(MATRIX)
    panel.matrix_tab.channel.setCurrentIndex(0)
    assert panel.take_state(state) == []
    settle(inspector, qtbot)
    assert panel.choice == panel.seen.choice == choice
    assert panel.tabs.currentIndex() == CHECK
    assert panel.matrix_tab.chosen_channel == "S"
    wrong = {"choice": {"count": 99}, "tab": 9, "slices": 1, "camera": "x", "axis": 7}
    assert panel.take_state(wrong) == ["choice", "axis", "slices", "camera", "tab"]
    assert panel.choice == choice


def test_controls_are_explained_and_fit_a_narrow_dock(inspector, panel, qtbot):
    for tab in range(6):
        panel.tabs.setCurrentIndex(tab)
        settle(inspector, qtbot)
    for kind in (QAbstractButton, QAbstractSpinBox, QComboBox, QSlider, QTableWidget):
        for one in panel.findChildren(kind):
            # The options of a plot, which nobody can open.
            if isinstance(one.window(), QMenu):
                continue
            parent = type(one.parent()).__name__
            assert (
                one.toolTip()
                or isinstance(one.parent(), QTableWidget)
                or one.objectName().startswith("qt_")
                or "Scroll" in parent
                or parent == "QTabBar"
            ), (type(one).__name__, one.objectName(), parent)
    assert isinstance(panel, MethodPanel)
    assert inspector.minimumSizeHint().width() <= 430
