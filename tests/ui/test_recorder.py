"""The flight recorder with real widgets: record, pause, discard, undo, recover, replay, make."""

import os
import signal
import subprocess
import sys
import time

import navigator_actions as user
import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider

from napari_mrissl.geometry import apply_affine
from napari_mrissl.trajectories import Dataset
from napari_mrissl.ui.layers import volume_of
from napari_mrissl.ui.recorder import FlightRecorder
from napari_mrissl.ui.recorder.work import default_folder

pytestmark = pytest.mark.gui


@pytest.fixture
def recorder(viewer, navigator, qtbot):
    """A recorder docked beside the navigator, its dataset looked at."""
    recorder = FlightRecorder(viewer)
    viewer.window.add_dock_widget(recorder, name="Flight recorder")
    settle(recorder, qtbot)
    recorder.find_navigator()
    yield recorder
    settle(recorder, qtbot)


def settle(recorder, qtbot):
    qtbot.waitUntil(lambda: not recorder.busy and not recorder.deck.saving, timeout=30_000)


def fly(navigator, qtbot, count=3):
    for _ in range(count):
        qtbot.wait(60)
        navigator.state.move([0.01, 0.01, 0, 0.05, 0, 0, 0])
    qtbot.wait(60)


def item_texts(box):
    return [
        [box.list.topLevelItem(row).text(column) for column in range(5)]
        for row in range(box.list.topLevelItemCount())
    ]


def test_where_discarded_frames_stay_is_said_where_one_decides(recorder):
    for control in (recorder.record_box.frames, recorder.record_box.discard):
        assert "removed folder until mrissl trajectory clean" in control.toolTip()


def test_record_pause_discard_undo_redo_and_the_task(recorder, navigator, viewer, qtbot):
    record, episodes = recorder.record_box, recorder.episodes_box
    assert recorder.deck is navigator.deck
    assert not record.pause.isEnabled()
    assert not episodes.undo.isEnabled()
    record.task.setText("look around")
    canvas = navigator.view.canvas
    x, y = user.middle(canvas)
    record.record.click()
    assert navigator.flight_panel.record.text().startswith("Stop")
    user.drag(qtbot, canvas, (x, y), (x + 10, y + 10))
    user.wheel(qtbot, canvas, (x, y), 2)
    qtbot.wait(60)
    assert "poses" in record.elapsed.text()
    record.task.setText("find  the\tmiddle")
    record.pause.click()
    assert record.pause.text() == "Go on"
    assert "paused" in navigator.flight_panel.record.text()
    record.pause.click()
    fly(navigator, qtbot)
    flown = navigator.pose
    record.record.click()
    settle(recorder, qtbot)
    ((number, task, _, _, scan),) = item_texts(episodes)
    assert (number, task, scan) == ("0", "find the middle", "this")
    dataset = Dataset.open(default_folder())
    np.testing.assert_allclose(dataset.flight(0).poses[-1].to_row(), flown.to_row(), atol=1e-12)

    # A discarded one does not come into the list, but can be brought back.
    record.record.click()
    fly(navigator, qtbot)
    record.discard.click()
    settle(recorder, qtbot)
    assert "discarded" in recorder.message.text()
    assert len(item_texts(episodes)) == 1
    episodes.redo.click()
    settle(recorder, qtbot)
    assert len(item_texts(episodes)) == 2
    episodes.undo.click()
    settle(recorder, qtbot)
    episodes.undo.click()
    settle(recorder, qtbot)
    assert item_texts(episodes) == []
    assert not episodes.undo.isEnabled()
    assert len(Dataset.open(default_folder())) == 0
    episodes.redo.click()
    settle(recorder, qtbot)

    # The last episode's task is edited in its line.
    episodes.edit.click()
    editor = episodes.list.viewport().findChild(QLineEdit)
    editor.setText("find the top")
    qtbot.keyClick(editor, user.Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "was changed" in recorder.message.text(), timeout=10_000)
    settle(recorder, qtbot)
    assert item_texts(episodes)[0][1] == "find the top"
    assert Dataset.open(default_folder()).entries[0].task == "find the top"

    # Closing the dock leaves the navigator recording; closing both keeps the flight.
    recorder.setFocus()
    qtbot.keyClick(recorder, user.Qt.Key.Key_Q)
    deck = recorder.deck
    assert deck.recording
    viewer.window.remove_dock_widget(recorder)
    assert deck.recording
    navigator.state.move([0.01, 0, 0, 0, 0, 0, 0])
    viewer.window.remove_dock_widget(navigator)
    assert not deck.recording
    qtbot.waitUntil(lambda: not deck.shelf.busy, timeout=20_000)
    assert len(Dataset.open(default_folder())) == 2


def test_the_columns_come_from_what_the_user_does(recorder, navigator, viewer, qtbot):
    from napari_mrissl.ui.segmenter import PromptSegmenter

    segmenter = PromptSegmenter(viewer)
    viewer.window.add_dock_widget(segmenter, name="Click segmentation")
    qtbot.waitUntil(lambda: not segmenter.busy, timeout=60_000)
    scan = viewer.layers["scan"]
    labels = viewer.add_labels(np.zeros((32, 36, 40), np.uint8), name="subject 12")
    for box in recorder.record_box.kept.values():
        box.setChecked(True)
    assert recorder.record_box.warning.text()
    assert not recorder.record_box.frames.isChecked()
    recorder.record_box.frames.setChecked(True)

    navigator.parentWidget().raise_()
    qtbot.wait(50)
    canvas, pose = navigator.view.canvas, navigator.pose
    recorder.record_box.record.click()
    qtbot.wait(120)
    x, y = user.middle(canvas)
    user.mouse(canvas, QEvent.Type.MouseMove, (x + 20, y - 10), user.Qt.MouseButton.NoButton)
    qtbot.wait(120)
    scan.contrast_limits = (11.0, 77.0)
    qtbot.wait(120)
    segmenter.add_click(pose.center, 1)
    qtbot.wait(120)
    labels.visible = False
    qtbot.wait(120)
    user.QApplication.sendEvent(canvas, QEvent(QEvent.Type.Leave))
    qtbot.wait(120)
    recorder.record_box.record.click()
    settle(recorder, qtbot)
    qtbot.waitUntil(lambda: not segmenter.busy, timeout=60_000)

    dataset = Dataset.open(default_folder())
    (entry,) = dataset.entries
    table = dataset.table(0)
    millimetres = pose.fov / min(canvas.width(), canvas.height())
    expected = pose.center + 20 * millimetres * pose.right + 10 * millimetres * pose.up
    inside = ~np.isnan(table["cursor_ras"]).any(axis=1)
    assert not inside[0]
    assert not inside[-1]
    over = table["cursor_ras"][inside]
    assert len(over)
    np.testing.assert_allclose(over, np.tile(expected, (len(over), 1)), atol=1.5 * millimetres)
    assert table["window"][-1].tolist() == [11.0, 77.0]
    assert table["window"][0].tolist() != [11.0, 77.0]
    clicks = [click for frame in table["clicks"] for click in frame]
    assert [click[3] for click in clicks] == [1]
    np.testing.assert_allclose(clicks[0][:3], pose.center, atol=1e-6)
    # Layers are named by identity or number, and the file holds no name of any.
    identity = volume_of(scan).identity
    image, numbered = f"image:{identity[:12]}", entry.layers.index("labels:1")
    assert image in entry.layers
    seen = table["layers"] >> numbered & 1
    assert (seen[0], seen[-1]) == (1, 0)
    assert b"subject" not in (default_folder() / entry.file).read_bytes()
    frames = dataset.table(0, ("frame",))["frame"]
    assert frames.shape == (entry.frames, 256, 256)
    middle = apply_affine(volume_of(scan).to_index, pose.center)
    assert frames[0, 128, 128] == pytest.approx(middle @ [1, 2, 3], abs=1.5)


def test_replay_scrub_key_poses_and_policies(recorder, navigator, qtbot):
    keys, policy, replay = recorder.key_pose_box, recorder.policy_box, recorder.replay_box
    assert not replay.play.isEnabled()
    assert not keys.keep.isEnabled()
    for title in ("Key poses", "Fly by policy"):
        recorder.sections[title].expand(animate=False)
    poses = []
    for _ in range(4):
        keys.add.click()
        poses.append(navigator.pose)
        navigator.state.move([0.05, 0.02, 0.05, 0.2, 0.1, 0, 0.1])
    keys.add.click()
    keys.add.click()
    assert "not moved" in recorder.message.text()
    assert keys.list.count() == 5
    keys.remove.click()
    keys.undo.click()
    keys.redo.click()
    assert keys.list.count() == 4
    keys.list.setCurrentRow(1)
    keys.go.click()
    np.testing.assert_allclose(navigator.pose.to_row(), poses[1].to_row(), atol=1e-9)
    keys.amount.setValue(3.0)
    keys.keep.click()
    settle(recorder, qtbot)
    dataset = Dataset.open(default_folder())
    entry = dataset.entries[0]
    assert (entry.source, entry.duration_s) == ("spline", pytest.approx(3.0, abs=0.05))
    # The episode passes through every key pose, as near as its rate allows.
    flown = np.array([pose.center for pose in dataset.flight(0).poses])
    step = np.linalg.norm(np.diff(flown, axis=0), axis=1).max()
    for pose in poses:
        assert np.linalg.norm(flown - pose.center, axis=1).min() <= step
    keys.timing.setCurrentText("Speed")
    keys.amount.setValue(500)
    keys.fly.click()
    qtbot.waitUntil(lambda: recorder.deck.number is None and replay.play.isEnabled())
    qtbot.waitUntil(lambda: not recorder.deck.replaying, timeout=20_000)
    assert len(Dataset.open(default_folder())) == 1

    policy.policy.setCurrentText("scroll")
    policy.frames.setValue(40)
    policy.keep.click()
    assert policy.cancel.isEnabled()
    settle(recorder, qtbot)
    dataset = Dataset.open(default_folder())
    assert (dataset.entries[1].source, dataset.entries[1].policy) == ("policy", "scroll")
    assert dataset.entries[1].frames == 40
    policy.policy.setCurrentText("walk")
    policy.frames.setValue(100_000)
    policy.generate.click()
    qtbot.waitUntil(lambda: policy.progress.value() > 0, timeout=30_000)
    policy.cancel.click()
    settle(recorder, qtbot)
    assert "Cancelled" in recorder.message.text()

    # Choose the first episode, scrub, step, play.
    listed = recorder.episodes_box.list
    listed.setCurrentItem(listed.topLevelItem(0))
    settle(recorder, qtbot)
    assert recorder.deck.number == 0
    before, flight = navigator.pose, recorder.deck.flight
    replay.slider.setValue(500)
    assert navigator.pose != before
    assert f"of {len(flight)}" in replay.time.text()
    replay.slider.setValue(1000)
    np.testing.assert_allclose(navigator.pose.to_row(), flight.poses[-1].to_row(), atol=1e-9)
    replay.back.click()
    np.testing.assert_allclose(navigator.pose.to_row(), flight.poses[-2].to_row(), atol=1e-9)
    replay.forward.click()
    replay.speed.setCurrentText("4x")
    replay.play.click()
    assert replay.play.text() == "Pause"
    replay.play.click()
    assert replay.play.text() == "Play"
    navigator.moves.undo.click()
    assert navigator.pose == before


CHILD = """
import sys, time
import numpy as np
from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Recorder
from napari_mrissl.volumes import Volume

voxels = np.arange(8 * 9 * 10, dtype=np.float32).reshape(8, 9, 10)
volume = Volume.from_stored(voxels, np.diag([2.0, 2, 2, 1]))
recorder = Recorder(sys.argv[1], volume, task="cut off")
for k in range(100000):
    recorder.pose(Pose(volume.center + 0.01 * k, np.eye(3), 20.0))
    time.sleep(0.02)
    if k == 60:
        print("flying", flush=True)
"""


def test_another_process_is_recording_and_is_killed(recorder, navigator, qtbot):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, default_folder()], stdout=subprocess.PIPE, encoding="utf-8",
        env=dict(os.environ),
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "flying\n"
        began = time.monotonic()
        recorder.record_box.record.click()
        refused = time.monotonic() - began
        assert not recorder.deck.recording
        assert str(child.pid) in recorder.message.text()
        assert refused < 5
        # Nothing else is hurt: the slice flies, and another dataset can be recorded into.
        before = navigator.pose
        navigator.state.move([0.02, 0, 0, 0, 0, 0, 0])
        assert navigator.pose != before
        recorder.dataset_box.new.click()
        settle(recorder, qtbot)
        assert recorder.deck.shelf.folder != default_folder()
        recorder.record_box.record.click()
        assert recorder.deck.recording
        fly(navigator, qtbot)
        recorder.record_box.record.click()
        settle(recorder, qtbot)
        assert recorder.notices.recover == []
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()

    recorder.deck.shelf.look()
    settle(recorder, qtbot)
    (text,) = recorder.notices.texts()
    assert "cut off" in text
    assert recorder.notices.isVisibleTo(recorder)
    (recover,) = recorder.notices.recover
    recover.click()
    settle(recorder, qtbot)
    assert "Recovered" in recorder.message.text()
    assert recorder.notices.texts() == []
    (entry,) = Dataset.open(default_folder()).entries
    assert entry.task == "cut off"
    assert entry.duration_s > 1.0


def test_the_session_comes_back_and_what_is_unusable_is_said(
    recorder, navigator, viewer, qtbot, tmp_path
):
    recorder.record_box.task.setText("look around")
    recorder.record_box.rate.setValue(10)
    recorder.record_box.kept["cursor"].setChecked(True)
    recorder.deck.choose_dataset(tmp_path / "mine")
    settle(recorder, qtbot)
    recorder.key_pose_box.add.click()
    navigator.state.move([0.1, 0, 0, 0.1, 0, 0, 0])
    recorder.key_pose_box.add.click()
    for _ in range(2):
        recorder.record_box.record.click()
        fly(navigator, qtbot, 1)
        recorder.record_box.record.click()
        settle(recorder, qtbot)
    recorder.deck.select(0)
    settle(recorder, qtbot)
    state = recorder.session_state()
    viewer.window.remove_dock_widget(recorder)
    viewer.window.remove_dock_widget(navigator)

    # Without a navigator it says so, and offers to open one.
    again = FlightRecorder(viewer)
    viewer.window.add_dock_widget(again, name="Flight recorder")
    again.restore_session(state)
    settle(again, qtbot)
    qtbot.waitUntil(lambda: again.deck.number == 0, timeout=10_000)
    found = again.session_state()
    np.testing.assert_allclose(found.pop("key_poses"), state.pop("key_poses"), atol=1e-9)
    assert found == state
    assert again.record_box.task.text() == "look around"
    assert again.deck.shelf.contents.hertz == 10
    assert "navigator" in again.notices.texts()[0]
    again.restore_session({"columns": ["voxels"], "hertz": "fast", "unknown": 1, "task": "kept"})
    assert "columns" in again.message.text()
    assert "hertz" in again.message.text()
    assert again.deck.task == "kept"
    again.restore_session(["no state"])
    again.notices.open_navigator.click()
    qtbot.waitUntil(lambda: again.notices.texts() == [], timeout=10_000)
    assert again.deck.volume is not None

    # Nothing is cut off at 1366 x 768, and everything says what it is for.
    viewer.window.resize(1366, 768)
    for folding in again.sections.values():
        folding.expand(animate=False)
    again.parentWidget().raise_()
    qtbot.wait(100)
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider)
    for kind in kinds:
        for control in again.findChildren(kind):
            if not control.isVisible() or control.parent() is None:
                continue
            corner = control.mapTo(again, QPoint(control.width(), 0))
            assert corner.x() <= again.width() + 1, control.objectName()
            if not isinstance(control.parent(), kinds) and "qt_" not in control.objectName():
                assert control.toolTip() or control.parent().toolTip(), control
