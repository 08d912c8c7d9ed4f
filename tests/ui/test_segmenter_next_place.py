"""Where to label next, in real widgets: proposed, gone to, skipped; and why not."""

import threading

import numpy as np
import pytest
import ui.segmenter_actions as user

from napari_mrissl.features import compute
from napari_mrissl.geometry import Pose
from napari_mrissl.segmentation.several_scans import PromptedScan, beliefs
from napari_mrissl.segmentation.suggestions import ON_BY_DEFAULT, Candidate, Place, suggest
from napari_mrissl.ui.layers import add_volume, volume_of
from napari_mrissl.ui.navigator import SliceNavigator
from napari_mrissl.ui.segmenter import next_place, suggesting
from napari_mrissl.ui.segmenter.next_place_box import NextPlaceBox
from napari_mrissl.volumes import Volume

pytestmark = pytest.mark.gui

SLICED = {"axial": 0, "coronal": 1, "sagittal": 2}


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def panel(viewer, qtbot):
    """A panel on one scan, segmented from two clicks."""
    add_volume(viewer, user.ball())
    panel = user.docked(viewer, qtbot)
    user.two_clicks(panel, qtbot)
    return panel


def asked(panel, qtbot):
    """Press the button; the place that was found."""
    panel.next_place_box.suggest.click()
    user.settle(panel, qtbot)
    return panel.next_place.suggestion


def by_script(panel, skipped=()):
    """What a script gets for the panel's scan alone."""
    session = panel.controller.session
    prompts = session.state.snapshot().prompts(session.volume.identity)
    scan = PromptedScan(session.volume, session.stack, prompts)
    (belief,) = beliefs([scan], panel.settings.classifier)
    candidate = Candidate(session.volume, session.stack, belief.uncertainty, prompts)
    return suggest([candidate], skipped)


def says(panel):
    return panel.next_place_box.sentence.text()


def unsure(name):
    """A ball of nothing but the grey half way between the two that are marked in the other."""
    random = np.random.default_rng(8)
    like = user.ball(seed=7)
    index = np.stack(np.meshgrid(*[np.arange(user.SIDE)] * 3, indexing="ij"), -1)
    radius = np.linalg.norm(index - (user.SIDE - 1) / 2, axis=-1) * 2
    values = np.where(radius < 16, 155, 10) + random.normal(0, 6, radius.shape)
    return Volume.from_stored(values.clip(0, 255).astype(np.uint8), like.stored.affine, name=name)


def test_the_place_is_that_of_a_script_and_the_main_view_goes_there(panel, viewer, qtbot):
    box = panel.next_place_box
    assert not box.fold.isExpanded()
    assert says(panel) == next_place.HINT
    assert box.suggest.isEnabled()
    assert not box.go.isEnabled()
    viewer.dims.ndisplay = 3
    found = asked(panel, qtbot)
    assert found == by_script(panel)
    _, x, y, z = found.place
    where = f"R {x:+.1f}  A {y:+.1f}  S {z:+.1f} mm"
    assert says(panel) == f"ball, {found.plane} plane\n{where}\n{found.why}"
    assert "next place in 1 scan" in user.said(panel)
    box.go.click()
    assert viewer.dims.ndisplay == 2
    assert viewer.dims.order[0] == SLICED[found.plane]
    # napari's world is S, A, R; the scan's voxels are 2 mm wide.
    assert np.allclose(viewer.dims.point, (z, y, x), atol=1.01)
    assert np.allclose(viewer.scene.camera.center[1:], np.take((z, y, x), viewer.dims.order[1:]))


def test_the_navigator_flies_to_the_proposed_pose(panel, viewer, qtbot):
    other = add_volume(viewer, user.ball("other", seed=3))
    navigator = SliceNavigator(viewer)
    viewer.window.add_dock_widget(navigator, name="Slice navigator", area="right")
    navigator.choose_layer(other)
    before = Pose.from_normal_up((1, 2, 3), (0.2, 0.4, 0.9), (0, 1, 0), 44.0)
    navigator.pose = before
    found = asked(panel, qtbot)
    assert found.place.scan == panel.controller.session.volume.identity
    seen = []
    navigator.state.pose_changed.connect(seen.append)
    panel.next_place_box.go.click()
    assert navigator.volume is panel.controller.session.volume
    qtbot.waitUntil(lambda: navigator.pose == found.pose, timeout=20_000)
    assert np.allclose(navigator.pose.center, found.place[1:])
    # On the way it is seen in between.
    assert len(seen) > 2
    navigator.state.undo()
    assert navigator.pose == before
    navigator.state.set_convention("radiological")
    turned = navigator.pose
    panel.next_place_box.go.click()
    # Who moves the slice meanwhile takes over.
    navigator.state.undo()
    assert navigator.pose == turned
    qtbot.wait(50)
    assert navigator.pose == turned
    panel.next_place_box.go.click()
    qtbot.waitUntil(lambda: np.allclose(navigator.pose.center, found.place[1:]), timeout=20_000)
    assert np.allclose(navigator.pose.normal, -found.pose.normal)
    assert np.allclose(navigator.pose.up, found.pose.up)
    navigator.shut_down()


def test_another_scan_that_has_features_may_need_the_label_more(panel, viewer, qtbot):
    layer = add_volume(viewer, unsure("unsure"))
    add_volume(viewer, user.ball("unread", seed=9))
    compute(volume_of(layer), panel.settings.features)
    assert panel.controller.session.layer is not layer
    found = asked(panel, qtbot)
    assert found.place.scan == volume_of(layer).identity
    assert says(panel).startswith(f"unsure, {found.plane} plane\n")
    assert "Not looked at, without features: 1 scan." in says(panel)
    assert "next place in 2 scans" in user.said(panel)
    layer.visible = False
    panel.next_place_box.go.click()
    assert panel.controller.session.layer is layer
    assert panel.scan_box.combo.currentText() == "unsure"
    # The topmost scan covered it; one below it is in nobody's way.
    shown = [viewer.layers[name].visible for name in ("unsure", "unread", "ball")]
    assert shown == [True, False, True]
    assert says(panel).endswith("Hidden, because it covered this scan: unread.")
    user.settle(panel, qtbot)
    # Going there changed no mark: the place may be gone to again.
    assert panel.next_place.suggestion is found
    viewer.layers.remove(layer)
    assert panel.next_place.suggestion is None
    assert not panel.next_place_box.go.isEnabled()


def test_skips_are_kept_taken_back_and_cleared(panel, viewer, qtbot):
    box, one = panel.next_place_box, panel.next_place
    assert not box.undo_skip.isEnabled()
    places = [asked(panel, qtbot).place]
    for number in (1, 2):
        box.skip.click()
        user.settle(panel, qtbot)
        assert one.skipped == tuple(places)
        assert one.suggestion == by_script(panel, places)
        places.append(one.suggestion.place)
        assert box.clear_skips.text() == f"Clear skips ({number})"
    away = np.subtract(places[2][1:], [place[1:] for place in places[:2]])
    assert (np.linalg.norm(away, axis=1) >= 5).all()
    box.undo_skip.click()
    user.settle(panel, qtbot)
    assert (one.skipped, one.suggestion.place) == (tuple(places[:1]), places[1])
    box.always.setChecked(True)
    box.fold.expand(animate=False)
    kept = panel.session_state()
    box.clear_skips.click()
    user.settle(panel, qtbot)
    assert (one.skipped, one.suggestion.place) == ((), places[0])
    assert not box.clear_skips.isEnabled()
    viewer.window.remove_dock_widget(panel)
    again = user.docked(viewer, qtbot)
    user.settle(again, qtbot)
    assert again.next_place.skipped == ()
    kept["next_place"]["skipped"] += [["x", 1], "nonsense", ["x", 1.0, float("nan"), 2.0]]
    again.restore_session(kept)
    user.settle(again, qtbot)
    assert again.next_place.skipped == (Place(*places[0]),)
    assert again.next_place.always
    assert again.next_place_box.always.isChecked()
    assert again.next_place_box.fold.isExpanded()


def test_marks_that_change_end_a_suggestion_and_the_switch_makes_the_next(panel, qtbot):
    one, box = panel.next_place, panel.next_place_box
    assert box.always.isChecked() is ON_BY_DEFAULT is False
    first = asked(panel, qtbot)
    x, y, z = first.place[1:]
    panel.add_click((x, y, z), 2)
    user.settle(panel, qtbot)
    assert one.suggestion is None
    assert says(panel) == next_place.CHANGED
    assert box.suggest.isEnabled()
    assert not box.go.isEnabled()
    box.always.click()
    panel.add_click((x, y + 6, z), 2)
    qtbot.waitUntil(lambda: one.suggestion is not None, timeout=60_000)
    assert one.suggestion == by_script(panel)
    assert one.suggestion.place != first.place


def test_why_no_place_can_be_proposed_is_said(viewer, qtbot):
    panel = user.docked(viewer, qtbot)
    box = panel.next_place_box
    assert (says(panel), box.suggest.isEnabled()) == (next_place.NO_SCAN, False)
    add_volume(viewer, user.ball())
    user.settle(panel, qtbot)
    assert (says(panel), box.suggest.isEnabled()) == (next_place.TOO_FEW, False)
    panel.run_box.live.setChecked(False)
    panel.add_click(user.CENTER, 1)
    assert says(panel) == next_place.TOO_FEW
    panel.add_click(user.SHELL, 2)
    assert (says(panel), box.suggest.isEnabled()) == (next_place.NO_FEATURES, False)
    for button in (box.go, box.skip, box.undo_skip, box.clear_skips):
        assert not button.isEnabled()
    panel.segment()
    user.settle(panel, qtbot)
    assert (says(panel), box.suggest.isEnabled()) == (next_place.HINT, True)


def test_it_is_looked_for_off_the_gui_thread_and_can_be_cancelled(panel, qtbot, monkeypatch):
    begun, threads = threading.Event(), []

    def endless(scans, classifier, progress, cancelled):
        threads.append(threading.current_thread())
        progress(0.5, "classifying")
        begun.set()
        while not cancelled():
            threading.Event().wait(0.005)
        return beliefs(scans, classifier, progress, cancelled)

    monkeypatch.setattr(suggesting, "beliefs", endless)
    box = panel.next_place_box
    box.suggest.click()
    qtbot.waitUntil(begun.is_set, timeout=60_000)
    assert says(panel) == next_place.LOOKING
    assert not box.suggest.isEnabled()
    assert panel.run_box.cancel.isEnabled()
    panel.run_box.cancel.click()
    user.settle(panel, qtbot)
    assert threads[0] is not threading.main_thread()
    assert user.said(panel) == "Cancelled."
    assert (says(panel), panel.next_place.suggestion) == (next_place.HINT, None)
    assert box.suggest.isEnabled()
    monkeypatch.undo()
    assert asked(panel, qtbot) == by_script(panel)


def test_no_sentence_is_cut_off_and_every_control_has_a_tooltip(panel, qtbot):
    box: NextPlaceBox = panel.next_place_box
    box.fold.expand(animate=False)
    asked(panel, qtbot)
    panel.next_place._said = "A sentence much longer than the box was made for. " * 12
    box.refresh()
    qtbot.waitUntil(
        lambda: box.sentence.height() >= box.sentence.heightForWidth(box.sentence.width())
    )
    assert panel.widget().minimumSizeHint().width() <= panel.viewport().width()
    for control in (
        box.suggest, box.go, box.skip, box.undo_skip, box.clear_skips, box.always, box.sentence,
    ):  # fmt: skip
        assert control.toolTip()
