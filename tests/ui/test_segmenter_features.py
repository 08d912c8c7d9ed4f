"""Clicks classified by a network's features: chosen by name, computed apart, kept and replayed."""

import subprocess
import sys

import pytest
import small_networks
import ui.segmenter_actions as user

from napari_mrissl.features import FilterBankSettings
from napari_mrissl.features.combined import CombinedSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.networks.weight_library import weights_named
from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.ui.layers import add_volume

pytestmark = pytest.mark.gui


@pytest.fixture
def name(tmp_path):
    """Weights in the library."""
    return small_networks.imported(tmp_path, "tiny")


@pytest.fixture
def panel(make_napari_viewer, qtbot, name):
    """A panel on one scan, ready."""
    viewer = make_napari_viewer()
    add_volume(viewer, user.ball())
    return user.docked(viewer, qtbot)


def entries(panel):
    combo = panel.settings_box.features.combo
    return [combo.itemText(number) for number in range(combo.count())]


def choose(panel, text):
    combo = panel.settings_box.features.combo
    combo.setCurrentIndex(entries(panel).index(text))


def test_clicks_are_classified_by_a_network_that_is_chosen(panel, qtbot, name):
    assert entries(panel)[0] == "Filter bank"
    assert entries(panel)[-2:] == ["Network: tiny", "Filters + network: tiny"]
    user.two_clicks(panel, qtbot)
    before = user.shown(panel).copy()
    choose(panel, "Filters + network: tiny")
    user.settle(panel, qtbot)
    assert panel.settings.features == CombinedSettings(network=NetworkSettings(weights=name))
    stack = panel.controller.session.stack
    assert len(stack.data) == 11 + small_networks.SIZE.out_channels
    assert "Segmented from 2 marked places" in user.said(panel)
    assert not (user.shown(panel) == before).all()
    assert (user.shown(panel) == user.expected(panel)).all()
    record = panel.result_layer.metadata["mrissl"]["segmentation"]
    kept = record["settings"]["features"]["network"]["weights"]
    assert kept == weights_named(name).identity
    panel.replay()
    user.settle(panel, qtbot)
    assert "voxels are identical" in user.said(panel)
    choose(panel, "Filter bank")
    user.settle(panel, qtbot)
    assert (user.shown(panel) == before).all()


def test_the_form_follows_the_choice_and_filters_are_remembered(panel, qtbot):
    box = panel.settings_box
    box.form.magic("features.groups", "mind").value = True
    chosen = panel.settings.features
    assert "mind" in chosen.groups
    choose(panel, "Network: tiny")
    assert panel.settings.features == NetworkSettings(weights="tiny")
    assert set(box.form._editors) >= {"features.normalise", "classifier"}
    assert not any("groups" in path or "weights" in path for path in box.form._editors)
    box.form.magic("features.normalise").value = "none"
    assert panel.settings.features == NetworkSettings(weights="tiny", normalise="none")
    choose(panel, "Filters + network: tiny")
    assert panel.settings.features.filters == chosen
    assert panel.settings.features.network.normalise == "none"
    box.form.magic("features.filters.groups", "hessian").value = False
    choose(panel, "Filter bank")
    assert panel.settings.features.groups == tuple(g for g in chosen.groups if g != "hessian")
    user.settle(panel, qtbot)


def test_weights_that_are_gone_are_said_and_marks_are_kept(panel, qtbot):
    panel.settings = SegmentSettings(features=NetworkSettings(weights="gone"))
    user.settle(panel, qtbot)
    assert entries(panel)[-2:] == [
        "Network: gone (not here)", "Filters + network: gone (not here)",
    ]  # fmt: skip
    assert "'gone' is not there" in user.said(panel)
    panel.add_click(user.CENTER, 1)
    panel.add_click(user.SHELL, 2)
    user.settle(panel, qtbot)
    assert "'gone' is not there" in user.said(panel)
    for weights, shown in (("random", "random"), ("ab" * 32, "abababab")):
        panel.settings_box.features.show_features(NetworkSettings(weights=weights))
        assert panel.settings_box.features.combo.currentText() == f"Network: {shown}"
    panel.settings_box.features.show_features(panel.settings.features)
    assert panel.controller.session.journal_name is not None
    choose(panel, "Filter bank")
    user.settle(panel, qtbot)
    assert (user.shown(panel) == user.expected(panel)).all()


def test_a_session_keeps_the_choice(panel, make_napari_viewer, qtbot):
    choose(panel, "Network: tiny")
    user.settle(panel, qtbot)
    kept = panel.session_state()
    other = make_napari_viewer()
    add_volume(other, user.ball())
    again = user.docked(other, qtbot)
    assert again.settings.features == FilterBankSettings()
    again.restore_session(kept)
    user.settle(again, qtbot)
    assert again.settings.features == NetworkSettings(weights="tiny")
    combo = again.settings_box.features.combo
    assert combo.currentText() == "Network: tiny"


SCRIPT = """
import sys, time
import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.segmenter import PromptSegmenter
from napari_mrissl.volumes import Volume

viewer = napari.Viewer(show=False)
voxels = np.random.default_rng(0).integers(0, 200, (20, 20, 20)).astype(np.uint8)
voxels[5:15, 5:15, 5:15] += 50
add_volume(viewer, Volume.from_stored(voxels, np.eye(4)))
panel = PromptSegmenter(viewer)
viewer.window.add_dock_widget(panel, name="Click segmentation")
panel.settings = SegmentSettings(features=NetworkSettings(weights="random", width=2, depth=1))
panel.add_click((10.0, 10.0, 10.0), 1)
panel.add_click((1.0, 1.0, 1.0), 2)
until = time.monotonic() + 120
while (panel.busy or panel.result_layer is None) and time.monotonic() < until:
    QApplication.processEvents()
    time.sleep(0.002)
print(panel.run_box.status.text().split(" in ")[0], "torch" in sys.modules)
viewer.close()
"""


def test_torch_never_enters_the_viewers_process():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, encoding="utf-8", timeout=240
    )
    assert "Segmented from 2 marked places False" in done.stdout, done.stdout + done.stderr
