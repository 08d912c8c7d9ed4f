"""The Inspector with real widgets and a real, hardly trained run."""

import itertools
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Vectors
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QMenu,
    QSlider,
    QTableWidget,
)
from scipy.spatial.transform import Rotation

from napari_mrissl.pretext import cube
from napari_mrissl.training import index
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.vectorpose import arrows
from napari_mrissl.ui.inspector.vectorpose.choice import CropChoice
from napari_mrissl.ui.inspector.vectorpose.panel import (
    ARROWS,
    BOUNDARIES,
    CONTROLS,
    CROP,
    POSITION,
)
from napari_mrissl.ui.layers import add_volume
from tests.inspected import EDGE_MM, as_shuffled, settle, shared_run

pytestmark = pytest.mark.gui

CENTER = np.array([11.0, -7.0, 23.0])
AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
DEGREES = 17.0


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.fixture(scope="module")
def scan(make_geometry, marker_volume):
    """Oblique, permuted and anisotropic: 0.5 x 0.7 x 5 mm."""
    geometry = make_geometry((1, 2, 0), (-1, 1, 1), "anisotropic", DEGREES)
    return marker_volume(geometry)


@pytest.fixture(scope="module")
def opened(qapp, scan, run_folder):
    """Loaded once for all tests that change nothing but the crop and what is shown."""
    viewer = ViewerModel()
    add_volume(viewer, scan)
    inspector = Inspector(viewer)
    inspector.resize(400, 640)
    inspector.show()
    inspector.load(run_folder)
    until = time.monotonic() + 120
    while inspector.busy and time.monotonic() < until:
        qapp.processEvents()
        time.sleep(0.005)
    assert inspector.status.message.text() == ""
    yield inspector
    inspector.close()
    inspector.deleteLater()


@pytest.fixture
def loaded(opened, qtbot):
    """With an upright crop in the middle of the scan, and nothing to be taken back."""
    opened._viewer.dims.ndisplay = 2
    middle = CropChoice.middle(opened.panel.loaded.scan.volume)
    assert opened.panel.take_state({"crop": middle.plain(), "tab": 0, "direction": "S"}) == []
    opened.panel.chosen.choose(middle)
    settle(opened, qtbot)
    return opened


def use(loaded, qtbot, choice):
    loaded.panel.chosen.choose(choice)
    settle(loaded, qtbot)


def test_the_true_arrows_go_from_the_corners_to_the_axis_in_the_world(loaded, qtbot):
    panel, viewer = loaded.panel, loaded._viewer
    viewer.dims.ndisplay = 3
    center = CENTER + np.array([6.0, -4.0, 5.0])
    for element in (cube.IDENTITY, 29):
        use(loaded, qtbot, CropChoice(tuple(center), 1.0, element))
        vectors = viewer.layers[arrows.TRUE_ARROWS]
        assert isinstance(vectors, Vectors)
        starts, ends = vectors.data[:, 0], vectors.data.sum(axis=1)
        # napari's world is (S, A, R) mm; the layer adds nothing of its own.
        np.testing.assert_allclose(vectors.data_to_world((1.0, 2.0, 3.0)), (1, 2, 3))
        turn = Rotation.from_rotvec(np.radians(DEGREES) * AXIS).as_matrix()
        corners = [
            center + EDGE_MM / 2 * turn @ signs for signs in itertools.product((-1, 1), repeat=3)
        ]
        np.testing.assert_allclose(starts[0, ::-1], center, atol=1e-4)
        found = starts[1:, ::-1]
        for corner in corners:
            assert np.linalg.norm(found - corner, axis=1).min() < 1e-4
        # The axis runs along the scan's own S axis through the middle of the scan.
        along = turn[:, 2]
        end = CENTER + (center - CENTER) @ along * along
        np.testing.assert_allclose(ends[:, ::-1], np.tile(end, (9, 1)), atol=1e-4)
        line = viewer.layers[arrows.AXIS].data[0]
        np.testing.assert_allclose(np.cross(line[1][::-1], along) / EDGE_MM, 0, atol=1e-4)
        assert np.linalg.norm(line[1]) == pytest.approx(EDGE_MM, abs=1e-3)
        assert panel.seen.record.element == element
    box = viewer.layers[arrows.TRUE_BOX].data
    assert len(box) == 12
    np.testing.assert_allclose(np.linalg.norm(box[:, 1], axis=1), EDGE_MM, atol=1e-3)


def test_in_2d_arrows_are_seen_along_the_normal_of_the_plane(loaded, qtbot):
    viewer = loaded._viewer
    settle(loaded, qtbot)
    drawn = viewer.layers[arrows.TRUE_ARROWS].data.copy()
    viewer.dims.ndisplay = 3
    solid = viewer.layers[arrows.TRUE_ARROWS].data.copy()
    viewer.dims.ndisplay = 2
    np.testing.assert_allclose(drawn[:, :, 1:], solid[:, :, 1:], atol=1e-4)
    for point in (viewer.dims.point[0], viewer.dims.point[0] + 5):
        viewer.dims.set_point(0, point)
        moved = viewer.layers[arrows.TRUE_ARROWS].data
        np.testing.assert_allclose(moved[:, 0, 0], viewer.dims.point[0], atol=1e-4)
        np.testing.assert_allclose(moved[:, 1, 0], 0)
    there = list(viewer.layers)
    use(loaded, qtbot, CropChoice(tuple(CENTER), 0.7, 5))
    assert list(viewer.layers) == there


def test_errors_are_beside_chance_and_in_the_table(loaded, qtbot):
    panel = loaded.panel
    panel.tabs.setCurrentIndex(ARROWS)
    use(loaded, qtbot, CropChoice(tuple(CENTER + 5), 0.8, 7))
    view = panel.seen.view
    tab = panel.crop_tab
    assert f"{view.reading.position_error_mm:.1f} mm (chance " in tab.position.text()
    assert "(chance right 2 %)" in tab.turned.text()
    assert ("✔" in tab.turned.text()) is (view.reading.element == 7)
    # Independent of the table: the arrows drawn in the world give the lengths.
    lengths = np.linalg.norm(view.true, axis=1)
    shown = [float(panel.arrow_tab.table.item(line, 0).text()) for line in range(9)]
    np.testing.assert_allclose(shown, lengths, atol=0.51)
    predicted = np.linalg.norm(view.predicted, axis=1)
    shown = [float(panel.arrow_tab.table.item(line, 1).text()) for line in range(9)]
    np.testing.assert_allclose(shown, predicted, atol=0.51)
    panel.tabs.setCurrentIndex(CROP)
    np.testing.assert_array_equal(tab.view.layer.data, panel.seen.image)
    assert any("Voxels of" in line for line in tab.hints.text().splitlines())


def test_crops_are_moved_turned_drawn_and_taken_back(loaded, qtbot):
    panel = loaded.panel
    first = panel.chosen.present
    tab = panel.crop_tab
    assert not tab.back.isEnabled()
    tab.places["A"].box.setValue(6.0)
    settle(loaded, qtbot)
    offset = panel.seen.record.center_mm - panel.seen.record.scan_center_mm
    np.testing.assert_allclose(offset, (0, 6, 0), atol=1e-3)
    tab.order.setCurrentIndex(3)
    tab.flips[1].setChecked(True)
    settle(loaded, qtbot)
    element = panel.seen.record.element
    axes, signs = cube.signed_axes(element)
    assert axes == tab.order.currentData()
    assert signs == (1, -1, 1)
    qtbot.waitUntil(lambda: panel.chosen.history.present == panel.chosen.present, timeout=20_000)
    panel.resample()
    settle(loaded, qtbot)
    drawn = panel.seen.record
    assert drawn != first
    assert tab.element == drawn.element
    tab.back.click()
    settle(loaded, qtbot)
    assert panel.seen.record.element == element
    tab.forward.click()
    settle(loaded, qtbot)
    np.testing.assert_allclose(panel.seen.record.center_mm, drawn.center_mm, atol=1e-6)
    while tab.back.isEnabled():
        tab.back.click()
    settle(loaded, qtbot)
    assert panel.chosen.present == first


def test_a_click_in_2d_places_the_crop(loaded, qtbot):
    panel, viewer = loaded.panel, loaded._viewer
    before = list(viewer.mouse_drag_callbacks)
    panel.crop_tab.pick.setChecked(True)
    (callback,) = [one for one in viewer.mouse_drag_callbacks if one not in before]

    def click(position, displayed):
        event = SimpleNamespace(
            button=1, modifiers=(), position=position, pos=(50, 60), type="mouse_press",
            dims_displayed=displayed,
        )  # fmt: skip
        steps = callback(viewer, event)
        next(steps)
        event.type = "mouse_release"
        with pytest.raises(StopIteration):
            next(steps)

    wanted = CENTER + np.array([3.0, -5.0, 4.0])
    click(tuple(wanted[::-1]), [1, 2])
    settle(loaded, qtbot)
    record = panel.seen.record
    np.testing.assert_allclose(record.to_world(record.center_mm), wanted, atol=1e-4)
    click(tuple(CENTER[::-1]), [0, 1, 2])
    assert "switch to 2D" in loaded.status.message.text()
    panel.crop_tab.pick.setChecked(False)
    assert list(viewer.mouse_drag_callbacks) == before


def test_sweeps_show_that_depth_is_not_in_the_centre_arrow(loaded, qtbot):
    panel = loaded.panel
    use(loaded, qtbot, CropChoice(tuple(CENTER + np.array([6.0, -4.0, 5.0]))))
    panel.tabs.setCurrentIndex(POSITION)
    settle(loaded, qtbot)
    tab = panel.position_tab

    def curve(name, kind):
        return tab.curves[name][kind].getData()

    positions, r = curve("r", "true")
    assert np.ptp(r) < 1e-6
    assert positions[0] == pytest.approx(-positions[-1])
    np.testing.assert_array_equal(curve("r", "predicted")[1], panel.sweep.predicted[:, 0])
    tab.direction.setCurrentIndex(2)
    settle(loaded, qtbot)
    assert panel.sweep.direction == "R"
    positions, r = curve("r", "true")
    assert np.ptp(r) > 0.05
    assert np.isfinite(curve("error (mm)", "predicted")[1]).all()


def test_boundaries_follow_the_thresholds_at_once(loaded, qtbot):
    panel = loaded.panel
    panel.tabs.setCurrentIndex(BOUNDARIES)
    settle(loaded, qtbot)
    tab = panel.boundary_tab
    names = ["original", "corrupted", "mask", "restored", "error", "B target", "B predicted"]
    assert list(tab.images.images) == names

    def mean(name):
        image = tab.images.images[name]
        row = np.frombuffer(image.constBits().asarray(image.sizeInBytes()), np.uint8)
        return row.mean()

    tab.threshold.box.setValue(0.0)
    tab.gain.box.setValue(100.0)
    everything = mean("B target")
    restored = mean("restored")
    tab.threshold.box.setValue(0.2)
    tab.gain.box.setValue(1.0)
    assert mean("B target") < everything
    assert mean("restored") == restored
    assert "Almost no boundary" in tab.hint.text()
    tab.reset.click()
    assert tab.edges == panel.loaded.network.settings.edges
    before = tab.view
    tab.spoil.click()
    settle(loaded, qtbot)
    assert tab.view is not before
    assert "inside paint" in tab.errors.text()


def test_controls_beside_the_network_and_a_report(loaded, qtbot, run_folder, tmp_path):
    index.remember(as_shuffled(run_folder, tmp_path / "shuffled"))
    panel = loaded.panel
    loaded.load(run_folder)
    settle(loaded, qtbot)
    qtbot.waitUntil(lambda: panel.control_tab.shuffled.count() == 2, timeout=20_000)
    panel.tabs.setCurrentIndex(CONTROLS)
    tab = panel.control_tab
    tab.shuffled.setCurrentIndex(1)
    tab.count.setValue(4)
    tab.measure.click()
    settle(loaded, qtbot)
    numbers = tab.report.numbers
    assert numbers["crops"] == 4
    assert tab.table.item(0, 0).text() == f"{numbers['position_error_mm']:.1f}"
    assert tab.table.item(1, 0).text() == f"{numbers['chance_position_error_mm']:.1f}"
    assert tab.table.item(3, 0).text() != "–"
    assert tab.save.isEnabled()
    tab.save_wanted.emit(str(tmp_path / "report"))
    settle(loaded, qtbot)
    assert (tmp_path / "report" / "report.json").exists()
    tab.save_wanted.emit(str(tmp_path / "report"))
    settle(loaded, qtbot)
    assert "there already" in loaded.status.message.text()


def test_a_session_brings_run_crop_and_tab_back(loaded, qtbot, scan):
    choice = CropChoice(tuple(float(v) for v in CENTER + 4), 0.75, 30)
    use(loaded, qtbot, choice)
    loaded.panel.tabs.setCurrentIndex(POSITION)
    settle(loaded, qtbot)
    state = loaded.session_state()
    viewer = ViewerModel()
    add_volume(viewer, scan)
    other = Inspector(viewer)
    qtbot.addWidget(other, before_close_func=lambda one: settle(one, qtbot))
    settle(other, qtbot)
    other.restore_session(state)
    settle(other, qtbot)
    assert other.panel.chosen.present == choice
    assert other.panel.tabs.currentIndex() == POSITION
    np.testing.assert_allclose(
        other.panel.seen.record.center_mm, loaded.panel.seen.record.center_mm
    )
    other.restore_session({"run": "\0", "scan": 5})
    assert other.status.message.text() == "Not restored, because not usable: scan, run."
    wrong = {"crop": {"center": [1, 2], "scale": 1.0, "element": 0}, "tab": 99, "direction": "x"}
    assert other.panel.take_state(wrong) == ["crop", "tab", "direction"]


def parents(widget):
    while widget is not None:
        yield widget
        widget = widget.parentWidget()


def test_controls_are_explained_and_fit_a_narrow_dock(loaded):
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QSlider, QTableWidget)
    canvas = loaded.panel.crop_tab.view.qt_viewer
    for kind in kinds:
        for one in loaded.findChildren(kind):
            # The options of a plot, which nobody can open, and napari's own slider.
            if isinstance(one.window(), QMenu) or canvas in parents(one):
                continue
            inner = one.parent() is not None and isinstance(one.parent(), QTableWidget)
            named = one.toolTip() or inner or one.objectName().startswith("qt_")
            assert (
                named
                or "Scroll" in type(one.parent()).__name__
                or (type(one.parent()).__name__ == "QTabBar")
            ), (type(one).__name__, one.objectName(), type(one.parent()).__name__)
    assert loaded.minimumSizeHint().width() <= 380


def test_nothing_imports_torch_before_weights_are_loaded():
    words = (
        "import sys; import napari_mrissl.ui.inspector.vectorpose.panel; "
        "from napari_mrissl.ui.inspector import Inspector; "
        "print([m for m in ('torch', 'monai', 'pyqtgraph') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr
