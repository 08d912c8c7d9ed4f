"""The feature explorer when things change under it: cancelled, re-chosen, renamed, gone."""

import threading

import numpy as np
import pytest
from explorer_actions import affine, anatomy, cosines, explored, settle
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.ui.explorer import FeatureExplorer, sources, work
from napari_mrissl.ui.explorer.layers import MARKS
from napari_mrissl.ui.layers import add_volume, volume_of

pytestmark = pytest.mark.gui

VOXEL = (9, 12, 7)
WORLD = tuple(float(v) for v in (affine() @ [*VOXEL, 1])[:3])


@pytest.fixture
def explorer(qtbot):
    """On a viewer without a window, with two scans of one anatomy."""
    viewer = ViewerModel()
    add_volume(viewer, anatomy("bright"))
    add_volume(viewer, anatomy("dark", inverted=True))
    explorer = FeatureExplorer(viewer)
    qtbot.addWidget(explorer, before_close_func=settle)
    explorer.show()
    settle(explorer)
    return explorer


@pytest.fixture
def go(monkeypatch):
    """While this is not set, computing features waits, but hears of being cancelled."""
    allowed, compute = threading.Event(), work.compute

    def waiting(control, **asked):
        while not allowed.wait(0.005):
            if control.cancelled():
                raise Cancelled
        return compute(control, **asked)

    monkeypatch.setattr(work, "compute", waiting)
    allowed.set()
    return allowed


def pick(explorer, name):
    viewer = explorer._viewer
    viewer.layers.selection.active = viewer.layers[name]
    explorer.exploration.pick(WORLD)


def rows(explorer):
    table = explorer.match_tab.table
    return {table.item(n, 0).text(): table.item(n, 1).text() for n in range(table.rowCount())}


def test_cancelled_computing_leaves_the_way_of_comparing_and_is_acknowledged(explorer, go):
    held = explored(explorer, "bright", source="intensity")
    pick(explorer, "bright")
    go.clear()
    # Compared as they are, once they are there.
    explorer.scans.choose_source("network:random")
    explorer.compute()
    assert held.computing.title == "Intensity, standardised"
    explorer.cancel.click()
    assert explorer.message.text() == "Cancelling..."
    assert not explorer.cancel.isEnabled()
    settle(explorer)
    assert "Cancelled" in explorer.message.text()
    assert held.computing.title == "Intensity, standardised"
    assert held.showing.standardised
    # The click whose answer was on its way is answered nevertheless.
    assert set(held.found) == set(held.explored)


def test_a_way_of_comparing_chosen_while_computing_counts_when_features_are_there(explorer, go):
    held = explorer.exploration
    explorer.scans.choose_source("intensity")
    explorer.scans.choose_scans(["bright"])
    go.clear()
    explorer.compute()
    explorer.scans.choose_comparison("plain")
    go.set()
    settle(explorer)
    assert held.computing.title == "Intensity"
    assert not held.showing.standardised
    pick(explorer, "bright")
    settle(explorer)
    (one,) = held.explored
    np.testing.assert_allclose(one.front, cosines(one.stack.data, VOXEL), atol=1e-4)


def test_when_a_scan_leaves_the_others_are_answered_for(explorer):
    explored(explorer, "bright", "dark", source="intensity")
    pick(explorer, "bright")
    explorer._viewer.layers.remove("dark")
    settle(explorer)
    assert rows(explorer) == {"bright": "1.000"}
    assert explorer.match_tab.place.text().startswith("Clicked in bright at ")


def test_when_the_clicked_scan_leaves_the_scan_that_is_asked_is_named(explorer):
    held, viewer = explored(explorer, "bright", "dark", source="intensity"), explorer._viewer
    pick(explorer, "bright")
    settle(explorer)
    viewer.layers.remove("bright")
    settle(explorer)
    (one,) = held.explored
    assert "which has no features now: dark is asked." in explorer.match_tab.place.text()
    expected, _ = one.compared.whole(one.compared.at(VOXEL))
    np.testing.assert_allclose(one.front, expected, atol=1e-6)
    assert rows(explorer) == {"dark": "1.000"}
    assert list(viewer.layers[MARKS].features["what"]) == ["clicked"]


def test_scans_of_one_name_are_told_apart(explorer):
    viewer = explorer._viewer
    add_volume(viewer, anatomy("bright", inverted=True))
    held = explored(explorer, "bright", "bright [1]", "dark", source="intensity")
    pick(explorer, "dark")
    settle(explorer)
    assert set(rows(explorer)) == {"bright", "bright [1]", "dark"}
    marks = list(viewer.layers[MARKS].features["what"])
    assert sorted(marks) == ["best in bright", "best in bright [1]", "clicked"]
    for one in held.explored:
        assert f"similarity in {one.layer.name}" in viewer.layers
    tab = explorer.colour_tab
    assert {tab.scan.itemText(n) for n in range(3)} == {"bright", "bright [1]", "dark"}


def test_measured_images_are_added_once_and_never_taken_for_others_of_their_name(explorer):
    tab, viewer = explorer.meter_tab, explorer._viewer
    explorer.scans.choose_source("intensity")
    tab.side.setCurrentIndex(0)
    shown = []
    for seed in (0, 0, 5):
        tab.seed.setValue(seed)
        tab.measure.click()
        settle(explorer)
        tab.show_images.click()
        pair = {tab.measured.before.identity, tab.measured.after.identity}
        assert {volume_of(layer).identity for layer in explorer.scans.ticked} == pair
        shown.append([layer.name for layer in explorer.scans.ticked])
        settle(explorer)
    assert shown[0] == shown[1] == ["pair 0, view 2", "pair 0, view 1"]
    assert shown[2] == ["pair 0, view 2 [1]", "pair 0, view 1 [1]"]
    assert len(viewer.layers) == 6


def test_a_recoloured_scan_is_added_beside_the_scan_itself(explorer):
    tab = explorer.meter_tab
    explorer.scans.choose_source("intensity")
    explorer.scans.choose_scans(["bright"])
    tab.images.setCurrentIndex(1)
    names = []
    for noise in (0.05, 0.2):
        tab.noise.set_value(noise)
        explorer.scans.choose_scans(["bright"])
        tab.measure.click()
        settle(explorer)
        tab.show_images.click()
        names.append([layer.name for layer in explorer.scans.ticked])
        settle(explorer)
    copy = tab.measured.after.name
    assert names == [[copy, "bright"], [f"{copy} [1]", "bright"]]


def test_what_is_known_of_a_measured_pair_is_not_said_of_other_scans(explorer):
    tab, truth = explorer.meter_tab, explorer.match_tab.truth
    explorer.scans.choose_source("intensity")
    tab.side.setCurrentIndex(0)
    tab.measure.click()
    settle(explorer)
    tab.show_images.click()
    assert truth.isChecked()
    explorer.scans.choose_scans([tab.measured.before.name])
    assert truth.isChecked()
    explorer.scans.choose_scans([tab.measured.before.name, "bright"])
    assert not truth.isChecked()
    # Who says it of scans of their own is believed.
    truth.click()
    explorer.scans.choose_scans(["bright", "dark"])
    assert truth.isChecked()


def test_features_that_are_shown_are_named_even_if_others_are_chosen(explorer):
    explored(explorer, "bright", source="intensity")
    pick(explorer, "bright")
    settle(explorer)
    explorer.scans.choose_source("mind")
    settle(explorer)
    place, facts = explorer.match_tab.place, explorer.colour_tab.facts
    assert place.text().endswith(" mm. Features: Intensity, standardised.")
    assert facts.text() == "Features: Intensity, standardised."
    explorer.colour_tab.colours.click()
    settle(explorer)
    assert facts.text().startswith("Features: Intensity, standardised. Red, green and blue ")
    explored(explorer, "bright", source="mind")
    assert facts.text() == "Features: MIND, standardised."


def test_a_scan_whose_features_fail_is_named(explorer, monkeypatch):
    def fails(*_):
        raise MrisslError("too little memory", remedy="close other programs")

    monkeypatch.setattr(work, "compute_apart", fails)
    explorer.scans.choose_scans(["dark"])
    explorer.compute()
    settle(explorer)
    assert explorer.message.text() == "dark: too little memory; close other programs."


def test_weights_that_were_added_meanwhile_are_listed_and_choices_stay(explorer, monkeypatch):
    scans = explorer.scans
    scans.choose_source("network:random")
    settle(explorer)
    scans.choose_tap(52)
    scans.choose_comparison("standardised")
    explorer.hide()
    known = sources.known_networks()
    monkeypatch.setattr(
        sources, "known_networks", lambda: (sources.network_choice("early"), *known)
    )
    explorer.show()
    settle(explorer)
    titles = [scans.source.itemText(n) for n in range(scans.source.count())]
    assert "Network: early" in titles
    assert scans.choice.key == "network:random"
    assert scans.source.currentText() == "Network: random, learned nothing"
    assert (scans.chosen_tap, scans.chosen_comparison) == (52, "standardised")


def test_only_files_that_can_be_read_are_offered(explorer, monkeypatch):
    asked = []

    def ask(*words):
        asked.append(words[3])
        return "", ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", ask)
    explorer.scans._on_file()
    assert asked == ["Weights (*.safetensors)"]
