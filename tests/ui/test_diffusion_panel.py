"""The Inspector's panel of diffusion, with real widgets and random weights."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QSlider,
    QTableWidget,
)

from napari_mrissl.evaluation.weights import scan_for
from napari_mrissl.pretext.diffusion import looking
from napari_mrissl.pretext.diffusion.sampling import guided
from napari_mrissl.pretext.diffusion.seams import seams
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.diffusion import panel as panels
from napari_mrissl.ui.inspector.diffusion.denoise_tab import BEHIND, CLEAN
from napari_mrissl.ui.inspector.diffusion.probe_grid import FILE
from napari_mrissl.ui.inspector.diffusion.work import PatchChoice
from napari_mrissl.ui.inspector.method_panel import MethodPanel
from napari_mrissl.ui.layers import add_volume
from tests.coordinated import SIDE, VOXEL_MM, diffusion_run
from tests.observed import assert_same_points, corners_by_hand, corners_of, turned

pytestmark = pytest.mark.gui

CENTER = np.array([11.0, -7.0, 23.0])
SECONDS = 60_000
DEGREES = 17.0
EDGE_MM = SIDE * VOXEL_MM


def settle(inspector, qtbot):
    qtbot.waitUntil(lambda: not inspector.busy, timeout=SECONDS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diffused")
    return {
        "guided": diffusion_run(folder / "guided"),
        "none": diffusion_run(folder / "none", coordinates="none", schedule="cosine"),
    }


@pytest.fixture(scope="module")
def scan(make_geometry, marker_volume):
    """Oblique, permuted and anisotropic: 0.5 x 0.7 x 5 mm."""
    found = marker_volume(make_geometry((1, 2, 0), (-1, 1, 1), "anisotropic", DEGREES))
    return replace(found, name="oblique")


@pytest.fixture
def opened(qtbot, scan, runs):
    """On a viewer without a window, with one scan and a loaded run."""
    viewer = ViewerModel()
    viewer.dims.ndisplay = 3
    add_volume(viewer, scan)
    inspector = Inspector(viewer)
    qtbot.addWidget(inspector, before_close_func=lambda one: one.shut_down())
    inspector.resize(430, 660)
    inspector.show()
    inspector.load(runs["guided"])
    qtbot.waitUntil(lambda: getattr(inspector.panel, "seen", None) is not None, timeout=SECONDS)
    settle(inspector, qtbot)
    assert inspector.status.message.text() == ""
    return inspector


@pytest.fixture
def panel(opened):
    return opened.panel


def patch_corners(panel):
    layer = panel.boxes.layers[panels.PATCH]
    assert layer in panel.viewer.layers
    return corners_of(layer.data[..., ::-1])


def at_world(layer, offset, *before):
    """The value of a layer at mm along the scan's axes from the scan's middle."""
    world = CENTER + turned(DEGREES) @ np.asarray(offset)
    index = layer.world_to_data((*before, *world[::-1]))
    return np.asarray(layer.data[tuple(np.rint(index).astype(int))])


def test_the_box_is_where_the_affine_says_and_follows_a_click(panel, opened, qtbot):
    turn = turned(DEGREES)
    center = CENTER + turn @ panel.seen.views.centers_mm[0]
    assert_same_points(patch_corners(panel), corners_by_hand(center, np.full(3, EDGE_MM), turn))
    offset = np.array([6.0, -3.0, 8.0])
    panel.place(tuple(CENTER + turn @ offset))
    settle(opened, qtbot)
    wanted = corners_by_hand(CENTER + turn @ offset, np.full(3, EDGE_MM), turn)
    assert_same_points(patch_corners(panel), wanted)
    # Near the border it is moved into the scan; beside it a click is refused.
    panel.place(tuple(CENTER + turn @ (27.0, 0.0, 0.0)))
    settle(opened, qtbot)
    # What is 56 mm wide has voxels of 0.7 mm that fill 56 mm.
    assert panel.seen.views.centers_mm[0, 0] <= 28 - EDGE_MM / 2 + 0.4
    panel.place((500.0, 0.0, 0.0))
    assert "outside of the scan" in opened.status.message.text()
    panel.denoise_tab.back.click()
    settle(opened, qtbot)
    assert_same_points(patch_corners(panel), wanted)
    panel.denoise_tab.forward.click()
    settle(opened, qtbot)
    panel.denoise_tab.new.click()
    settle(opened, qtbot)
    assert panel.choice == PatchChoice(1)


def test_the_slider_says_t_and_snr_and_shows_that_noise(panel, opened, qtbot):
    tab, schedule = panel.denoise_tab, panel.loaded.inspector.schedule
    for step in (3, 150):
        tab.step.setValue(step)
        settle(opened, qtbot)
        a2 = schedule.alpha_bar[step]
        ratio = 10 * np.log10(a2 / (1 - a2))
        assert f"t = {step} of 0 to 199: SNR {ratio:+.1f} dB (linear" in tab.at.text()
        look = panel.seen.look
        a, s = a2**0.5, (1 - a2) ** 0.5
        noisy = a * (2 * look.clean - 1) + s * look.noise
        np.testing.assert_allclose(2 * look.noisy - 1, noisy, atol=1e-5)
        # What is seen, and the noise that is estimated, make up the noisy patch again.
        inside = np.abs(2 * look.seen - 1) < 0.999
        again = a * (2 * look.seen - 1) + s * look.said
        np.testing.assert_allclose(again[inside], noisy[inside], atol=1e-4)
        error = float(np.sqrt(((look.seen - look.clean) ** 2).mean()))
        assert f"off by {error:.3f}" in tab.facts.text()
    assert tab.pictures.pictures[CLEAN].image is not None
    before = tab.pictures.pictures[BEHIND].image
    tab.guide.setCurrentText("shifted")
    settle(opened, qtbot)
    assert tab.pictures.pictures[BEHIND].image != before
    tab.pictures.depth.setValue(100)
    assert tab.pictures.at.text() == f"{EDGE_MM / 2:+.0f} mm"


def test_pictures_have_the_letters_of_the_scan(panel):
    pictures = panel.denoise_tab.pictures
    pictures.plane.setCurrentIndex(0)
    sides = pictures.pictures[CLEAN].sides
    assert sides.top.startswith("A")
    assert sides.right.startswith("R")
    panel.slice_state.set_convention("radiological")
    assert pictures.pictures[CLEAN].sides.right.startswith("L")


def test_the_strip_is_scrubbed_and_lies_where_the_patch_does(panel, opened, qtbot):
    tab = panel.steps_tab
    tab.count.setValue(5)
    panel.tabs.setCurrentIndex(panels.STEPS)
    tab.draw.click()
    assert opened.busy
    settle(opened, qtbot)
    layer = panel.maps.layers[panels.STRIP]
    assert layer.data.shape[0] == 6
    assert panel.viewer.dims.ndim == 4
    assert layer.axis_labels[0] == "denoising step"
    np.testing.assert_allclose(panel.strip[0], (panel.seen.look.noise + 1) / 2, atol=1e-6)
    # A patch that rises along S and from step to step, in place of it.
    views = panel.seen.views
    rise = np.broadcast_to((np.arange(SIDE) + 0.5)[:, None, None] / SIDE, (SIDE,) * 3)
    panel._on_strip(np.stack([rise * part for part in (0.5, 1.0)]).astype(np.float32), views, "off")
    middle = views.centers_mm[0]
    for away, wanted in ((0.0, 0.5), (4.0, 0.5 + 4 / EDGE_MM), (-5.0, 0.5 - 5 / EDGE_MM)):
        place = middle + np.array([1.0, -2.0, away])
        assert at_world(layer, place, 1) == pytest.approx(wanted, abs=0.05)
        assert at_world(layer, place, 0) == pytest.approx(wanted / 2, abs=0.05)
    assert at_world(layer, middle + np.array([0, 0, EDGE_MM / 2 + 2]), 1) == 0
    tab.remove.click()
    assert layer not in panel.viewer.layers
    assert panel.viewer.dims.ndim == 3


def test_guides_are_compared_by_the_same_noise(panel, opened, qtbot):
    tab = panel.guidance_tab
    tab.count.setValue(3)
    tab.compare.click()
    settle(opened, qtbot)
    found = panel.guided.drawn
    assert set(found) == {"true", "off", "shifted", "shuffled"}
    apart = np.abs(found["off"] - found["true"]).mean()
    assert apart > 1e-3
    assert f"off {apart:.3f}" in tab.words.text()
    assert all(one.image is not None for one in tab.pictures.pictures.values())
    # Without strength all are told nothing, and the tab says so.
    tab.strength.setValue(0.0)
    tab.compare.click()
    settle(opened, qtbot)
    found = panel.guided.drawn
    np.testing.assert_array_equal(found["true"], found["shuffled"])
    assert "ignores what it is told" in tab.words.text()
    panel.denoise_tab.new.click()
    assert tab.pictures.pictures["true"].image is None


def test_seams_are_counted_and_spread_as_by_a_loop(panel, opened, qtbot):
    panel.denoise_tab.step.setValue(60)
    panel.seams_tab.map.click()
    settle(opened, qtbot)
    found = panel.seams
    inspector, scan = panel.loaded.inspector, panel.loaded.scan
    assert found.lattice.shape == tuple(
        np.ceil(np.array(scan.volume.shape) * scan.volume.spacing / VOXEL_MM - 1e-6)
    )
    # One voxel, by every box that holds it.
    voxel = (20, 13, 24)
    noise = np.random.default_rng(0).standard_normal(found.lattice.shape, np.float32)
    starts = [sorted({*range(0, n - SIDE, SIDE // 2), n - SIDE}) for n in found.lattice.shape]
    said = []
    a, s = inspector.schedule.signal[60], inspector.schedule.noise[60]
    for corner in np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3):
        inside = np.array(voxel) - corner
        if ((inside < 0) | (inside >= SIDE)).any():
            continue
        where = tuple(slice(one, one + SIDE) for one in corner)
        patch = torch.from_numpy(2 * found.clean[where] - 1)[None, None]
        noisy = a * patch + s * torch.from_numpy(noise[where])[None, None]
        answer = guided(inspector.network, inspector.network.where(patch))(noisy, 60)
        seen = ((noisy - s * answer) / a).clamp(-1, 1)
        said.append((float(seen[(0, 0, *inside)]) + 1) / 2)
    assert len(said) > 1
    assert found.count[voxel] == len(said)
    assert found.mean[voxel] == pytest.approx(np.mean(said), abs=1e-5)
    assert found.variance[voxel] == pytest.approx(np.var(said), abs=1e-5)
    # The layer is where the voxel is.
    offset = ((np.array(voxel) - (np.array(found.lattice.shape) - 1) / 2) * VOXEL_MM)[::-1]
    layer = panel.maps.layers[panels.COUNT]
    assert at_world(layer, offset) == pytest.approx(found.count[voxel], abs=1.0)
    assert f"{found.numbers['between']:.3f}" in panel.seams_tab.words.text()
    panel.seams_tab.remove.click()
    assert [one.name for one in panel.viewer.layers] == ["oblique", panels.PATCH]


def test_one_patch_that_fills_a_scan_has_no_seams(panel, make_geometry, marker_volume):
    inspector = panel.loaded.inspector
    settings = inspector.settings
    wide = settings.patch.model_copy(update={"voxel_mm": 19.0})
    other = type(inspector)(
        settings.model_copy(update={"patch": wide}), inspector.network, inspector.card
    )
    cube = scan_for(marker_volume(make_geometry()), inspector.card)
    found = seams(other, cube, 60, "off", 0)
    assert found.lattice.shape == (SIDE,) * 3
    assert found.count.max() == 1
    assert found.numbers["between"] == 0


def test_cells_of_the_grid_show_features_where_the_patch_is(panel, opened, qtbot, tmp_path):
    tab = panel.probe_tab
    assert (tab.table.rowCount(), tab.table.columnCount()) == (5, 2)
    assert tab.table.item(0, 0).text() == "show"
    panel.open_table(tmp_path)
    assert FILE in opened.status.message.text()
    table = {"ratios_db": [10.0, 0.0], "levels": [1, 0], "dice": [[0.9, 0.1], [0.5, 0.25]]}
    (tmp_path / FILE).write_text(json.dumps(table), "utf-8")
    panel.open_table(tmp_path)
    assert tab.table.item(0, 0).text() == "0.900"
    assert "Dice" in tab.words.text()
    assert tab.table.verticalHeaderItem(0).text() == "+10 dB"
    panel.tabs.setCurrentIndex(panels.PROBE)
    cell = tab.table.visualItemRect(tab.table.item(1, 1)).center()
    qtbot.mouseClick(tab.table.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    settle(opened, qtbot)
    layer = panel.maps.layers[panels.FEATURES]
    step = panel.loaded.inspector.schedule.step_of(0.0)
    coarse = looking.colours(panel.loaded.inspector, panel.seen.patches, step, 0)
    assert coarse.shape == (SIDE // 2,) * 3 + (3,)
    # Columns are what their names say, in whatever order.
    assert layer.data.shape[0] < SIDE
    # Colours that rise along A, in place of them: a cell is two voxels of the patch wide.
    rise = np.zeros_like(coarse)
    rise[..., 1] = 10 * np.arange(1, SIDE // 2 + 1)[:, None]
    panel._on_features(rise, panel.seen.views, 0.0, "0")
    index = np.array([2, 5, 3])
    offset = ((index + 0.5) * 2 * VOXEL_MM - EDGE_MM / 2)[::-1] + panel.seen.views.centers_mm[0]
    np.testing.assert_allclose(at_world(layer, offset), (0, 60, 0), atol=4)
    tab.remove.click()
    assert layer not in panel.viewer.layers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "is no JSON"),
        ("[1]", "no table of probes"),
        ('{"ratios_db": [1], "levels": [0], "dice": [[1, 2]]}', "dice of shape"),
        ('{"ratios_db": [1], "levels": [0], "dice": [[NaN]]}', "beyond their range"),
    ],
)
def test_damaged_tables_are_said_in_a_sentence(panel, opened, tmp_path, text, words):
    (tmp_path / FILE).write_text(text, "utf-8")
    panel.open_table(tmp_path)
    assert words in opened.status.message.text()
    assert panel.probe_tab.table.rowCount() == 5


def test_a_table_of_a_deeper_network_is_refused_at_its_cell(panel, opened, tmp_path):
    table = {"ratios_db": [1], "levels": [0, 1, 2], "dice": [[0, 0, 0]]}
    (tmp_path / FILE).write_text(json.dumps(table), "utf-8")
    panel.open_table(tmp_path)
    panel.show_features(0, 2)
    assert "has 2 levels" in opened.status.message.text()


def test_a_run_without_guidance_says_so_and_works(panel, opened, qtbot, runs):
    opened.load(runs["none"])
    qtbot.waitUntil(
        lambda: panel.loaded is not None and not panel.loaded.inspector.settings.guided
        and panel.seen is not None, timeout=SECONDS,
    )  # fmt: skip
    settle(opened, qtbot)
    assert "told no coordinates" in panel.guidance_tab.words.text()
    assert not panel.guidance_tab.compare.isEnabled()
    assert panel.denoise_tab.guide.count() == 1
    assert "cosine schedule" in panel.denoise_tab.at.text()
    panel.seams_tab.map.click()
    settle(opened, qtbot)
    assert panel.seams is not None


def test_a_scan_that_is_moved_or_gets_other_data_is_looked_at_again(panel, opened, qtbot):
    scan, before, first = panel.layer, patch_corners(panel), panel.seen
    panel.draw_strip()
    settle(opened, qtbot)
    scan.translate = np.asarray(scan.translate) + np.array([30.0, -20.0, 10.0])
    qtbot.waitUntil(lambda: panel.seen not in (None, first), timeout=SECONDS)
    settle(opened, qtbot)
    # What was made of the scan in its old place is gone; the patch goes with the scan.
    assert panel.strip is None
    assert_same_points(patch_corners(panel), before + np.array([10.0, -20.0, 30.0]))
    second = panel.seen
    scan.data = np.asarray(scan.data)[:, ::-1].copy()
    qtbot.waitUntil(lambda: panel.seen not in (None, second), timeout=SECONDS)
    settle(opened, qtbot)
    assert np.abs(panel.seen.look.clean - second.look.clean).max() > 0.1


def test_cancelling_ends_long_work_and_all_layers_go_with_the_panel(panel, opened, qtbot):
    panel.steps_tab.count.setValue(200)
    panel.steps_tab.draw.click()
    opened._on_cancel()
    settle(opened, qtbot)
    assert panel.strip is None
    assert panels.STRIP not in panel.maps.layers
    panel.steps_tab.count.setValue(2)
    panel.steps_tab.draw.click()
    settle(opened, qtbot)
    assert panel.strip is not None
    state = panel.state()
    panel.steps_tab.count.setValue(9)
    assert panel.take_state(state) == []
    assert panel.steps_tab.count.value() == 2
    # No map of a dock is offered as a scan.
    assert opened.sources.scan.count() == 1
    opened.shut_down()
    assert [one.name for one in panel.viewer.layers] == ["oblique"]


def test_every_control_says_what_it_is_and_nothing_is_cut_off(panel, opened, qtbot):
    controls = panel.findChildren(
        (QAbstractButton, QComboBox, QAbstractSpinBox, QSlider, QTableWidget)
    )
    ours = [one for one in controls if type(one.parent()).__module__.startswith("napari_mrissl")]
    assert len(ours) > 20
    assert [one for one in ours if not one.toolTip()] == []
    for number in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(number)
        qtbot.wait(20)
        for one in ours:
            if one.isVisible() and isinstance(one, QAbstractButton):
                assert one.width() >= one.fontMetrics().horizontalAdvance(one.text()), one.text()


def test_nothing_imports_torch_before_weights_are_loaded():
    words = (
        "import sys; import napari_mrissl.ui.inspector.diffusion.panel; "
        "print([m for m in ('torch', 'monai') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_panel_is_one_of_a_method_and_fits_a_narrow_dock(panel, opened):
    assert isinstance(panel, MethodPanel)
    assert opened.minimumSizeHint().width() <= 430
