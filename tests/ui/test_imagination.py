"""Imagine mode with real widgets and a network of random weights."""

import numpy as np
import pyqtgraph
import pytest
from imagination_actions import SECONDS, SHIFT, TURN, flying_panel, inspected, move, settle
from navigator_actions import small_volume
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QScrollArea

from napari_mrissl.geometry import Pose, apply_action, relative_action
from napari_mrissl.pretext.navigation.flights import Flights
from napari_mrissl.pretext.navigation.moves import apart, reach_of
from napari_mrissl.ui.inspector import Inspector
from napari_mrissl.ui.inspector.method_panel import MethodPanel
from napari_mrissl.ui.inspector.navigation import flying
from napari_mrissl.ui.inspector.navigation.panel import FIND, IMAGINE, LATENTS
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator.anatomy import letters
from tests.imagined import dynamics_run, tokenizer_run

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagined")
    return {
        "dynamics": dynamics_run(folder / "flown"),
        "other size": dynamics_run(folder / "larger", 48),
        "tokenizer": tokenizer_run(folder / "tokens"),
    }


@pytest.fixture
def inspector(qtbot, runs):
    return inspected(qtbot, runs["dynamics"])


@pytest.fixture
def panel(inspector, qtbot):
    return flying_panel(inspector, qtbot)


def test_what_is_imagined_is_what_the_network_says_and_never_looks_like_the_scan(panel, qtbot):
    tab = panel.imagine_tab
    assert "true" in tab.imagined.caption
    start = panel.slice_state.pose
    move(panel, qtbot, SHIFT)
    flight = panel.control.flight
    assert flight.steps >= 1
    mind = panel.loaded.opened.imagination.fork()
    mind.begin(panel.loaded.scan, start)
    pose = start
    for moment in flight.moments[1:]:
        action = relative_action(pose, moment.pose)
        reach = reach_of(panel.loaded.opened.flights)
        assert (np.abs(action) <= reach * (1 + 1e-6)).all()
        shown, pose = mind.step(action), moment.pose
        np.testing.assert_allclose(moment.imagined, shown.image, atol=1e-5)
        np.testing.assert_array_equal(moment.true, mind.true_frame(moment.pose))
    assert flight.now.latent_error == pytest.approx(mind.latent_error(), abs=1e-4)
    true, begun = mind.encode(panel.loaded.scan, [pose, start])
    assert flight.now.kept_error == pytest.approx(np.abs(true - begun).mean(), abs=1e-4)
    assert tab.imagined.caption.startswith("IMAGINED, step")
    assert (tab.imagined.kind, tab.true.kind) == ("imagined", "scan")
    assert "ms a step" in tab.facts.text()
    lines = tab.drift.lines
    np.testing.assert_allclose(
        lines["imagined"].getData()[1], [one.latent_error for one in flight.moments]
    )


def test_far_moves_are_flown_in_steps_and_a_resting_hand_flies_small_ones(panel, qtbot):
    move(panel, qtbot, 0.03 * SHIFT)
    assert panel.control.flight.steps == 1
    panel.slice_state.set_pose(apply_action(panel.slice_state.pose, 8 * TURN))
    move(panel, qtbot, np.zeros(7))
    reach = reach_of(panel.loaded.opened.flights)
    assert panel.control.flight.steps >= 1 + int(0.8 / reach[4])
    assert panel.control.waited_ms > 0


def test_back_restart_and_stop(panel, qtbot):
    tab, state = panel.imagine_tab, panel.slice_state
    assert not tab.back.isEnabled()
    start = state.pose
    move(panel, qtbot, SHIFT)
    before = panel.control.flight
    move(panel, qtbot, TURN)
    while panel.control.flight.steps > before.steps:
        tab.back.click()
    assert panel.control.flight.now is before.now
    assert apart(state.pose, before.now.pose).mm < 1e-6
    while panel.control.flight.steps:
        tab.back.click()
    assert apart(state.pose, start).mm < 1e-6
    qtbot.waitUntil(lambda: not panel.flying.running, timeout=SECONDS)
    move(panel, qtbot, SHIFT)
    tab.restart.click()
    qtbot.waitUntil(lambda: panel.control.flight is not None, timeout=SECONDS)
    assert panel.control.flight.steps == 0
    assert panel.control.flight.now.pose == state.pose
    there = state.pose
    tab.stop.click()
    assert not panel.control.active
    assert state.pose == there
    assert tab.imagined.image is None
    state.move(SHIFT)
    assert panel.control.flight is None
    assert tab.start.isEnabled()
    assert not tab.stop.isEnabled()


def test_other_actions_are_imagined_from_the_same_context(panel, qtbot):
    tab = panel.imagine_tab
    assert all(picture.isHidden() for picture in tab.others.values())
    tab.also.setCurrentText("zero and shuffled")
    assert not any(picture.isHidden() for picture in tab.others.values())
    start = panel.slice_state.pose
    move(panel, qtbot, 0.5 * SHIFT)
    flight = panel.control.flight
    assert flight.steps == 1
    mind = panel.loaded.opened.imagination.fork()
    mind.begin(panel.loaded.scan, start)
    zero = mind.fork().step(np.zeros(7))
    np.testing.assert_allclose(flight.now.others[flying.ZERO].image, zero.image, atol=1e-5)
    # Of a flight by the run's own policies, shortened where the hand would need two steps.
    settings = panel.loaded.opened.flights
    action, reach = Flights(settings).action(panel.loaded.scan, (0, 0)), reach_of(settings)
    too_long = max(1, (np.abs(action) / reach).max())
    other = mind.fork().step(action / too_long)
    shuffled = flight.now.others[flying.SHUFFLED]
    np.testing.assert_allclose(shuffled.image, other.image, atol=1e-5)
    true = mind.encode(panel.loaded.scan, [flight.now.pose])[0]
    assert shuffled.latent_error == pytest.approx(np.abs(other.latents - true).mean(), rel=1e-4)
    assert f"zero {flight.now.others[flying.ZERO].latent_error:.2f}" in tab.facts.text()
    assert f"shuffled {shuffled.latent_error:.2f}" in tab.facts.text()
    assert tab.others[flying.SHUFFLED].caption == "IMAGINED, shuffled"
    tab.also.setCurrentText("no other action")
    move(panel, qtbot, SHIFT)
    assert not panel.control.flight.now.others


def pixels(picture):
    image = picture.image
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    if image.isGrayscale():
        return rows[:, : image.width()].copy()
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def test_the_other_convention_mirrors_pictures_and_letters_and_nothing_else(panel, qtbot):
    tab, state = panel.imagine_tab, panel.slice_state
    move(panel, qtbot, SHIFT)
    before = panel.control.flight
    seen, sides = pixels(tab.imagined), tab.true.sides
    assert (sides.left, sides.right) == ("L", "R")
    state.set_convention("radiological")
    qtbot.waitUntil(lambda: tab.true.sides.left == "R", timeout=SECONDS)
    assert panel.control.flight is before
    np.testing.assert_array_equal(pixels(tab.imagined), seen[:, ::-1])
    assert tab.imagined.sides.right == letters(state.pose.right) == "L"
    # A shift to the patient's left is one, whoever looks.
    move(panel, qtbot, [0.05, 0, 0, 0, 0, 0, 0])
    assert panel.control.flight.now.pose.center[0] < before.now.pose.center[0]
    assert panel.control.flight.now.pose.normal[2] > 0


def test_one_contrast_for_all_pictures_follows_the_layer(panel, qtbot, inspector):
    tab, layer = panel.imagine_tab, inspector.sources.layer
    scan = panel.loaded.scan
    layer.contrast_limits = (scan.low, scan.high)
    bright = pixels(tab.true).astype(float)
    layer.contrast_limits = (scan.low, scan.low + 2 * (scan.high - scan.low))
    assert panel.limits == pytest.approx((0, 2))
    np.testing.assert_allclose(pixels(tab.true), bright / 2, atol=1)


def test_the_error_is_the_difference_of_the_two_pictures_in_half_the_range(panel, qtbot, inspector):
    tab, layer, scan = panel.imagine_tab, inspector.sources.layer, panel.loaded.scan
    layer.contrast_limits = (scan.low, scan.low + 0.6 * (scan.high - scan.low))
    move(panel, qtbot, SHIFT)
    now = panel.control.flight.now
    off = np.abs(now.true - now.imagined)
    assert off.max() > 0.05
    inferno = pyqtgraph.colormap.get("inferno")
    colours = inferno.map(np.clip(off / 0.3, 0, 1), mode="float")[..., :3]
    np.testing.assert_allclose(pixels(tab.error) / 255, colours, atol=0.02)
    # Of the same grey values that are seen beside it.
    for picture, values in ((tab.imagined, now.imagined), (tab.true, now.true)):
        np.testing.assert_allclose(pixels(picture) / 255, np.clip(values / 0.6, 0, 1), atol=0.003)
    panel.slice_state.set_convention("radiological")
    qtbot.waitUntil(lambda: tab.true.sides.left == "R", timeout=SECONDS)
    np.testing.assert_allclose(pixels(tab.error) / 255, colours[:, ::-1], atol=0.02)


def test_the_ghost_needs_a_probe_and_lies_where_the_probe_says(panel, qtbot, monkeypatch):
    from napari_mrissl.pretext.navigation import pose_probe

    monkeypatch.setattr(pose_probe.PoseProbe.fit.__func__, "__defaults__", (60, 0, None, None))
    tab, viewer = panel.imagine_tab, panel.viewer
    assert not tab.ghost.isEnabled()
    assert "No probe" in tab.probe.text()
    tab.fit.click()
    assert not tab.fit.isEnabled()
    qtbot.waitUntil(lambda: panel.probe is not None, timeout=SECONDS)
    assert "chance" in tab.probe.text()
    # What is in view is read at once.
    assert panel.control.flight.now.read is not None
    tab.ghost.setChecked(True)
    viewer.dims.ndisplay = 3
    move(panel, qtbot, SHIFT)
    now = panel.control.flight.now
    assert panel.ghost.pose == now.read
    plane = viewer.layers["ghost plane"]
    assert plane.visible
    np.testing.assert_allclose(plane.vertices[:, ::-1], now.read.corners(), atol=1e-3)
    away = apart(now.pose, now.read)
    assert f"{away.mm:.0f} mm and {away.degrees:.0f}°" in tab.read.text()
    tab.ghost.setChecked(False)
    assert "ghost plane" not in viewer.layers
    # Without a flight it is the true slice that is read.
    tab.ghost.setChecked(True)
    tab.stop.click()
    qtbot.waitUntil(lambda: panel.look.seen is not None, timeout=SECONDS)
    assert panel.ghost.pose == panel.look.seen.read


def test_fitting_a_probe_can_be_cancelled(inspector, qtbot):
    panel = inspector.panel
    panel.imagine_tab.fit.click()
    inspector.status.stop_wanted.emit()
    settle(inspector, qtbot)
    assert panel.probe is None
    assert panel.imagine_tab.fit.isEnabled()
    assert not panel.imagine_tab.ghost.isEnabled()


def test_a_goal_is_found_flown_to_and_undone(inspector, qtbot):
    panel, viewer = inspector.panel, inspector._viewer
    tab, state = panel.find_tab, panel.slice_state
    panel.tabs.setCurrentIndex(FIND)
    tab.effort.setCurrentText("quick")
    assert not tab.find.isEnabled()
    tab.mark.click()
    goal = state.pose
    qtbot.waitUntil(tab.find.isEnabled, timeout=SECONDS)
    assert tab.goal.image is not None
    state.move([0, 0, 0.15, 0, 0, 0, 0])
    away = state.pose
    tab.find.click()
    qtbot.waitUntil(lambda: panel.goals.found is not None, timeout=SECONDS)
    found = panel.goals.found
    assert found.poses[0] == away
    if len(found.actions):
        qtbot.waitUntil(lambda: apart(state.pose, found.pose).mm < 1e-3, timeout=SECONDS)
        qtbot.waitUntil(lambda: panel.goals._player is None, timeout=SECONDS)
        tab.undo.click()
    assert state.pose == away
    last = apart(goal, found.pose)
    assert f"{last.mm:.0f} mm and {last.degrees:.0f}° from the goal" in tab.facts.text()
    tab.find.click()
    inspector.status.stop_wanted.emit()
    settle(inspector, qtbot)
    assert tab.find.isEnabled()
    # A goal of another scan has no known place here; closed, it is forgotten.
    other = add_volume(viewer, small_volume())
    state.set_volume(other.metadata["mrissl"]["volume"], other)
    tab.mark.click()
    assert panel.goals.goal.layer is other
    viewer.layers.remove(other)
    assert panel.goals.goal is None
    assert "forgotten" in tab.facts.text()


def test_tokens_keep_their_colours_and_a_click_compares_them(inspector, qtbot):
    panel, viewer = inspector.panel, inspector._viewer
    tab, state = panel.latent_tab, panel.slice_state
    twin = add_volume(viewer, small_volume(), name="twin")
    inspector.sources.choose_scan(viewer.layers[0].name)
    settle(inspector, qtbot)
    panel.tabs.setCurrentIndex(LATENTS)
    qtbot.waitUntil(lambda: tab.colours.image is not None, timeout=SECONDS)
    first, pose = panel.look.seen, state.pose
    tab.slice.clicked.emit(0.4, 0.6)
    qtbot.waitUntil(lambda: bool(panel.look.alike), timeout=SECONDS)
    own, other = panel.look.alike
    assert own.cosines[1, 2] == pytest.approx(1, abs=1e-4)
    assert other.name == twin.name
    # The same scan at the same pose: every token is itself.
    np.testing.assert_allclose(other.cosines, own.cosines, atol=1e-5)
    assert other.best == (1, 2)
    assert not tab.others[0][0].isHidden()
    state.move(SHIFT)
    qtbot.waitUntil(lambda: panel.look.seen.pose == state.pose, timeout=SECONDS)
    state.set_pose(pose)
    qtbot.waitUntil(lambda: panel.look.seen.pose == pose, timeout=SECONDS)
    np.testing.assert_array_equal(panel.look.seen.colours, first.colours)
    tab.forget.click()
    assert panel.look.place is None
    assert tab.others[0][0].isHidden()


def test_a_tokenizer_shows_its_latents_and_says_that_it_cannot_imagine(inspector, qtbot, runs):
    inspector.load(runs["tokenizer"])
    qtbot.waitUntil(lambda: inspector._method == "tokenizer", timeout=SECONDS)
    panel = inspector.panel
    qtbot.waitUntil(lambda: panel.latent_tab.colours.image is not None, timeout=SECONDS)
    assert panel.tabs.currentIndex() == LATENTS
    assert not panel.imagine_tab.start.isEnabled()
    assert "cannot imagine" in panel.imagine_tab.facts.text()
    assert panel.imagine_tab.fit.isEnabled()


def test_a_run_of_another_size_begins_anew(inspector, panel, qtbot, runs):
    move(panel, qtbot, SHIFT)
    inspector.load(runs["other size"])
    qtbot.waitUntil(
        lambda: panel.loaded is not None and panel.loaded.opened.size == 48, timeout=SECONDS
    )
    assert not panel.control.active
    panel.imagine_tab.start.click()
    qtbot.waitUntil(lambda: panel.control.flight is not None, timeout=SECONDS)
    assert panel.control.flight.now.imagined.shape == (48, 48)


def test_the_scan_is_closed_in_the_middle_of_a_flight(inspector, panel, qtbot):
    panel.slice_state.move(4 * SHIFT)
    inspector._viewer.layers.clear()
    settle(inspector, qtbot)
    assert panel.loaded is None
    assert not panel.control.active
    assert panel.imagine_tab.imagined.image is None
    assert not panel.imagine_tab.start.isEnabled()


def test_another_scan_in_the_navigator_ends_the_flight(inspector, panel, qtbot):
    other = add_volume(inspector._viewer, small_volume())
    panel.slice_state.set_volume(other.metadata["mrissl"]["volume"], other)
    assert not panel.control.active
    assert "another scan" in panel.imagine_tab.facts.text()


def test_a_session_keeps_the_choices(inspector, qtbot):
    panel = inspector.panel
    panel.imagine_tab.also.setCurrentText("zero action")
    panel.find_tab.seed.setValue(5)
    panel.find_tab.effort.setCurrentText("thorough")
    panel.find_tab.mark.click()
    panel.look.take_place((0.25, 0.5))
    panel.tabs.setCurrentIndex(FIND)
    kept = inspector.session_state()
    again = Inspector(inspector._viewer)
    qtbot.addWidget(again, before_close_func=lambda one: one.shut_down())
    again.restore_session(kept)
    qtbot.waitUntil(lambda: again.panel is not None and again.panel.loaded, timeout=SECONDS)
    qtbot.waitUntil(lambda: again.panel.goals.ready, timeout=SECONDS)
    assert again.session_state() == kept
    assert again.status.message.text() == ""
    wrong = {"tab": 9, "also": "x", "ghost": 1, "seed": -1, "token": {"place": [2, 0]}}
    assert panel.take_state({**wrong, "effort": 3, "goal": {"scan": 1}}) == [
        "tab", "also", "effort", "ghost", "seed", "token", "goal",
    ]  # fmt: skip


def test_closed_in_the_middle_nothing_goes_on(inspector, panel, qtbot):
    panel.slice_state.move(8 * TURN)
    panel.imagine_tab.fit.click()
    state = panel.slice_state
    inspector.shut_down()
    qtbot.waitUntil(lambda: not panel.jobs.busy, timeout=SECONDS)
    state.move(SHIFT)
    assert panel.control.flight is None
    assert not [layer for layer in inspector._viewer.layers if "ghost" in layer.name]


def test_every_control_is_labelled_explained_and_within_the_dock(inspector, qtbot):
    panel = inspector.panel
    assert isinstance(panel, MethodPanel)
    panel.imagine_tab.also.setCurrentText("zero and shuffled")
    assert inspector.minimumSizeHint().width() <= 430
    for tab in (IMAGINE, FIND, LATENTS):
        panel.tabs.setCurrentIndex(tab)
        qtbot.waitUntil(lambda tab=tab: panel.tabs.widget(tab).isVisible(), timeout=SECONDS)
        area = panel.tabs.widget(tab)
        assert isinstance(area, QScrollArea)
        inner = area.widget()
        for kind in (QAbstractButton, QComboBox, QAbstractSpinBox):
            for one in inner.findChildren(kind):
                assert one.toolTip() or one.parent().toolTip(), one
                if one.isVisible() and isinstance(one, QAbstractButton) and one.text():
                    assert one.width() >= one.minimumSizeHint().width(), one.text()
                    right = one.mapTo(inner, one.rect().topRight()).x()
                    assert right <= area.viewport().width(), one.text()


def test_poses_of_far_places_are_not_flown_for_ever(panel, qtbot, monkeypatch):
    monkeypatch.setattr(flying, "_MEMORY", 0)
    state = panel.slice_state
    turned = Pose(state.pose.center, state.pose.rotation[:, [1, 2, 0]], state.pose.fov)
    state.set_pose(turned)
    qtbot.waitUntil(lambda: panel.control.flight.full, timeout=SECONDS)
    assert panel.control.flight.steps == 16
    assert "Restart here" in panel.imagine_tab.facts.text()
