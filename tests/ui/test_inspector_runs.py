"""Runs and scans that the Inspector opens, and those it cannot."""

import shutil

import pytest
from napari.components import ViewerModel
from napari.layers import Vectors

from napari_mrissl.training import index
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.method_panel import MethodPanel
from napari_mrissl.ui.inspector.vectorpose import arrows, hints
from napari_mrissl.ui.inspector.vectorpose.panel import ARROWS, BOUNDARIES, CONTROLS, POSITION
from napari_mrissl.ui.layers import add_volume
from tests.inspected import settle, shared_run, trained

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.fixture(scope="module")
def scan(make_geometry, marker_volume):
    return marker_volume(make_geometry((1, 2, 0), (-1, 1, 1), "anisotropic", 17.0))


@pytest.fixture
def inspector(qtbot, scan):
    """On a viewer without a window, with one scan and no run loaded."""
    viewer = ViewerModel()
    add_volume(viewer, scan)
    inspector = Inspector(viewer)
    qtbot.addWidget(inspector, before_close_func=lambda one: settle(one, qtbot))
    inspector.resize(400, 640)
    inspector.show()
    settle(inspector, qtbot)
    return inspector


@pytest.fixture
def own(inspector, qtbot, run_folder):
    """A loaded one for a test that takes its scans away."""
    inspector.load(run_folder)
    settle(inspector, qtbot)
    assert inspector.status.message.text() == ""
    return inspector


def test_runs_are_listed_and_the_newest_one_is_chosen(inspector, qtbot, run_folder):
    assert inspector.sources.chosen is None
    assert not inspector.sources.load.isEnabled()
    index.remember(run_folder)
    inspector.sources.refresh.click()
    settle(inspector, qtbot)
    chosen = inspector.sources.chosen
    assert (chosen.folder, chosen.method, chosen.step) == (run_folder, "vectorpose", 2)
    inspector.sources.load.click()
    settle(inspector, qtbot)
    assert inspector.panel.seen is not None


def test_a_run_that_was_killed_before_the_copy_of_its_weights_opens(
    inspector, qtbot, run_folder, tmp_path
):
    killed = shutil.copytree(run_folder, tmp_path / "killed")
    (killed / "weights.safetensors").unlink()
    index.remember(killed)
    inspector.sources.refresh.click()
    settle(inspector, qtbot)
    assert inspector.sources.chosen.folder == killed
    inspector.sources.load.click()
    settle(inspector, qtbot)
    assert inspector.panel.seen is not None


def test_what_cannot_be_inspected_is_said_in_a_sentence(inspector, qtbot, tmp_path, run_folder):
    inspector.load(tmp_path)
    settle(inspector, qtbot)
    assert "no weights yet" in inspector.status.message.text()
    assert inspector.panel is None
    from napari_mrissl.networks import weights

    _, card = weights.load(run_folder / "weights.safetensors")
    other = tmp_path / "weights.safetensors"
    weights.save(other, {}, {**card, "method": "masked"})
    inspector.load(tmp_path)
    settle(inspector, qtbot)
    assert "no panel inspects the method 'masked'" in inspector.status.message.text()
    weights.save(other, {}, card)
    inspector.load(tmp_path)
    settle(inspector, qtbot)
    assert "not those of their card" in inspector.status.message.text()
    assert inspector.panel.seen is None


def test_another_scan_and_none_and_the_layers_go_with_the_dock(own, qtbot, make_geometry,
                                                               marker_volume):  # fmt: skip
    viewer, panel = own._viewer, own.panel
    identity = panel.seen.record.identity
    assert own.sources.layer is viewer.layers[0]
    other = add_volume(viewer, marker_volume(make_geometry()))
    own.sources.scan.setCurrentIndex(1)
    settle(own, qtbot)
    assert panel.seen.record.identity != identity
    viewer.layers.remove(other)
    settle(own, qtbot)
    assert own.status.message.text() == ""
    assert panel.seen.record.identity == identity
    while any(layer.ndim == 3 and not isinstance(layer, Vectors) for layer in viewer.layers):
        viewer.layers.remove(next(x for x in viewer.layers if not isinstance(x, Vectors)))
    settle(own, qtbot)
    assert panel.seen is None
    assert "open a scan" in own.status.message.text()
    assert all(len(layer.data) == 0 for layer in viewer.layers)
    own.shut_down()
    assert len(viewer.layers) == 0


def test_a_run_that_only_restores_says_that_it_predicts_no_vectors(inspector, qtbot, tmp_path):
    run = trained(tmp_path / "stage one", vectors=False, boundary_in_paint=True)
    inspector.load(run)
    settle(inspector, qtbot)
    panel = inspector.panel
    assert isinstance(panel, MethodPanel)
    assert inspector.status.message.text() == hints.NO_VECTORS
    assert panel.crop_tab.position.text() == hints.NO_VECTORS
    # The true arrows need no network.
    assert len(inspector._viewer.layers[arrows.TRUE_ARROWS].data) == 9
    assert len(inspector._viewer.layers[arrows.PREDICTED_ARROWS].data) == 0
    for tab, words in ((ARROWS, panel.arrow_tab.facts), (POSITION, panel.position_tab.facts)):
        panel.tabs.setCurrentIndex(tab)
        settle(inspector, qtbot)
        assert words.text() == hints.NO_VECTORS
    assert panel.arrow_tab.table.item(0, 0) is None
    panel.tabs.setCurrentIndex(BOUNDARIES)
    settle(inspector, qtbot)
    assert "restored" in panel.boundary_tab.images.images
    panel.tabs.setCurrentIndex(CONTROLS)
    panel.control_tab.count.setValue(2)
    panel.control_tab.measure.click()
    settle(inspector, qtbot)
    said = panel.control_tab.facts.text()
    assert said.startswith(hints.NO_VECTORS)
    assert "Restored crops are off by" in said
    assert panel.control_tab.table.item(0, 0) is None


def test_a_run_of_arrows_alone_says_that_it_restores_nothing(inspector, qtbot, tmp_path):
    run = trained(tmp_path / "arrows", restoration="none")
    inspector.load(run)
    settle(inspector, qtbot)
    panel = inspector.panel
    assert inspector.status.message.text() == hints.NO_RESTORATION
    assert "mm (chance" in panel.crop_tab.position.text()
    panel.tabs.setCurrentIndex(POSITION)
    settle(inspector, qtbot)
    assert panel.sweep is not None
    panel.tabs.setCurrentIndex(BOUNDARIES)
    settle(inspector, qtbot)
    tab = panel.boundary_tab
    assert tab.errors.text() == hints.NO_RESTORATION
    assert not tab.images.images
    assert not tab.spoil.isEnabled()
    panel.tabs.setCurrentIndex(CONTROLS)
    panel.control_tab.count.setValue(2)
    panel.control_tab.measure.click()
    settle(inspector, qtbot)
    assert panel.control_tab.facts.text().endswith(hints.NO_RESTORATION)
    assert panel.control_tab.table.item(0, 0) is not None
