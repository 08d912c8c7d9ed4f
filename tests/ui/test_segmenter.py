"""Clicks in real widgets become the segmentation that scripts get."""

import threading
import time

import nibabel
import numpy as np
import pytest
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

from napari_mrissl.features import compute
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.segmentation import SegmentSettings, read_prompts, segment
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.segmenter import work

pytestmark = pytest.mark.gui


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def panel(viewer, qtbot):
    """A panel on one scan, ready."""
    add_volume(viewer, ball())
    return docked(viewer, qtbot)


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
    real = work.compute_apart

    def slow(volume, settings, progress=None, cancelled=None):
        begun.set()
        deadline = time.monotonic() + 30
        while not cancelled() and time.monotonic() < deadline:
            progress(0.45, "Gaussian 2 mm")
            time.sleep(0.01)
        raise Cancelled

    monkeypatch.setattr(work, "compute_apart", slow)
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
    monkeypatch.setattr(work, "compute_apart", real)
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
    path.write_text(text, "utf-8")
    panel.load_prompts(path)
    settle(panel, qtbot)
    assert said(panel).startswith("clicks.csv: ")
    assert "Traceback" not in said(panel)
    assert len(panel.clicks_layer.data) == 2


def test_the_first_result_leaves_the_mouse_to_the_clicks(panel, qtbot):
    panel.mark_buttons.click.click()
    layers = panel.controller.viewer.layers
    assert layers.selection.active is panel.clicks_layer
    two_clicks(panel, qtbot)
    assert panel.result_layer is not None
    assert layers.selection.active is panel.clicks_layer
    assert str(panel.clicks_layer.mode) == "add"
    names = [layer.name for layer in layers]
    assert names.index("segmentation") < names.index("clicks")


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
