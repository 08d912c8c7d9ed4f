"""What the registration panel refuses, remembers and leaves; how it looks when it is narrow."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel, QWidget
from registration_actions import QUICK, SHAPE, affine, fixed, moving, settle

from napari_mrissl.registration import PRESETS, RegistrationSettings
from napari_mrissl.ui.layers import add_labels, add_volume, to_napari
from napari_mrissl.ui.registration import RegistrationPanel
from napari_mrissl.ui.registration.pair_box import FIXED, MOVING
from napari_mrissl.ui.registration.settings_box import OWN
from napari_mrissl.volumes import Volume

pytestmark = [pytest.mark.gui, pytest.mark.timeout(900)]


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


def said(panel) -> str:
    panel.register()
    settle(panel)
    return panel.status.message.text()


def test_bad_input_is_one_sentence_in_the_panel(panel, viewer):
    pair, layers = panel.pair, viewer.layers
    small = Volume.from_stored(np.ones((4, 4, 4), np.uint8), np.eye(4), name="small")
    add_labels(viewer, fixed(), np.zeros(SHAPE, np.uint8), "empty")
    add_labels(viewer, small, np.ones((4, 4, 4), np.uint8), "elsewhere")
    viewer.add_points(np.zeros((2, 3)), name="two")
    viewer.add_points(np.zeros((3, 3)), name="three")
    viewer.add_points(np.zeros((0, 3)), ndim=3, name="none at all")

    pair.choose(MOVING, "scan", layers["fixed scan"])
    assert "the same layer" in said(panel)
    pair.choose(MOVING, "scan", layers["moving scan"])
    pair.choose(FIXED, "points", layers["two"])
    assert "one of the scans only" in said(panel)
    pair.choose(MOVING, "points", layers["three"])
    assert "as many as two, 2" in said(panel)
    pair.choose(MOVING, "points", layers["two"])
    assert "chosen twice" in said(panel)
    pair.choose(FIXED, "points", None)
    pair.choose(MOVING, "points", None)
    pair.choose(FIXED, "mask", layers["empty"])
    assert "mask of fixed scan: is empty" in said(panel)
    pair.choose(FIXED, "mask", None)
    pair.choose(MOVING, "labels", layers["elsewhere"])
    assert "is on another grid than its scan moving scan" in said(panel)
    assert panel.result is None
    assert panel.start.isEnabled()
    assert "\n" not in panel.status.message.text()

    panel.settings_box.show_settings(QUICK.model_copy(update={"memory_gib": 0.05, "search": 8}))
    settle(panel)
    panel.settings_box.more.fields["fixed_window"].unreadable.emit("is no range")
    panel.register()
    assert "red name" in panel.status.message.text()
    assert not panel.busy


def test_scans_that_do_not_overlap_are_refused_by_the_engine(panel, viewer):
    far = affine()
    far[:3, 3] += 500
    add_volume(viewer, Volume.from_stored(moving().data, far, name="far"))
    panel.pair.choose(MOVING, "scan", viewer.layers["far"])
    assert "do not overlap" in said(panel)
    assert "begin with centres" in panel.status.message.text()
    assert "far moved" not in viewer.layers


def test_presets_fill_the_form_and_swapping_takes_windows_along(panel, viewer, qtbot):
    box = panel.settings_box
    assert box.preset.currentData() == OWN
    for name, wanted in PRESETS.items():
        box.preset.setCurrentIndex(box.preset.findData(name))
        assert box.settings == wanted
        assert box.preset.currentData() == name
    assert box.settings.fixed_window == (-450, 450)
    panel.pair.swap.click()
    assert [panel.pair.side(one).scan.name for one in (FIXED, MOVING)] == [
        "moving scan",
        "fixed scan",
    ]
    assert (box.settings.fixed_window, box.settings.moving_window) == (None, (-450, 450))
    assert box.preset.currentData() == OWN
    # A network's weights are asked for only where they count.
    assert not box.weights.isVisibleTo(box)
    box.features.setCurrentIndex(box.features.findData("both"))
    assert box.weights.isVisibleTo(box)
    assert box.settings.features == "both"
    box.deformable.setChecked(False)
    assert not box.weights.isVisibleTo(box)
    settle(panel)
    assert box.cost.text() == "Without a field it takes a minute or less."
    box.deformable.setChecked(True)
    box.more.fields["spacing_mm"].parts[0].setValue(4.0)
    settle(panel)
    assert "at 4 mm" in box.cost.text()


def test_layers_that_come_and_go(panel, viewer):
    pair = panel.pair
    assert pair.choices[FIXED, "labels"].layer is None
    viewer.layers["moving scan"].name = "renamed"
    assert pair.choices[MOVING, "scan"].currentText() == "renamed"
    labels = add_labels(viewer, fixed(), np.ones(SHAPE, np.uint8), "parts")
    pair.choose(FIXED, "labels", labels)
    viewer.layers.remove(labels)
    assert pair.side(FIXED).labels is None
    viewer.layers.remove(viewer.layers["renamed"])
    assert pair.side(MOVING).scan is None
    assert said(panel).startswith("no two scans are chosen")


def test_a_session_keeps_choices_and_says_what_is_not_usable(panel, viewer):
    viewer.add_points(to_napari(np.zeros((1, 3))), name="marks")
    panel.pair.choose(MOVING, "points", viewer.layers["marks"])
    panel.pair.swap.click()
    wanted = RegistrationSettings(features="intensity", moving_window=(0, 90), grid=3)
    panel.settings_box.show_settings(wanted)
    panel.tabs.setCurrentIndex(2)
    state = panel.session_state()
    other = RegistrationPanel(viewer)
    other.restore_session(state)
    assert other.session_state() == state
    assert other.settings_box.settings == wanted
    assert not other.status.message.text()
    other.restore_session(
        {"layers": {"fixed scan": "gone", "moving scan": 3}, "settings": {"grid": "x"}, "tab": 99}
    )
    assert other.status.message.text() == (
        "Not restored, because not usable: fixed scan, moving scan, settings, tab."
    )
    assert other.settings_box.settings == wanted
    settle(other)
    other.shut_down()
    other.deleteLater()


def test_nothing_is_cut_off_in_a_narrow_dock(panel, viewer, qtbot):
    parts = (panel.pair, panel.settings_box, panel.run_tab, panel.views_tab, panel.scores_tab)
    widths = {type(part).__name__: part.minimumSizeHint().width() for part in parts}
    assert panel.minimumSizeHint().width() <= 320, widths
    panel.parentWidget().setMaximumWidth(330)
    panel.settings_box.features.setCurrentIndex(panel.settings_box.features.findData("network"))
    panel.settings_box.folding.expand(animate=False)
    for tab in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(tab)
        qtbot.wait(100)
        for part in panel.tabs.currentWidget().findChildren(QWidget):
            if part.isVisible() and isinstance(part, QLabel | QAbstractButton | QComboBox):
                right = part.mapTo(panel, QPoint(part.width(), 0)).x()
                assert right <= panel.width() + 1, (tab, part)
                if isinstance(part, QAbstractButton) and part.text():
                    assert part.width() >= part.minimumSizeHint().width() - 1, part.text()
                if isinstance(part, QLabel) and part.text() and not part.wordWrap():
                    assert part.width() >= part.sizeHint().width() - 1, part.text()
