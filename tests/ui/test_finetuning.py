"""The finetuning dock with real widgets and a process that writes a run's events."""

import csv
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QTabBar

from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.segmentation.finetuning import FinetuneSettings
from napari_mrissl.training import launch
from napari_mrissl.training.run import Run
from napari_mrissl.ui import docks
from napari_mrissl.ui.finetuning import work
from napari_mrissl.ui.finetuning.seen import ACCEPTED, RESULT
from napari_mrissl.ui.finetuning.widget import LABELS, RESULTS, RUN
from napari_mrissl.ui.layers import add_labels, add_volume, labels_array
from napari_mrissl.ui.pretraining import work as runs
from napari_mrissl.ui.segmenter.class_table import NAME
from napari_mrissl.ui.segmenter.prompt_layers import ClicksLayer, role_of
from napari_mrissl.volumes import read
from tests.segmentation.finetuning.balls import arrays, write

pytestmark = pytest.mark.gui
WAIT = 180_000
TRAINER = Path(__file__).with_name("finetune_trainer.py")
ENDLESS = 100_000


def words(folder, processes):
    return [sys.executable, str(TRAINER), str(folder)]


def by_threshold(model, volumes, received, settings, progress, cancelled):
    """What the network of these tests says of a scan: every step of training moves it."""
    for number, volume in enumerate(volumes):
        if cancelled():
            raise Cancelled
        progress(number / len(volumes), "network")
        bright = 130 + Run.open(model).settings.seed
        labels = np.uint8(volume.data > bright) + np.uint8(volume.data > 215)
        received(number, labels, "")


@pytest.fixture
def quick(monkeypatch):
    """Runs are given to `finetune_trainer.py`, and scans segmented by thresholds."""
    monkeypatch.setitem(launch.start.__kwdefaults__, "command", words)
    monkeypatch.setattr(runs, "devices", lambda control: [{"name": "cpu", "title": "CPU"}])
    monkeypatch.setattr(work, "predict_apart", by_threshold)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    for run in runs.index.runs():
        launch.stop(run.folder, 0.0)
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    for child in left:
        child.kill()
    psutil.wait_procs(left)


@pytest.fixture
def scans(make_napari_viewer_proxy, tmp_path):
    """A viewer with three scans, two of them with label layers."""
    viewer = make_napari_viewer_proxy(show=True)
    for who, given in enumerate(write(tmp_path, 3)):
        volume = read(given.image)
        add_volume(viewer, volume, name=f"scan {who}")
        if who < 2:
            labels = np.asarray(read(given.labels).data).astype(np.uint8)
            add_labels(viewer, volume, labels, f"truth {who}")
    return viewer


@pytest.fixture
def panel(scans, qtbot, quick):
    return opened(scans, qtbot)


def opened(viewer, qtbot):
    _, panel = docks.open_dock(viewer, "Finetuning")
    rests(panel, qtbot)
    return panel


def rests(panel, qtbot):
    qtbot.waitUntil(lambda: not panel.busy, timeout=WAIT)


def reaches(panel, qtbot, *names):
    def there():
        return panel.follower.state is not None and panel.follower.state.name in names

    qtbot.waitUntil(there, timeout=WAIT)


def started(panel, qtbot, steps=6, seed=0):
    settings = FinetuneSettings(
        weights="scratch", preset="tiny", device="cpu", steps=steps, seed=seed
    )
    panel.start_box.show_settings(settings)
    panel.start_box.start.click()
    before = panel.follower.folder

    def another():
        assert panel.follower.folder not in (None, before), panel.status.message.text()

    qtbot.waitUntil(another, timeout=WAIT)
    reaches(panel, qtbot, "running", "finished")
    return panel.follower.folder


def finished(panel, qtbot, seed=0):
    """A finetuning and all its results."""
    folder = started(panel, qtbot, seed=seed)

    def there():
        model = panel.scene.results.model
        return model is not None and model.folder == folder and not panel.busy

    qtbot.waitUntil(there, timeout=WAIT)
    return folder


def results(panel):
    """By the name of the scan's layer, what its result layer holds."""
    found = {}
    for scan, volume in panel.scene.pairs:
        layer = panel.scene.results.layer_of(volume)
        if layer is not None:
            found[scan.name] = labels_array(layer).copy()
    return found


def paint(layer, label, where):
    """A stroke of napari's brush of one voxel."""
    layer.selected_label = label
    layer.brush_size = 1
    layer.paint(where, label)


def select(panel, number):
    panel.results_box.tree.topLevelItem(number).setSelected(True)


def test_from_label_layers_to_the_segmentation_of_every_open_scan(panel, qtbot, tmp_path):
    rows = panel.scene.rows
    assert [(row.use, row.chosen and row.chosen.name) for row in rows] == [
        ("learn", "truth 0"),
        ("learn", "truth 1"),
        ("none", None),
    ]
    _, truth = arrays(0)
    _, other = arrays(1)
    both = np.bincount(truth.ravel()) + np.bincount(other.ravel())
    assert panel.scene.marks == dict(enumerate(both.tolist()))
    assert [one.label for one in panel.scene.classes] == [1, 2]

    box = panel.labels_box.scans.table.cellWidget(1, 1)
    box.setCurrentIndex(box.findData("held out"))
    box.activated.emit(box.currentIndex())
    assert panel.scene.rows[1].use == "held out"
    folder = finished(panel, qtbot)
    run = Run.open(folder)
    assert [one.split for one in run.settings.data.subjects] == ["train", "validation"]
    panel.run_box.refresh()
    assert panel.run_box.dice.text() == (
        "Dice 0.917 in crops that it learns from, 0.750 in crops of held-out scans, 0.125 by chance"
    )
    qtbot.waitUntil(lambda: "prediction" in panel.run_box.pictures.shown, timeout=WAIT)

    assert panel.tabs.currentIndex() == RESULTS
    shown = results(panel)
    assert list(shown) == ["scan 0", "scan 1", "scan 2"]
    for number, labels in enumerate(shown.values()):
        voxels, truth = arrays(number)
        # Volumes have their axes as (S, A, R).
        expected = np.uint8(voxels > 130) + np.uint8(voxels > 215)
        assert np.array_equal(labels, expected.T)
        line = panel.scene.lines[number]
        assert line.measured.part == ("learned from", "held out", "new")[number]
        assert line.measured.volumes_ml[1] == pytest.approx((expected == 1).sum() / 1000)
        if number < 2:
            inside, wanted = expected == 2, truth == 2
            score = 2 * (inside & wanted).sum() / (inside.sum() + wanted.sum())
            assert line.measured.dice[2] == pytest.approx(score)
        else:
            assert not line.measured.dice

    path = tmp_path / "volumes.csv"
    panel.save_table(path)
    rests(panel, qtbot)
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["scan"], row["part"], row["label"]) for row in table] == [
        (f"s{n}", part, str(label))
        for n, part in enumerate(("learned from", "held out", "new"))
        for label in (1, 2)
    ]
    text = path.read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "scan 0" not in text


def test_clicks_alone_are_learned_and_background_is_zero(scans, qtbot, quick):
    for layer in [one for one in scans.layers if one.name.startswith("truth")]:
        scans.layers.remove(layer)
    from napari_mrissl.segmentation.prompts import PromptClass
    from napari_mrissl.ui.layers import METADATA_KEY, volume_of

    volume = volume_of(scans.layers["scan 1"])
    classes = (
        PromptClass(label=1, name="lesion", color="#ff0000"),
        PromptClass(label=2, name="background", color="#00ff00"),
    )
    holder = ClicksLayer(scans, volume)
    # World of an identity affine: index (i, j, k) of the file is (x, y, z) mm.
    holder.show(((8.0, 10.0, 8.0, 1), (1.0, 1.0, 1.0, 2), (2.0, 1.0, 1.0, 2)), classes)
    holder.layer.metadata[METADATA_KEY]["classes"] = classes
    panel = opened(scans, qtbot)
    assert [row.use for row in panel.scene.rows] == ["none", "learn", "none"]
    assert panel.scene.marks == {1: 1, 0: 2}
    assert [(one.label, one.name, one.color) for one in panel.scene.classes] == [
        (1, "lesion", "#ff0000")
    ]
    folder = started(panel, qtbot)
    run = Run.open(folder)
    assert [(one["label"], one["name"]) for one in run.settings.task["classes"]] == [
        (0, "background"),
        (1, "lesion"),
    ]
    (file,) = (folder / "labels").iterdir()
    kept = np.asarray(read(file).data)
    assert sorted(np.unique(kept)) == [0, 1, 255]
    assert kept[8, 10, 8] == 1
    assert (kept == 0).sum() == 2


def test_corrections_are_labels_of_the_next_one_and_a_finetuning_can_be_undone(panel, qtbot):
    first = finished(panel, qtbot)
    before = results(panel)
    layer = panel.scene.results.layer_of(panel.scene.pairs[2][1])
    assert before["scan 2"][3, 3, 3] == 0
    paint(layer, 2, (3, 3, 3))
    qtbot.waitUntil(lambda: "corrected" in panel.scene.lines[2].state, timeout=WAIT)
    rests(panel, qtbot)
    assert panel.scene.rows[2].use == "learn"
    assert panel.scene.rows[2].corrected == 1
    painted = results(panel)

    second = finished(panel, qtbot, seed=20)
    kept = [
        np.asarray(read(second / "labels" / f"{one.labels}.nii.gz").data)
        for one in Run.open(second).settings.data.subjects
    ]
    assert len(kept) == 3
    assert (kept[2] != 255).sum() == 1
    assert kept[2][3, 3, 3] == 2
    after = results(panel)
    assert not np.array_equal(after["scan 0"], before["scan 0"])
    # What the user painted stays on top of what the next network says.
    assert after["scan 2"][3, 3, 3] == 2

    panel.results_box.undo.click()
    assert panel.scene.results.model.folder == first
    for name, labels in results(panel).items():
        assert np.array_equal(labels, painted[name])
    panel.results_box.redo.click()
    assert panel.scene.results.model.folder == second
    for name, labels in results(panel).items():
        assert np.array_equal(labels, after[name])
    rests(panel, qtbot)
    for _ in range(2):
        panel.results_box.undo.click()
        rests(panel, qtbot)
    assert panel.scene.results.model is None
    assert not results(panel)
    assert not panel.results_box.undo.isEnabled()
    # The correction is the user's work: it outlives the network that it was made on.
    assert panel.scene.rows[2].corrected == 1


def test_an_accepted_result_is_learned_from_until_it_is_taken_back(panel, qtbot):
    finished(panel, qtbot)
    scan, volume = panel.scene.pairs[2]
    select(panel, 2)
    assert panel.viewer.layers.selection.active is scan
    panel.results_box.accept.click()
    rests(panel, qtbot)
    row = panel.scene.rows[2]
    assert row.use == "learn"
    assert role_of(row.chosen)[0] == ACCEPTED
    assert len(panel.scene.given()) == 3
    assert panel.scene.results.layer_of(volume) is None
    select(panel, 2)
    panel.results_box.take_back.click()
    rests(panel, qtbot)
    assert panel.scene.rows[2].use == "none"
    assert role_of(panel.scene.results.layer_of(volume))[0] == RESULT


def test_a_stopped_one_can_be_used_and_goes_on(panel, qtbot):
    folder = started(panel, qtbot, steps=ENDLESS)
    assert panel.tabs.currentIndex() == RUN
    qtbot.waitUntil(lambda: panel.follower.history.step > 3, timeout=WAIT)
    panel.run_box.stop.click()
    reaches(panel, qtbot, "stopped")
    rests(panel, qtbot)
    assert panel.scene.results.model is None
    panel.run_box.use.click()
    qtbot.waitUntil(lambda: len(results(panel)) == 3 and not panel.busy, timeout=WAIT)
    assert panel.scene.results.model.folder == folder
    panel.run_box.resume.click()
    reaches(panel, qtbot, "running")


def test_what_does_not_fit_is_one_sentence_and_leaves_no_run(panel, qtbot):
    before = panel.start_box.folder.text()
    for scan, _ in panel.scene.pairs:
        panel.scene.choices.set_use(scan, "held out")
    panel.start_box.start.click()
    qtbot.waitUntil(lambda: "no scan is for training" in said(panel), timeout=WAIT)
    for scan, _ in panel.scene.pairs:
        panel.scene.choices.set_use(scan, "none")
    rests(panel, qtbot)
    panel.start_box.start.click()
    qtbot.waitUntil(lambda: "no scan is labelled" in said(panel), timeout=WAIT)
    rests(panel, qtbot)
    # One class only.
    scan, _ = panel.scene.pairs[0]
    layer = panel.viewer.layers["truth 0"]
    labels_array(layer)[...] = 1
    layer.refresh()
    panel.scene.choices.set_use(scan, "learn")
    panel.start_box.start.click()
    qtbot.waitUntil(lambda: "one class only" in said(panel), timeout=WAIT)
    panel.start_box.folder.setText(" ")
    panel.start_box.start.click()
    assert said(panel) == "The run has no folder; choose one."
    assert not Path(before).exists()
    assert panel.tabs.currentIndex() == LABELS


def test_labels_that_are_called_differently_are_not_learned_as_one(panel, qtbot):
    for number, name in enumerate(("liver", "kidney")):
        table = {"index": [0, 1, 2], "name": ["background", name, "vessel"]}
        panel.viewer.layers[f"truth {number}"].features = table
    rests(panel, qtbot)
    panel.scene.look()
    rests(panel, qtbot)
    expected = "classes: label 1 is 'liver' in truth 0 and 'kidney' in truth 1; expected one name"
    assert panel.labels_box.names.text().startswith(expected)
    before = panel.start_box.folder.text()
    panel.start_box.start.click()
    assert said(panel).startswith(expected)
    assert not panel.busy
    assert not Path(before).exists()
    # A scan that is not used may call it what it likes; so may the user.
    box = panel.labels_box.scans.table.cellWidget(1, 1)
    for use, hidden in (("none", True), ("held out", False)):
        box.setCurrentIndex(box.findData(use))
        box.activated.emit(box.currentIndex())
        assert panel.labels_box.names.isHidden() is hidden
    panel.labels_box.table.item(0, NAME).setText("organ")
    assert panel.labels_box.names.isHidden()
    run = Run.open(started(panel, qtbot))
    assert [one["name"] for one in run.settings.task["classes"]] == [
        "background", "organ", "vessel",
    ]  # fmt: skip


def test_a_scan_that_cannot_be_segmented_says_why_beside_the_others(panel, qtbot, monkeypatch):
    def second_fails(model, volumes, received, settings, progress, cancelled):
        for number, volume in enumerate(volumes):
            good = np.zeros(volume.shape, np.uint8)
            received(number, None if number == 1 else good, "no contrast" if number == 1 else "")

    monkeypatch.setattr(work, "predict_apart", second_fails)
    finished(panel, qtbot)
    assert list(results(panel)) == ["scan 0", "scan 2"]
    assert [line.problem for line in panel.scene.lines] == ["", "no contrast", ""]
    select(panel, 1)
    assert panel.results_box.problem.text() == "no contrast"
    assert "Segmented 2 scans of 3" in said(panel)


def test_segmenting_is_cancelled_and_only_ticked_scans_are_segmented(panel, qtbot, monkeypatch):
    panel.results_box.by_itself.setChecked(False)
    finished(panel, qtbot)
    assert not results(panel)
    panel.results_box.tree.topLevelItem(0).setCheckState(0, Qt.CheckState.Unchecked)
    panel.results_box.segment.click()
    qtbot.waitUntil(lambda: len(results(panel)) == 2 and not panel.busy, timeout=WAIT)
    assert list(results(panel)) == ["scan 1", "scan 2"]

    def endless(model, volumes, received, settings, progress, cancelled):
        while not cancelled():
            progress(0.5, "network")
        raise Cancelled

    monkeypatch.setattr(work, "predict_apart", endless)
    panel.results_box.segment.click()
    qtbot.waitUntil(lambda: panel.status.cancel.isEnabled(), timeout=WAIT)
    panel.status.cancel.click()
    qtbot.waitUntil(lambda: not panel.segmenting.running, timeout=WAIT)
    assert said(panel) == "Cancelled."


def test_a_session_brings_back_choices_corrections_and_network(panel, qtbot):
    folder = finished(panel, qtbot)
    scan, volume = panel.scene.pairs[2]
    paint(panel.scene.results.layer_of(volume), 1, (2, 2, 2))
    panel.scene.choices.set_use(panel.scene.pairs[1][0], "held out")
    panel.scene.look()
    rests(panel, qtbot)
    state = panel.session_state()
    viewer, held = panel.viewer, dict(panel.scene.results.corrections)
    dock, _ = docks.open_docks(panel.window())["Finetuning"]
    viewer.window.remove_dock_widget(dock)

    again = opened(viewer, qtbot)
    assert again.scene.results.model is None
    again.restore_session(state)
    rests(again, qtbot)
    assert again.scene.results.model.folder == folder
    assert [row.use for row in again.scene.rows] == ["learn", "held out", "learn"]
    assert np.array_equal(again.scene.results.corrections[scan].voxels, held[scan].voxels)
    assert [line.measured is not None for line in again.scene.lines] == [True] * 3
    assert again.start_box.settings == FinetuneSettings.model_validate(state["settings"])
    again.restore_session({"settings": {"mode": "magic"}, "tab": 99, "scans": 3})
    assert said(again) == "Not restored, because not usable: settings, scans, tab."


def test_every_control_says_what_it_does(panel):
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit)
    for kind in kinds:
        for one in panel.findChildren(kind):
            # Arrows of tab bars and parts of boxes are Qt's own.
            inside = isinstance(one.parent(), (QComboBox, QAbstractSpinBox, QTabBar))
            ours = one.objectName() != "qt_spinbox_lineedit" and not inside
            if ours and "Corner" not in type(one).__name__ and one.window() is panel.window():
                words = one.toolTip() or one.parent().toolTip()
                assert words, (type(one).__name__, getattr(one, "text", str)())


def said(panel):
    return panel.status.message.text()
