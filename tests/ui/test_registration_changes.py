"""The registration panel: runs repeated and ended, networks, layers changed meanwhile."""

import os
import sys

import numpy as np
import psutil
import pytest
from qtpy.QtWidgets import QApplication
from registration_actions import QUICK, fixed, labels_at, moving, settle, world

from napari_mrissl.ui.layers import add_labels, add_volume
from napari_mrissl.ui.registration import RegistrationPanel
from napari_mrissl.ui.registration.pair_box import FIXED, MOVING
from napari_mrissl.ui.registration.run_tab import facts_of
from tests.small_networks import imported

pytestmark = [pytest.mark.gui, pytest.mark.timeout(900)]

LONG = QUICK.model_copy(update={"iterations": 2000})


@pytest.fixture
def viewer(make_napari_viewer):
    made = make_napari_viewer(show=True)
    add_volume(made, fixed())
    add_volume(made, moving())
    add_labels(made, fixed(), labels_at(world()), "parts")
    return made


@pytest.fixture
def panel(viewer):
    made = RegistrationPanel(viewer)
    viewer.window.add_dock_widget(made, name="Registration")
    settle(made)
    made.settings_box.show_settings(QUICK)
    for side in (FIXED, MOVING):
        made.pair.choose(side, "labels", viewer.layers["parts"])
    return made


def begin(panel, qtbot) -> None:
    """Start a long run, and wait until its field is refined."""
    panel.settings_box.show_settings(LONG)
    panel.start.click()
    qtbot.waitUntil(lambda: bool(panel.run_tab.costs), timeout=120_000)


@pytest.mark.parametrize("features", ["network", "both"])
def test_networks_from_the_panel(panel, viewer, qtbot, tmp_path, features):
    name = imported(tmp_path, f"small-{features}")
    box = panel.settings_box
    panel.hide()
    panel.show()
    settle(panel)
    box.features.setCurrentIndex(box.features.findData(features))
    number = box.weights.findText(name)
    assert number >= 0, [box.weights.itemText(one) for one in range(box.weights.count())]
    box.weights.setCurrentIndex(number)
    settle(panel)
    assert "GiB" in box.cost.text()
    panel.start.click()
    settle(panel)
    result = panel.result
    assert result is not None, panel.status.message.text()
    assert result.found.settings.features == features
    assert result.deformable
    assert len(result.found.costs) == QUICK.iterations + 1
    assert {"moving scan moved", "labels of moving scan moved"} <= {x.name for x in viewer.layers}
    assert [row[0] for row in panel.scores_tab.rows] == ["mean of 2", "1", "2"]

    begin_with = box.settings.model_copy(update={"iterations": 2000})
    box.show_settings(begin_with)
    panel.start.click()
    qtbot.waitUntil(lambda: bool(panel.run_tab.costs), timeout=240_000)
    panel.status.cancel.click()
    settle(panel)
    assert not panel.result.whole
    assert panel.start.isEnabled()
    panel.undo()
    assert panel.result is result


def test_mr_to_ct_by_its_preset_with_a_window(panel, viewer):
    box = panel.settings_box
    box.preset.setCurrentIndex(box.preset.findData("MR to CT"))
    for part, value in zip(box.more.fields["fixed_window"].field.parts, (20.0, 90.0), strict=True):
        part.setValue(value)
    box.more.fields["iterations"].parts[0].setValue(5)
    settle(panel)
    assert (box.settings.fixed_window, box.settings.iterations) == ((20.0, 90.0), 5)
    panel.start.click()
    settle(panel)
    result = panel.result
    assert result is not None, panel.status.message.text()
    assert result.found.settings.fixed_window == (20.0, 90.0)
    assert result.found.settings.linear == "affine"
    # Features are clipped, what is shown is not.
    assert float(result.moved.data.max()) > 100


def test_run_undo_redo_and_other_settings(panel, viewer):
    before = [layer.name for layer in viewer.layers]
    panel.register()
    settle(panel)
    first = panel.result
    facts = panel.run_tab.facts.text()
    panel.run_tab.undo.click()
    assert [layer.name for layer in viewer.layers] == before
    panel.run_tab.redo.click()
    assert panel.result is first
    assert panel.run_tab.facts.text() == facts
    panel.run_tab.undo.click()
    panel.settings_box.show_settings(QUICK.model_copy(update={"iterations": 3}))
    panel.register()
    settle(panel)
    second = panel.result
    assert second is not first
    assert len(panel.run_tab.costs) == 4
    # The first was taken back, and another way was gone.
    assert not panel.run_tab.redo.isEnabled()
    panel.settings_box.show_settings(QUICK.model_copy(update={"deformable": False}))
    panel.register()
    settle(panel)
    assert not panel.run_tab.costs
    np.testing.assert_array_equal(viewer.layers["moving scan moved"].data, panel.result.moved.data)
    panel.run_tab.undo.click()
    assert panel.result is second
    assert panel.run_tab.facts.text() == facts_of(second)
    np.testing.assert_array_equal(viewer.layers["moving scan moved"].data, second.moved.data)
    assert [layer.name for layer in viewer.layers].count("moving scan moved") == 1


def test_names_and_contrast_that_the_user_gave_stay(panel, viewer):
    panel.register()
    settle(panel)
    moved = panel.viewing.layers.moved
    moved.name, moved.contrast_limits = "mine", (1.0, 50.0)
    panel.viewing.layers.labels.name = "my parts"
    panel.register()
    settle(panel)
    assert panel.viewing.layers.moved is moved
    assert moved.name == "mine"
    assert moved.contrast_limits == [1.0, 50.0]
    assert panel.viewing.layers.labels.name == "my parts"
    # One that was deleted is shown anew by the next.
    viewer.layers.remove(moved)
    panel.undo()
    assert "moving scan moved" in [layer.name for layer in viewer.layers]


def test_layers_that_change_during_a_run(panel, viewer, qtbot):
    begin(panel, qtbot)
    layer = viewer.layers["fixed scan"]
    place = tuple(layer.translate)
    layer.translate = np.array(place) + 10
    viewer.layers["moving scan"].name = "renamed"
    viewer.layers.remove(viewer.layers["parts"])
    panel.status.cancel.click()
    settle(panel)
    result = panel.result
    # It is that of the scans as they were.
    np.testing.assert_allclose(viewer.layers["moving scan moved"].translate, place)
    assert result.scores
    assert "fixed scan was moved since" in panel.status.message.text()
    panel.views_tab.flicker.click()
    assert "as it was registered" in panel.status.message.text()
    assert not panel.views_tab.flicker.isChecked()
    layer.translate = place
    panel.views_tab.flicker.click()
    assert panel.views_tab.flicker.isChecked()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not panel.views_tab.flicker.isChecked(), timeout=60_000)
    viewer.layers.remove(viewer.layers["renamed"])
    panel.undo()
    assert panel.result is None
    panel.redo()
    assert "moving scan moved" in [layer.name for layer in viewer.layers]


def test_of_two_runs_the_newer_counts(panel, viewer, qtbot):
    begin(panel, qtbot)
    assert not panel.start.isEnabled()
    panel.settings_box.show_settings(QUICK)
    panel.register()
    settle(panel)
    assert panel.result.whole
    assert panel.result.found.settings == QUICK
    assert len(panel.run_tab.costs) == QUICK.iterations + 1
    panel.undo()
    assert panel.result is None
    assert not panel.run_tab.undo.isEnabled()


@pytest.mark.parametrize("how", ["dock", "viewer"])
def test_closing_while_it_runs_ends_the_process(panel, viewer, qtbot, how):
    before = set(psutil.Process().children())
    begin(panel, qtbot)
    running = [one for one in psutil.Process().children() if one not in before]
    assert running
    if how == "dock":
        viewer.window.remove_dock_widget(panel.parentWidget())
    else:
        viewer.close()

    def gone() -> bool:
        QApplication.processEvents()
        return not any(one.is_running() and one.status() != "zombie" for one in running)

    qtbot.waitUntil(gone, timeout=60_000)


def test_what_is_not_installed_is_one_sentence(panel, viewer, tmp_path, monkeypatch):
    words = "raise ModuleNotFoundError('no module', name='SimpleITK')"
    (tmp_path / "SimpleITK.py").write_text(words, "utf-8")
    paths = [str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    panel.settings_box.show_settings(QUICK.model_copy(update={"linear": "rigid"}))
    panel.register()
    settle(panel)
    said = panel.status.message.text()
    assert "rigid and affine alignment need SimpleITK, which is not installed" in said
    assert 'pip install "napari-mrissl[register]"' in said
    assert "\n" not in said
    assert panel.result is None
    assert panel.start.isEnabled()
