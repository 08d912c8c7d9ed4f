"""What the panel says of a scan, its marks and its files, and what it keeps."""

import numpy as np
import pytest
import ui.segmenter_actions as user
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox

from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.segmenter.class_table import SHOWN
from napari_mrissl.ui.segmenter.journal import find_unfinished, journal_folder

pytestmark = pytest.mark.gui


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def panel(viewer, qtbot):
    """A panel on one scan, ready."""
    add_volume(viewer, user.ball())
    return user.docked(viewer, qtbot)


def test_marks_that_are_still_in_the_layers_are_not_offered_for_recovery(panel, viewer, qtbot):
    user.two_clicks(panel, qtbot)
    panel.paint_ball(user.CENTER, 3.0, 1)
    user.settle(panel, qtbot)
    viewer.window.remove_dock_widget(panel)
    left = list(journal_folder().glob("*.jsonl"))
    again = user.docked(viewer, qtbot)
    assert again.scan_box.recovery.isHidden()
    assert again.controller.session.unfinished is None
    kept = list(journal_folder().glob("*.jsonl"))
    assert len(left) == len(kept) == 1
    assert left != kept
    marks = again.controller.session.state.snapshot().prompts()
    again.controller.session.close_journal()
    found = find_unfinished(again.controller.session.volume.identity)
    assert len(found.prompts.points) == len(marks.points)


def test_marks_that_are_in_no_layer_any_more_are_offered(panel, viewer, qtbot):
    user.two_clicks(panel, qtbot)
    viewer.window.remove_dock_widget(panel)
    viewer.layers["clicks"].selected_data = {0}
    viewer.layers["clicks"].remove_selected()
    again = user.docked(viewer, qtbot)
    assert again.scan_box.recovery.text.text().startswith("2 marks from ")
    again.scan_box.recovery.recover.click()
    user.settle(again, qtbot)
    assert len(again.clicks_layer.data) == 2


def test_a_table_of_clicks_keeps_the_classes_as_they_are(panel, qtbot, tmp_path):
    session = panel.controller.session
    core = PromptClass(label=1, name="core", color="#ff0000")
    third = PromptClass(label=3, name="air", color="#00ff00")
    session.set_classes((core, session.state.classes[1], third))
    panel.classes_box.table.item(0, SHOWN).setCheckState(Qt.CheckState.Unchecked)
    panel.classes_box.table.item(1, SHOWN).setCheckState(Qt.CheckState.Checked)
    before, hidden = session.state.classes, set(session.hidden)
    assert hidden == {1, 3}
    path = tmp_path / "clicks.csv"
    path.write_text("x,y,z,label\n0,0,0,1\n0,13,0,2\n0,0,19,5\n", "utf-8")
    panel.load_prompts(path)
    user.settle(panel, qtbot)
    assert session.state.classes == (*before, PromptClass.default(5))
    assert session.hidden == hidden
    assert np.allclose(panel.clicks_layer.face_color[0], (1, 0, 0, 1))
    panel.undo()
    assert session.state.classes == before


def test_a_file_that_names_its_classes_brings_them(panel, qtbot, tmp_path):
    session = panel.controller.session
    named = PromptClass(label=2, name="vessel", color="#ff0000")
    session.set_classes((session.state.classes[0], named))
    user.two_clicks(panel, qtbot)
    path = tmp_path / "clicks.json"
    panel.save_prompts(path)
    user.settle(panel, qtbot)
    saved = session.state.classes
    session.clear()
    session.set_classes((PromptClass.default(1), PromptClass(label=7, name="x", color="#123456")))
    panel.load_prompts(path)
    user.settle(panel, qtbot)
    assert session.state.classes == saved


def test_what_was_assumed_of_a_scan_is_said_below_its_name(panel, viewer, qtbot):
    notes = panel.scan_box.notes
    assert notes.isHidden()
    viewer.add_image(np.random.default_rng(0).random((12, 12, 12)), name="foreign")
    panel.scan_box.combo.setCurrentText("foreign")
    user.settle(panel, qtbot)
    assert not notes.isHidden()
    assert "taken as mm" in notes.text()
    assert "superior, anterior, right" in notes.text()
    assert notes.wordWrap()
    assert panel.widget().minimumSizeHint().width() <= panel.viewport().width()
    panel.scan_box.combo.setCurrentText("ball")
    assert notes.isHidden()


def test_marks_outside_the_scan_are_told_apart(panel, qtbot):
    user.two_clicks(panel, qtbot)
    panel.add_click((500.0, 0.0, 0.0), 1)
    user.settle(panel, qtbot)
    assert user.said(panel).startswith("Segmented from 2 marked places in ")
    assert user.said(panel).endswith("; 1 lies outside the scan.")
    panel.add_click((0.0, 500.0, 0.0), 2)
    user.settle(panel, qtbot)
    assert user.said(panel).endswith("; 2 lie outside the scan.")


def test_the_wheel_changes_no_field_it_passes(panel, viewer, qtbot):
    add_volume(viewer, user.ball("other", seed=5))
    panel.settings_box.fold.expand(animate=False)
    body = panel.widget()
    fields = [*body.findChildren(QComboBox), *body.findChildren(QAbstractSpinBox)]
    assert len(fields) > 2
    before = [_value(field) for field in fields]
    for field in fields:
        field.clearFocus()
        for turn in (120, -120):
            middle = QPointF(field.rect().center())
            wheel = QWheelEvent(
                middle,
                QPointF(field.mapToGlobal(field.rect().center())),
                QPoint(),
                QPoint(0, turn),
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            )
            QApplication.sendEvent(field, wheel)
            assert _value(field) == before[fields.index(field)]


def test_the_dock_is_called_as_the_menu_calls_it(panel):
    assert panel.objectName() == "Click segmentation"


def _value(field):
    return field.currentIndex() if isinstance(field, QComboBox) else field.text()
