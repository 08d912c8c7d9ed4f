"""A window's session through the real widgets: kept as it changes, brought back as it was."""

import json
import shutil

import nibabel
import numpy as np
import pandas
import pytest

from napari_mrissl.segmentation import SegmentSettings
from napari_mrissl.ui import docks
from napari_mrissl.ui.finetuning.scene import Scene
from napari_mrissl.ui.finetuning.seen import as_accepted
from napari_mrissl.ui.layers import add_labels, labels_array, volume_of
from napari_mrissl.ui.session import keep, reopen, store
from napari_mrissl.ui.session.offer import OfferRow

pytestmark = pytest.mark.gui

NAVIGATOR, SEGMENTER = "Slice navigator", "Click segmentation"


@pytest.fixture
def scan(tmp_path):
    def write(name, seed, turn=0.0):
        random = np.random.default_rng(seed)
        affine = np.diag([2.0, 2.0, 2.5, 1.0])
        affine[:2, :2] = 2 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        voxels = random.integers(0, 250, (22, 20, 18)).astype(np.int16)
        path = tmp_path / f"{name}.nii.gz"
        nibabel.Nifti1Image(voxels, affine).to_filename(path)
        return path

    return write


@pytest.fixture
def window(make_napari_viewer_proxy, qtbot):
    def make():
        viewer = make_napari_viewer_proxy(show=True)
        viewer.window.resize(1366, 768)
        # A proxy's layers are never the ones that events and metadata name.
        return viewer.__wrapped__

    return make


def opened(viewer, *paths):
    for path in paths:
        viewer.open(str(path), plugin="napari-mrissl")
    return [viewer.layers[path.name.split(".")[0]] for path in paths]


def on_disk(viewer):
    """What a session file says once everything now open is in it."""
    keeper = keep(viewer)
    keeper.look()
    assert keeper.writer.wait()
    return keeper, store.read_session(keeper.writer.name).record


def left(viewer):
    """Leave a window and wait until its session can be had."""
    keeper = keep(viewer)
    viewer.close()
    assert keeper.writer.ended()


def back(viewer, qtbot, stored=None):
    """Bring the last session back into a window."""
    strip = reopen(keep(viewer), stored or store.last_session())
    with qtbot.waitSignal(strip.reopening.finished, timeout=20_000):
        pass
    qtbot.wait(150)
    return strip.reopening


def panel(viewer, title):
    return docks.open_docks(keep(viewer).window)[title][1]


def kept_names(viewer):
    """Layers, bottom first, but for the navigator's own."""
    names = [layer.name for layer in viewer.layers]
    return [name for name in names if name not in ("slice plane", "slice line")]


def settled(segmenter, qtbot):
    qtbot.waitUntil(lambda: not segmenter.busy, timeout=20_000)


def test_everything_comes_back(window, scan, qtbot):
    viewer = window()
    one, two = opened(viewer, scan("one", 1), scan("two", 2, turn=0.3))
    painted = (np.indices(volume_of(two).shape).sum(axis=0) % 5 == 0).astype(np.uint16) * 300
    mine = add_labels(viewer, volume_of(two), painted, "mine", opacity=0.3)
    one.colormap, one.contrast_limits, one.gamma = "magma", (20, 180), 0.7
    two.blending, two.visible, mine.contour = "additive", False, 2
    _, navigator = docks.open_dock(viewer, NAVIGATOR)
    _, segmenter = docks.open_dock(viewer, SEGMENTER)
    navigator.choose_layer(one)
    settled(segmenter, qtbot)
    segmenter.scan_box.choose("one")
    settled(segmenter, qtbot)
    segmenter.classes_box.add.click()
    segmenter.settings = SegmentSettings(uncertainty=True)
    segmenter.run_box.live.setChecked(False)
    segmenter.add_click((10.0, 12.0, 14.0), 1)
    segmenter.add_click((20.0, 12.0, 9.0), 3)
    segmenter.paint_ball((24.0, 20.0, 20.0), 5, 2)
    marks = segmenter.controller.session.state.snapshot()
    # Marks in a file of the user's have no journal any more, and come back all the same.
    segmenter.controller.session.mark_saved(marks)
    navigator.state.move([0.1, 0, 0.1, 0.2, 0.1, 0, 0.1])
    pose = navigator.pose.to_row()
    viewer.dims.order = (1, 0, 2)
    order = kept_names(viewer)
    settled(segmenter, qtbot)
    on_disk(viewer)
    left(viewer)

    viewer = window()
    assert back(viewer, qtbot).problems == []
    assert kept_names(viewer) == order
    one, two, mine = (viewer.layers[name] for name in ("one", "two", "mine"))
    assert (one.colormap.name, list(one.contrast_limits), one.gamma) == ("magma", [20, 180], 0.7)
    assert (two.blending, two.visible, mine.contour, mine.opacity) == ("additive", False, 2, 0.3)
    assert labels_array(mine).dtype == np.uint16
    np.testing.assert_array_equal(labels_array(mine), painted)
    assert tuple(viewer.dims.order) == (1, 0, 2)
    np.testing.assert_allclose(panel(viewer, NAVIGATOR).pose.to_row(), pose, atol=1e-9)
    segmenter = panel(viewer, SEGMENTER)
    settled(segmenter, qtbot)
    session = segmenter.controller.session
    assert session.layer.name == "one"
    np.testing.assert_allclose(session.state.clicks, marks.clicks, atol=1e-6)
    np.testing.assert_array_equal(session.state.scribble.voxels, marks.scribble.voxels)
    assert session.state.classes == marks.classes
    assert len(marks.classes) == 3
    assert segmenter.settings.uncertainty
    assert not segmenter.run_box.live.isChecked()
    # The docks are one stack of tabs again, the click panel in front.
    window_ = keep(viewer).window
    stack = window_.tabifiedDockWidgets(docks.open_docks(window_)[SEGMENTER][0])
    assert docks.open_docks(window_)[NAVIGATOR][0] in stack
    # This session takes the place of the one it goes on with.
    keeper, record = on_disk(viewer)
    assert record.continues is not None
    assert len(record.layers) == 5
    left(viewer)
    assert [one.name for one in store.stored_sessions()] == [keeper.writer.name]


def test_a_scan_that_moved_is_asked_for_and_stays_in_the_session_until_then(window, scan, qtbot):
    viewer = window()
    path, other = scan("one", 1), scan("other", 3)
    opened(viewer, path, other)
    one = viewer.layers["one"]
    labels = np.zeros(volume_of(one).shape, np.uint8)
    labels[3:9, 4:8, 5:9] = 2
    add_labels(viewer, volume_of(one), labels, "mine")
    on_disk(viewer)
    left(viewer)
    moved = path.with_name("elsewhere.nii.gz")
    shutil.move(path, moved)

    viewer = window()
    reopening = back(viewer, qtbot)
    assert [layer.name for layer in viewer.layers] == ["other"]
    (problem,) = reopening.problems
    assert problem.missing
    assert "one" in problem.sentence
    _, record = on_disk(viewer)
    assert {layer.look.name for layer in record.layers} == {"one", "other", "mine"}
    # Another scan than this one is refused, and nothing changes.
    reopening.locate(problem, other)
    qtbot.waitUntil(lambda: len(reopening.problems) == 2 and not reopening.jobs.running)
    assert "not one" in reopening.problems[-1].sentence
    reopening.locate(problem, moved)
    qtbot.waitUntil(lambda: "mine" in viewer.layers and not reopening.jobs.running)
    assert [layer.name for layer in viewer.layers] == ["one", "other", "mine"]
    np.testing.assert_array_equal(labels_array(viewer.layers["mine"]), labels)
    assert problem not in reopening.problems


def test_one_broken_part_is_told_and_the_rest_comes_back(window, scan, qtbot):
    viewer = window()
    changed, kept = scan("changed", 1), scan("kept", 2)
    opened(viewer, changed, kept)
    labels = np.ones(volume_of(viewer.layers["kept"]).shape, np.uint8)
    labels[0] = 0
    add_labels(viewer, volume_of(viewer.layers["kept"]), labels, "mine")
    keeper, _ = on_disk(viewer)
    left(viewer)
    folder = store.sessions_directory() / keeper.writer.name
    content = json.loads((folder / "session.json").read_text("utf-8"))
    content["docks"] = [{"title": "Slice navigator", "state": {"pose": "x", "scan": 3}}, "?"]
    (folder / "session.json").write_text(json.dumps(content), "utf-8")
    for voxels in (folder / "voxels").iterdir():
        voxels.write_bytes(b"no labels")
    scan("changed", 9)

    viewer = window()
    said = " ".join(problem.sentence for problem in back(viewer, qtbot).problems)
    assert kept_names(viewer) == ["kept"]
    assert "changed is no longer the scan that it was" in said
    assert "labels are damaged" in said
    assert "docks" in said
    assert panel(viewer, NAVIGATOR).volume is volume_of(viewer.layers["kept"])


def test_unsaved_marks_are_taken_from_the_newer_journal(window, scan, qtbot):
    viewer = window()
    opened(viewer, scan("one", 1))
    _, segmenter = docks.open_dock(viewer, SEGMENTER)
    settled(segmenter, qtbot)
    segmenter.run_box.live.setChecked(False)
    segmenter.add_click((10.0, 12.0, 14.0), 1)
    keeper, _ = on_disk(viewer)
    # What is clicked now is in the journal at once, but in no session file any more.
    keeper.pause()
    segmenter.add_click((20.0, 12.0, 9.0), 2)
    left(viewer)
    (stored,) = store.stored_sessions()
    assert len(next(one for one in stored.record.layers if one.kind == "clicks").clicks) == 1

    viewer = window()
    # The panel is open before the session is: the way from its own offer.
    _, segmenter = docks.open_dock(viewer, SEGMENTER)
    qtbot.waitUntil(lambda: segmenter.findChild(OfferRow) is not None)
    row = segmenter.findChild(OfferRow)
    qtbot.waitUntil(row.isVisible)
    assert "Last session: 1 scan" in row.text.text()
    row.reopen.click()
    qtbot.waitUntil(
        lambda: (
            segmenter.controller.session is not None
            and len(segmenter.controller.session.state.clicks) == 2
        ),
        timeout=20_000,
    )
    assert not row.isVisible()
    settled(segmenter, qtbot)
    assert segmenter.controller.session.unfinished is None


def test_what_no_file_holds_is_named_and_an_emptied_window_keeps_its_session(
    window, scan, qtbot, monkeypatch
):
    viewer = window()
    (one,) = opened(viewer, scan("one", 1))
    viewer.add_image(np.zeros((5, 6, 7)), name="made by hand")
    keeper, record = on_disk(viewer)
    assert record.left_out == ("made by hand",)
    one.colormap = "viridis"
    # As a script does that closes its viewer: all layers go before the window does.
    viewer.layers.clear()
    qtbot.wait(20)
    keeper.look()
    assert keeper.writer.wait()
    record = store.read_session(keeper.writer.name).record
    assert [layer.look.colormap for layer in record.layers] == ["viridis"]
    left(viewer)
    said = []
    monkeypatch.setattr("napari.utils.notifications.show_info", said.append)
    viewer = window()
    back(viewer, qtbot)
    assert any("made by hand" in sentence for sentence in said)


def test_cancelled_the_earlier_session_stays_whole(window, scan, qtbot):
    viewer = window()
    opened(viewer, *(scan(f"s{n}", n) for n in range(3)))
    on_disk(viewer)
    left(viewer)
    before = store.last_session()
    viewer = window()
    strip = reopen(keep(viewer), before)
    strip.cancel.click()
    qtbot.waitUntil(lambda: not strip.reopening.running)
    assert strip.reopening.cancelled
    assert len(viewer.layers) < 3
    left(viewer)
    assert before.name in [one.name for one in store.stored_sessions()]


def test_a_disk_that_refuses_is_said_once(window, scan, qtbot, monkeypatch):
    said = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", said.append)
    viewer = window()
    (one,) = opened(viewer, scan("one", 1))
    keeper, _ = on_disk(viewer)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_atomically", refuse)
    for gamma in (0.5, 0.6):
        one.gamma = gamma
        keeper.look()
        assert keeper.writer.wait()
    qtbot.wait(20)
    assert len(said) == 1
    assert "No space left" in said[0]
    monkeypatch.undo()


def test_a_layer_that_cannot_be_described_costs_neither_the_others_nor_the_thread(
    window, scan, qtbot, monkeypatch
):
    said = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", said.append)
    viewer = window()
    (one,) = opened(viewer, scan("one", 1))
    mine = add_labels(viewer, volume_of(one), np.zeros(volume_of(one).shape, np.uint8), "mine")
    odd = add_labels(viewer, volume_of(one), np.zeros(volume_of(one).shape, np.uint8), "odd")
    keeper, _ = on_disk(viewer)
    # A name that is not there, a brush larger than a file may say, bytes that are no text.
    mine.features = pandas.DataFrame({"index": [0, 1], "name": ["a", np.nan]})
    mine.brush_size = 1200
    odd.name = "odd \udcff"
    keeper, record = on_disk(viewer)
    kept = {layer.look.name: layer for layer in record.layers}
    assert set(kept) == {"one", "mine"}
    assert kept["mine"].features == {"index": [0, 1], "name": ["a", ""]}
    assert kept["mine"].look.brush_size is None
    assert record.left_out == ("odd ? (it could not be described; save it)",)

    def fail(*_):
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(store.OpenSession, "write", fail)
        for gamma in (0.5, 0.6):
            one.gamma = gamma
            keeper.look()
            assert keeper.writer.wait()
        qtbot.wait(20)
    assert len(said) == 1
    assert "RuntimeError" in said[0]
    one.gamma = 0.7
    _, record = on_disk(viewer)
    assert record.layers[0].look.gamma == 0.7


def test_labels_of_naparis_own_button_are_kept_and_others_are_named(window, scan, qtbot):
    viewer = window()
    (one,) = opened(viewer, scan("one", 1))
    viewer.layers.selection = {one}
    viewer._new_labels()
    mine = viewer.layers["one - Labels"]
    mine.data[3:6, 4:9, 2:5] = 7
    mine.refresh()
    keeper, _ = on_disk(viewer)
    assert keeper.unkept.isHidden()
    other = viewer.add_labels(np.zeros((4, 5, 6), np.uint8), name="elsewhere")
    on_disk(viewer)
    qtbot.waitUntil(keeper.unkept.isVisible)
    assert keeper.unkept.text() == "1 label layer is not kept by the session: save it"
    assert "elsewhere" in keeper.unkept.toolTip()
    viewer.layers.remove(other)
    qtbot.wait(20)
    on_disk(viewer)
    qtbot.waitUntil(keeper.unkept.isHidden)
    painted = mine.data.copy()
    left(viewer)

    viewer = window()
    assert back(viewer, qtbot).problems == []
    back_again = viewer.layers["one - Labels"]
    np.testing.assert_array_equal(labels_array(back_again), painted)
    assert volume_of(back_again) is volume_of(viewer.layers["one"])


def test_labels_too_large_to_be_kept_are_named(window, scan, qtbot, monkeypatch):
    monkeypatch.setattr("napari_mrissl.ui.session.writer.LARGEST_LABELS", 1000)
    viewer = window()
    (one,) = opened(viewer, scan("one", 1))
    add_labels(viewer, volume_of(one), np.zeros(volume_of(one).shape, np.uint8), "mine")
    keeper, record = on_disk(viewer)
    assert record.left_out == ("mine (too large to be kept; save it)",)
    qtbot.waitUntil(keeper.unkept.isVisible)
    assert "mine" in keeper.unkept.toolTip()
    viewer.layers.clear()
    qtbot.wait(20)
    keeper.look()
    assert keeper.unkept.isHidden()


def test_what_was_accepted_is_still_told_from_what_was_corrected(window, scan, qtbot):
    def origins(viewer):
        scene = Scene(viewer)
        scene.look()
        qtbot.waitUntil(lambda: not scene.busy, timeout=60_000)
        (facts,) = scene.scans
        scene.close()
        return {one.layer.name: one.origin for one in facts.maps}

    viewer = window()
    (one,) = opened(viewer, scan("one", 1))
    volume = volume_of(one)
    for name in ("as it was", "painted on"):
        layer = add_labels(viewer, volume, np.ones(volume.shape, np.uint8), name)
        # Plain labels again, as a result is that was taken back.
        layer.metadata["mrissl"]["segmentation"] = as_accepted(labels_array(layer), 0)
    layer.paint((3, 3, 3), 2)
    expected = {"as it was": "accepted result", "painted on": "corrected result"}
    assert origins(viewer) == expected
    on_disk(viewer)
    left(viewer)
    viewer = window()
    assert back(viewer, qtbot).problems == []
    assert origins(viewer) == expected
