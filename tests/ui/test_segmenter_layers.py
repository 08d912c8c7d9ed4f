"""The panel with layers, scans and windows that come and go."""

import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import Qt
from ui.segmenter_actions import (
    CENTER,
    OUTSIDE,
    SHELL,
    ball,
    docked,
    expected,
    said,
    settle,
    shown,
    two_clicks,
)

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.segmenter import session, work
from napari_mrissl.ui.segmenter.class_table import SHOWN
from napari_mrissl.ui.segmenter.journal import JournalWriter, journal_folder
from napari_mrissl.ui.segmenter.presets import PRESETS
from napari_mrissl.ui.segmenter.state import PromptState

pytestmark = pytest.mark.gui


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def panel(viewer, qtbot):
    """A panel on one scan, ready."""
    add_volume(viewer, ball())
    return docked(viewer, qtbot)


def test_deleted_renamed_and_hidden_layers_do_no_harm(panel, qtbot):
    two_clicks(panel, qtbot)
    layers = panel.controller.viewer.layers
    first = shown(panel).copy()
    panel.clicks_layer.name = "my points"
    panel.result_layer.name = "my result"
    panel.result_layer.visible = False
    layers["ball"].name = "my scan"
    assert panel.scan_box.combo.currentText() == "my scan"
    layers.remove("my points")
    assert "clicks layer was deleted" in said(panel)
    assert len(panel.controller.session.state.clicks) == 2
    panel.add_click((4.0, 0.0, 0.0), 1)
    settle(panel, qtbot)
    assert len(layers["clicks"].data) == 3
    assert (shown(panel) == expected(panel)).all()
    layers.remove("my result")
    settle(panel, qtbot)
    panel.undo()
    settle(panel, qtbot)
    assert (shown(panel) == first).all()
    panel.paint_ball(CENTER, 3.0, 1)
    layers.remove("scribbles")
    settle(panel, qtbot)
    assert np.count_nonzero(panel.scribbles_layer.data) == len(
        panel.controller.session.state.scribble
    )


def test_a_scan_deleted_while_its_features_are_computed(panel, qtbot, monkeypatch):
    begun = threading.Event()

    def slow(volume, settings, progress=None, cancelled=None):
        begun.set()
        deadline = time.monotonic() + 30
        while not cancelled() and time.monotonic() < deadline:
            time.sleep(0.002)
        raise Cancelled

    monkeypatch.setattr(work, "compute_apart", slow)
    two = threading.active_count()
    panel.add_click(CENTER, 1)
    panel.add_click(SHELL, 2)
    qtbot.waitUntil(begun.is_set)
    panel.controller.viewer.layers.remove("ball")
    settle(panel, qtbot)
    assert panel.controller.session is None
    assert not panel.run_box.segment.isEnabled()
    with pytest.raises(MrisslError, match="no scan is open"):
        panel.add_click(CENTER)
    assert threading.active_count() <= two + 2


def test_closing_the_viewer_while_computing(viewer, qtbot, monkeypatch):
    ended, begun = threading.Event(), threading.Event()

    def slow(volume, settings, progress=None, cancelled=None):
        begun.set()
        deadline = time.monotonic() + 30
        while not cancelled() and time.monotonic() < deadline:
            time.sleep(0.002)
        ended.set()
        raise Cancelled

    monkeypatch.setattr(work, "compute_apart", slow)
    add_volume(viewer, ball())
    panel = docked(viewer, qtbot)
    panel.add_click(CENTER, 1)
    panel.add_click(SHELL, 2)
    qtbot.waitUntil(begun.is_set)
    viewer.close()
    assert ended.wait(5)


def test_the_widget_is_closed_and_opened_again(panel, viewer, qtbot):
    two_clicks(panel, qtbot)
    panel.paint_ball(CENTER, 3.0, 1)
    panel.controller.session.set_classes(
        (PromptClass(label=1, name="core", color="#ff0000"), PRESETS["Object / background"][1])
    )
    settle(panel, qtbot)
    first, names = shown(panel).copy(), [layer.name for layer in viewer.layers]
    prompts = panel.controller.session.state.snapshot().prompts()
    viewer.window.remove_dock_widget(panel)
    viewer.layers["clicks"].add((1, 1, 1))
    viewer.layers["clicks"].remove([2])
    again = docked(viewer, qtbot)
    assert [layer.name for layer in viewer.layers] == names
    state = again.controller.session.state
    assert state.snapshot().prompts().points == prompts.points
    assert state.classes[0].name == "core"
    assert (shown(again) == first).all()
    again.add_click((4.0, 0.0, 0.0), 1)
    settle(again, qtbot)
    assert [layer.name for layer in viewer.layers] == names
    assert (shown(again) == expected(again)).all()


def test_two_scans_keep_their_own_prompts(panel, viewer, qtbot):
    two_clicks(panel, qtbot)
    first = shown(panel).copy()
    add_volume(viewer, ball("other", seed=5))
    assert panel.scan_box.combo.count() == 2
    panel.scan_box.combo.setCurrentText("other")
    settle(panel, qtbot)
    assert panel.controller.session.state.empty
    assert panel.result_layer is None
    panel.add_click(CENTER, 2)
    panel.add_click(SHELL, 1)
    settle(panel, qtbot)
    assert len({layer.name for layer in viewer.layers}) == 8 - 2
    other = shown(panel).copy()
    panel.scan_box.combo.setCurrentText("ball")
    settle(panel, qtbot)
    assert (shown(panel) == first).all()
    assert (first != other).any()
    assert len(panel.clicks_layer.data) == 2


def test_classes_are_added_renamed_recoloured_and_removed(panel, qtbot):
    two_clicks(panel, qtbot)
    table, state = panel.classes_box.table, panel.controller.session.state
    panel.classes_box.add.click()
    assert [one.label for one in state.classes] == [1, 2, 3]
    assert panel.controller.session.current == 3
    table.item(2, 2).setText("vessel")
    assert state.classes[2].name == "vessel"
    table.edited.emit(state.classes[2].model_copy(update={"color": "#00ff00"}))
    panel.add_click(OUTSIDE)
    settle(panel, qtbot)
    assert (panel.clicks_layer.face_color[2] == (0, 1, 0, 1)).all()
    assert set(np.unique(shown(panel))) == {1, 2, 3}
    panel.classes_box.remove.click()
    settle(panel, qtbot)
    assert set(np.unique(shown(panel))) == {1, 2}
    panel.undo()
    settle(panel, qtbot)
    assert set(np.unique(shown(panel))) == {1, 2, 3}
    assert state.classes[2].name == "vessel"
    panel.classes_box.use_preset(PRESETS["Brain tissue"])
    assert [one.name for one in state.classes][:2] == ["grey matter", "white matter"]


def test_a_hidden_class_is_invisible_and_still_there(panel, qtbot):
    two_clicks(panel, qtbot)
    assert panel.result_layer.colormap.map(2)[3] == 0
    panel.classes_box.table.item(1, SHOWN).setCheckState(Qt.CheckState.Checked)
    assert panel.result_layer.colormap.map(2)[3] == 1
    assert (shown(panel) == 2).any()


def test_keys_choose_classes_and_shadow_nothing(viewer, qtbot):
    before = set(map(str, viewer.keymap))
    add_volume(viewer, ball())
    panel = docked(viewer, qtbot)
    added = set(map(str, viewer.keymap)) - before
    assert len(added) == 9
    from napari.utils.shortcuts import default_shortcuts

    napari_keys = {str(key) for keys in default_shortcuts.values() for key in keys}
    assert not added & napari_keys
    viewer.window.remove_dock_widget(panel)
    assert set(map(str, viewer.keymap)) == before


def test_clicks_of_a_killed_session_are_offered_and_recovered(viewer, qtbot):
    volume = ball()
    state = PromptState(volume, PRESETS["Object / background"])
    writer = JournalWriter(state, volume.identity)
    writer.record(state.set_clicks(((*CENTER, 1), (*SHELL, 2))))
    writer.record(state.paint([7, 8], [2, 2]))
    writer.close(keep=True)
    add_volume(viewer, volume)
    panel = docked(viewer, qtbot)
    assert not panel.scan_box.recovery.isHidden()
    assert panel.scan_box.recovery.text.text().startswith("4 marks from ")
    panel.scan_box.recovery.recover.click()
    settle(panel, qtbot)
    assert panel.scan_box.recovery.isHidden()
    assert len(panel.clicks_layer.data) == 2
    assert np.count_nonzero(panel.scribbles_layer.data) == 2
    assert (shown(panel) == expected(panel)).all()


def test_unsaved_clicks_are_kept_for_the_next_session_and_saved_ones_are_not(
    panel, viewer, qtbot, tmp_path
):
    two_clicks(panel, qtbot)
    assert len(list(journal_folder().glob("*.jsonl"))) == 1
    panel.save_prompts(tmp_path / "clicks.json")
    settle(panel, qtbot)
    assert list(journal_folder().iterdir()) == []
    panel.add_click((4.0, 0.0, 0.0), 1)
    settle(panel, qtbot)
    viewer.window.remove_dock_widget(panel)
    assert [path.suffix for path in journal_folder().iterdir()] == [".jsonl"]


def test_wrong_calls_say_what_is_wrong(panel):
    with pytest.raises(MrisslError, match="label 9"):
        panel.add_click(CENTER, 9)
    with pytest.raises(MrisslError, match="three finite numbers"):
        panel.add_click((0, 0, np.nan))


def test_every_control_has_a_tooltip_and_fits(panel, viewer, qtbot):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QProgressBar

    panel.settings_box.fold.expand(animate=False)
    viewer.window.resize(1366, 768)
    qtbot.wait(50)
    for kind in (QAbstractButton, QComboBox, QLineEdit, QProgressBar):
        for child in panel.widget().findChildren(kind):
            if child.isVisible() and not child.objectName().startswith("qt_"):
                assert child.toolTip() or child.parent().toolTip(), child
    assert panel.widget().minimumSizeHint().width() <= panel.viewport().width()


def test_a_viewer_without_scans_says_what_to_do(viewer, qtbot):
    viewer.add_image(np.zeros((4, 5)), name="flat")
    panel = docked(viewer, qtbot)
    assert said(panel).startswith("Open a scan")
    for part in (panel.classes_box, panel.mark_buttons, panel.file_buttons):
        assert not part.isEnabled()
    add_volume(viewer, ball())
    settle(panel, qtbot)
    assert panel.controller.session is not None


def test_opened_from_the_plugin_menu_it_knows_its_layers(viewer, qtbot):
    add_volume(viewer, ball())
    _, panel = viewer.window.add_plugin_dock_widget("napari-mrissl", "Click segmentation")
    settle(panel, qtbot)
    two_clicks(panel, qtbot)
    assert (shown(panel) == expected(panel)).all()
    panel.clicks_layer.add((4, 4, 4))
    assert len(panel.controller.session.state.clicks) == 3
    viewer.layers.remove("clicks")
    assert "clicks layer was deleted" in said(panel)
    viewer.layers.remove("segmentation")
    assert panel.result_layer is None
    viewer.layers.remove("ball")
    assert panel.controller.session is None


def test_a_second_scan_gets_its_features_after_the_first(panel, viewer, qtbot, monkeypatch):
    real, go, begun = work.compute_apart, threading.Event(), threading.Event()

    def held(volume, settings, progress=None, cancelled=None):
        if volume.name == "ball":
            begun.set()
            assert go.wait(30)
        return real(volume, settings, progress, cancelled)

    monkeypatch.setattr(work, "compute_apart", held)
    panel.add_click(CENTER, 1)
    panel.add_click(SHELL, 2)
    qtbot.waitUntil(begun.is_set)
    add_volume(viewer, ball("other", seed=5))
    panel.scan_box.combo.setCurrentText("other")
    panel.add_click(CENTER, 2)
    panel.add_click(SHELL, 1)
    go.set()
    qtbot.waitUntil(lambda: panel.result_layer is not None and not panel.busy, timeout=60_000)
    assert (shown(panel) == expected(panel)).all()
    assert all(session.stack is not None for session in panel.controller.sessions)


def test_a_fill_over_everything_is_taken_back(panel, qtbot, monkeypatch):
    monkeypatch.setattr(session, "MOST_PAINTED", 100)
    layer = panel.scribbles_layer
    layer.n_edit_dimensions = 3
    layer.fill((2, 2, 2), 1)
    qtbot.waitUntil(lambda: "taken back" in said(panel))
    assert not layer.data.any()
    assert panel.controller.session.state.empty
    with pytest.raises(MrisslError, match="paint less at once"):
        panel.paint_ball(CENTER, 30.0, 1)


def test_a_label_of_naparis_own_controls_chooses_or_becomes_a_class(panel, qtbot):
    layer = panel.scribbles_layer
    layer.selected_label = 2
    assert panel.controller.session.current == 2
    layer.selected_label = 6
    layer.paint((5, 5, 5), 6)
    qtbot.waitUntil(lambda: not panel.controller.session.state.empty)
    assert [one.label for one in panel.controller.session.state.classes] == [1, 2, 6]


def test_discarded_clicks_are_gone(viewer, qtbot):
    volume = ball()
    state = PromptState(volume, PRESETS["Object / background"])
    state.set_clicks(((*CENTER, 1),))
    JournalWriter(state, volume.identity).close(keep=True)
    add_volume(viewer, volume)
    panel = docked(viewer, qtbot)
    panel.scan_box.recovery.discard.click()
    assert panel.scan_box.recovery.isHidden()
    assert list(journal_folder().iterdir()) == []
    assert panel.controller.session.state.empty
