"""Clicks in real widgets become the segmentation that scripts get."""

import threading
import time

import nibabel
import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import compute
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.segmentation import SegmentSettings, read_prompts, segment
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.layers import add_volume, labels_array
from napari_mrissl.ui.segmenter import PromptSegmenter, work
from napari_mrissl.ui.segmenter.class_table import SHOWN
from napari_mrissl.ui.segmenter.journal import JournalWriter, journal_folder
from napari_mrissl.ui.segmenter.presets import PRESETS
from napari_mrissl.volumes import Volume

pytestmark = pytest.mark.gui

SIDE = 20
CENTER, SHELL, OUTSIDE = (0.0, 0.0, 0.0), (0.0, 13.0, 0.0), (0.0, 0.0, 19.0)


def ball(name="ball", seed=0, angle=0.0):
    """A bright ball in a grey shell in the dark, about 40 mm wide, noisy."""
    random = np.random.default_rng(seed)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, (SIDE - 1) / 2)
    index = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1)
    radius = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3], axis=-1)
    values = np.where(radius < 9, 200, np.where(radius < 16, 110, 10))
    noisy = values + random.normal(0, 6, radius.shape)
    return Volume.from_stored(noisy.clip(0, 255).astype(np.uint8), affine, name=name)


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def panel(viewer, qtbot):
    """A panel on one scan, ready."""
    add_volume(viewer, ball())
    return docked(viewer, qtbot)


def docked(viewer, qtbot):
    widget = PromptSegmenter(viewer)
    viewer.window.add_dock_widget(widget, name="Click to segment", area="right")
    settle(widget, qtbot)
    return widget


def settle(panel, qtbot):
    qtbot.wait(5)
    qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)


def said(panel):
    return panel.run_box.status.text()


def two_clicks(panel, qtbot):
    panel.add_click(CENTER, 1)
    panel.add_click(SHELL, 2)
    settle(panel, qtbot)


def expected(panel):
    session = panel.controller.session
    prompts = session.state.snapshot().prompts(session.volume.identity)
    return segment(session.volume, prompts, panel.settings).labels


def shown(panel):
    return labels_array(panel.result_layer)


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_placed_points_give_the_voxels_that_a_script_gets(viewer, qtbot, angle):
    scan = add_volume(viewer, ball(angle=angle))
    panel = docked(viewer, qtbot)
    layer = panel.clicks_layer
    middle = np.array(scan.data.shape) / 2 - 0.5
    panel.choose_class(1)
    layer.add(middle)
    panel.choose_class(2)
    layer.add(np.add(middle, (0, 6.5, 0)))
    settle(panel, qtbot)
    assert layer.features["label"].tolist() == [1, 2]
    volume = panel.controller.session.volume
    clicks = np.array([c[:3] for c in panel.controller.session.state.clicks])
    assert np.allclose(clicks[0], volume.center, atol=1e-6)
    assert np.allclose(clicks[1] - clicks[0], (0, 13, 0))
    assert set(np.unique(shown(panel))) == {1, 2}
    assert (shown(panel) == expected(panel)).all()
    record = panel.result_layer.metadata["mrissl"]["segmentation"]
    assert record["volume_identity"] == volume.identity
    assert len(record["prompts"]["points"]) == 2
    assert "Segmented from 2 marked places" in said(panel)


def test_the_slice_in_view_comes_before_the_volume(panel, qtbot, monkeypatch):
    two_clicks(panel, qtbot)
    go = threading.Event()
    predict = work.InstantSegmenter.predict_volume

    def slow(self, progress=None, cancelled=None):
        assert go.wait(30)
        return predict(self, progress, cancelled)

    monkeypatch.setattr(work.InstantSegmenter, "predict_volume", slow)
    shown(panel).fill(7)
    panel.controller.viewer.dims.set_point(0, 0.0)
    updates = []
    panel.labels_shown.connect(updates.append)
    panel.add_click((3.0, 0.0, 0.0), 1)
    qtbot.waitUntil(lambda: len(updates) == 2)
    volume = panel.controller.session.volume
    index = int(np.rint(panel.result_layer.world_to_data(panel.controller.viewer.dims.point))[0])
    early = shown(panel).copy()
    assert (early == 7).any()
    go.set()
    settle(panel, qtbot)
    assert (early[index] == shown(panel)[index]).all()
    complete = [
        [7 not in np.take(early, n, axis) for n in range(volume.shape[axis])].count(True)
        for axis in range(3)
    ]
    assert complete == [1, 1, 1]
    assert (shown(panel) == expected(panel)).all()


def test_a_newer_click_cancels_the_older(panel, qtbot, monkeypatch):
    two_clicks(panel, qtbot)
    begun, outcomes = threading.Event(), []
    predict = work.InstantSegmenter.predict_volume

    def watched(self, progress=None, cancelled=None):
        if not begun.is_set():
            begun.set()
            deadline = time.monotonic() + 30
            while not cancelled() and time.monotonic() < deadline:
                time.sleep(0.001)
        try:
            result = predict(self, progress, cancelled)
        except Cancelled:
            outcomes.append("cancelled")
            raise
        outcomes.append("whole")
        return result

    monkeypatch.setattr(work.InstantSegmenter, "predict_volume", watched)
    panel.add_click((4.0, 0.0, 0.0), 1)
    qtbot.waitUntil(begun.is_set)
    panel.add_click(OUTSIDE, 2)
    settle(panel, qtbot)
    assert outcomes == ["cancelled", "whole"]
    assert (shown(panel) == expected(panel)).all()


def test_scribbles_by_brush_and_by_ball_count_and_can_be_undone(panel, qtbot):
    panel.add_click(SHELL, 2)
    layer = panel.scribbles_layer
    panel.choose_class(1)
    assert layer.selected_label == 1
    layer.paint((10, 10, 10), layer.selected_label)
    settle(panel, qtbot)
    state = panel.controller.session.state
    painted = len(state.scribble)
    assert painted == np.count_nonzero(layer.data) > 0
    first = shown(panel).copy()
    assert (first == expected(panel)).all()
    panel.paint_ball((0.0, 0.0, -18.0), 3.0, 2)
    settle(panel, qtbot)
    assert len(state.scribble) > painted
    assert (layer.data.reshape(-1)[state.scribble.voxels] == state.scribble.labels).all()
    panel.undo()
    settle(panel, qtbot)
    assert np.count_nonzero(layer.data) == painted
    assert (shown(panel) == first).all()
    panel.redo()
    settle(panel, qtbot)
    assert np.count_nonzero(layer.data) == len(state.scribble) > painted


def test_naparis_own_undo_of_a_stroke_is_followed(panel, qtbot):
    layer = panel.scribbles_layer
    layer.paint((10, 10, 10), 1)
    layer.paint((3, 3, 3), 2)
    settle(panel, qtbot)
    state = panel.controller.session.state
    both = len(state.scribble)
    layer.undo()
    qtbot.waitUntil(lambda: len(state.scribble) < both)
    assert state.can_redo
    assert set(state.scribble.labels.tolist()) == {1}


def test_moved_and_deleted_points_are_followed_and_undone(panel, qtbot):
    two_clicks(panel, qtbot)
    panel.add_click((5.0, 0.0, 0.0), 1)
    layer, state = panel.clicks_layer, panel.controller.session.state
    before = state.clicks
    moved = layer.data.copy()
    moved[2] += (0, 1, 0)
    layer.data = moved
    assert np.allclose(np.array(state.clicks[2][:3]) - before[2][:3], (0, 2, 0))
    layer.selected_data = {0}
    layer.remove_selected()
    assert len(state.clicks) == 2
    panel.undo()
    panel.undo()
    assert state.clicks == before
    assert len(layer.data) == 3
    assert layer.features["label"].tolist() == [1, 2, 1]
    settle(panel, qtbot)
    assert (shown(panel) == expected(panel)).all()


def test_undoing_to_one_class_takes_the_result_away(panel, qtbot):
    two_clicks(panel, qtbot)
    panel.undo()
    settle(panel, qtbot)
    assert not shown(panel).any()
    assert "two classes" in said(panel)
    assert panel.file_buttons.replay.isEnabled() is False


def test_off_live_nothing_happens_until_segment_is_pressed(panel, qtbot):
    panel.run_box.live.setChecked(False)
    two_clicks(panel, qtbot)
    assert panel.result_layer is None
    panel.run_box.segment.click()
    settle(panel, qtbot)
    assert (shown(panel) == expected(panel)).all()


def test_one_class_only_is_said_in_a_sentence(panel, qtbot):
    panel.add_click(CENTER, 1)
    panel.run_box.segment.click()
    settle(panel, qtbot)
    assert said(panel).startswith("Mark places of at least two classes")
    assert panel.result_layer is None


def test_clicks_outside_the_scan_are_said_in_a_sentence(panel, qtbot):
    panel.add_click((500.0, 0, 0), 1)
    panel.add_click((0, 500.0, 0), 2)
    settle(panel, qtbot)
    assert "inside" in said(panel)
    assert "\n" not in said(panel)


def test_the_cost_is_told_before_and_the_features_are_kept(viewer, qtbot):
    scan = add_volume(viewer, ball())
    panel = docked(viewer, qtbot)
    assert "First use of this scan" in said(panel)
    assert "memory" in said(panel)
    compute(ball(), SegmentSettings().features)
    viewer.window.remove_dock_widget(panel)
    again = docked(viewer, qtbot)
    assert again.controller.session.layer is scan
    assert said(again).startswith("Ready")


def test_cancelled_features_leave_nothing_and_can_be_started_again(panel, qtbot, monkeypatch):
    begun = threading.Event()
    real = work.compute

    def slow(volume, settings, progress=None, cancelled=None):
        begun.set()
        deadline = time.monotonic() + 30
        while not cancelled() and time.monotonic() < deadline:
            progress(0.45, "Gaussian 2 mm")
            time.sleep(0.01)
        raise Cancelled

    monkeypatch.setattr(work, "compute", slow)
    panel.add_click(CENTER, 1)
    panel.add_click(SHELL, 2)
    qtbot.waitUntil(begun.is_set)
    qtbot.waitUntil(lambda: "45 %" in said(panel))
    assert panel.run_box.cancel.isEnabled()
    panel.run_box.cancel.click()
    settle(panel, qtbot)
    assert "Cancelled" in said(panel)
    assert panel.controller.session.stack is None
    assert panel.result_layer is None
    monkeypatch.setattr(work, "compute", real)
    panel.run_box.segment.click()
    settle(panel, qtbot)
    assert (shown(panel) == expected(panel)).all()


def test_save_and_reload_give_the_same_voxels(panel, qtbot, tmp_path):
    two_clicks(panel, qtbot)
    path = tmp_path / "labels.nii.gz"
    panel.save_segmentation(path)
    settle(panel, qtbot)
    assert said(panel) == "Saved labels.nii.gz."
    volume = panel.controller.session.volume
    saved = nibabel.load(path)
    assert np.allclose(saved.affine, volume.stored.affine)
    assert (np.asarray(saved.dataobj) == volume.to_stored(shown(panel))).all()
    panel.save_segmentation(path)
    settle(panel, qtbot)
    assert "labels.nii.gz" in said(panel)
    assert "Saved" not in said(panel)
    panel.add_click((4.0, 0.0, 0.0), 1)
    panel.save_segmentation(path, overwrite=True)
    settle(panel, qtbot)
    settle(panel, qtbot)
    again = np.asarray(nibabel.load(path).dataobj)
    assert (again == volume.to_stored(expected(panel))).all()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_saved_clicks_come_back_and_give_the_same_voxels(panel, qtbot, tmp_path, suffix):
    two_clicks(panel, qtbot)
    first, path = shown(panel).copy(), tmp_path / f"clicks{suffix}"
    panel.save_prompts(path)
    settle(panel, qtbot)
    volume = panel.controller.session.volume
    assert (segment(volume, read_prompts(path)).labels == first).all()
    panel.mark_buttons.clear.click()
    settle(panel, qtbot)
    assert len(panel.clicks_layer.data) == 0
    panel.load_prompts(path)
    settle(panel, qtbot)
    settle(panel, qtbot)
    assert len(panel.clicks_layer.data) == 2
    assert (shown(panel) == first).all()


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "x,y,z,label\n1,2,3,none\n", ""])
def test_a_bad_file_is_refused_in_one_sentence(panel, qtbot, tmp_path, text):
    two_clicks(panel, qtbot)
    path = tmp_path / "clicks.csv"
    path.write_text(text)
    panel.load_prompts(path)
    settle(panel, qtbot)
    assert said(panel).startswith("clicks.csv: ")
    assert "Traceback" not in said(panel)
    assert len(panel.clicks_layer.data) == 2


def test_replay_gives_the_identical_result(panel, qtbot):
    two_clicks(panel, qtbot)
    before = shown(panel).copy()
    panel.replay()
    settle(panel, qtbot)
    assert "identical" in said(panel)
    assert (shown(panel) == before).all()
    shown(panel)[0, 0, :3] = 9
    panel.replay()
    settle(panel, qtbot)
    assert "3 voxels differ" in said(panel)
    assert (shown(panel) == before).all()


def test_probability_and_uncertainty_are_layers_that_come_and_go(panel, qtbot):
    two_clicks(panel, qtbot)
    panel.settings = panel.settings.model_copy(update={"probability": True, "uncertainty": True})
    settle(panel, qtbot)
    names = [layer.name for layer in panel.controller.viewer.layers]
    assert {"uncertainty", "probability of object", "probability of background"} <= set(names)
    layer = panel.controller.viewer.layers["probability of object"]
    panel.add_click((4.0, 0.0, 0.0), 1)
    settle(panel, qtbot)
    assert panel.controller.viewer.layers["probability of object"] is layer
    assert layer.data.max() <= 1
    session = panel.controller.session
    prompts = session.state.snapshot().prompts(session.volume.identity)
    whole = segment(session.volume, prompts, panel.settings)
    assert np.allclose(layer.data, whole.probability[0])
    panel.settings = SegmentSettings()
    settle(panel, qtbot)
    names = [layer.name for layer in panel.controller.viewer.layers]
    assert not [n for n in names if n.startswith(("probability", "uncertainty"))]


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

    monkeypatch.setattr(work, "compute", slow)
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

    monkeypatch.setattr(work, "compute", slow)
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
    from napari_mrissl.ui.segmenter.state import PromptState

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
