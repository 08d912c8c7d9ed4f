"""Imagined flights and searches that the user breaks off, or walks away from."""

import threading

import numpy as np
import pytest
from imagination_actions import SECONDS, SHIFT, TURN, flying_panel, inspected, move, settle
from navigator_actions import small_volume

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import apply_action
from napari_mrissl.pretext.navigation.moves import apart
from napari_mrissl.pretext.navigation.search import Found
from napari_mrissl.ui.inspector.navigation import flying, work
from napari_mrissl.ui.inspector.navigation.panel import FIND, LATENTS
from napari_mrissl.ui.layers import add_volume
from tests.imagined import STACKS, dynamics_run, tokenizer_run

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return dynamics_run(tmp_path_factory.mktemp("ends") / "flown")


@pytest.fixture
def inspector(qtbot, run):
    return inspected(qtbot, run)


@pytest.fixture
def panel(inspector, qtbot):
    return flying_panel(inspector, qtbot)


def test_cancel_ends_a_far_flight_where_it_has_come(inspector, panel, qtbot, monkeypatch):
    step, turn_by_turn = flying.step, threading.Semaphore(2)

    def slow(*given):
        turn_by_turn.acquire(timeout=60)
        return step(*given)

    monkeypatch.setattr(flying, "step", slow)
    state, control = panel.slice_state, panel.control
    state.set_pose(apply_action(state.pose, 25 * TURN))
    qtbot.waitUntil(lambda: control.flight.steps == 2, timeout=SECONDS)
    inspector.status.stop_wanted.emit()
    turn_by_turn.release(100)
    settle(inspector, qtbot)
    # Longer than a hand rests.
    qtbot.wait(400)
    assert not panel.flying.running
    assert control.flight.steps == 2
    assert control.active
    assert apart(state.pose, control.flight.now.pose) == pytest.approx((0, 0, 1), abs=1e-5)
    move(panel, qtbot, SHIFT)
    assert control.flight.steps > 2


def test_cancel_leaves_a_flight_alone_that_rests(inspector, panel, qtbot):
    move(panel, qtbot, SHIFT)
    flight, pose = panel.control.flight, panel.slice_state.pose
    panel.imagine_tab.fit.click()
    inspector.status.stop_wanted.emit()
    settle(inspector, qtbot)
    assert panel.control.flight is flight
    assert panel.slice_state.pose == pose


def test_a_flight_that_is_cancelled_before_it_begins_does_not(inspector, qtbot):
    panel = inspector.panel
    panel.imagine_tab.start.click()
    inspector.status.stop_wanted.emit()
    settle(inspector, qtbot)
    assert panel.control.flight is None
    assert not panel.control.active
    assert panel.imagine_tab.start.isEnabled()


@pytest.fixture
def searching(inspector, qtbot, monkeypatch):
    """The panel in the middle of a search, what lets it end, and where it began."""
    panel, ends = inspector.panel, threading.Event()
    tab, state = panel.find_tab, panel.slice_state

    def found(control, loaded, start, goal, settings):
        assert ends.wait(60)
        action = np.array([[0, 0, -0.1, 0, 0, 0, 0.0]])
        poses = (start, apply_action(start, action[0]))
        return Found(action, poses, (1.0, 0.5)), loaded.opened.frames(loaded.scan, poses[1:])[0]

    monkeypatch.setattr(work, "find", found)
    panel.tabs.setCurrentIndex(FIND)
    tab.mark.click()
    qtbot.waitUntil(tab.find.isEnabled, timeout=SECONDS)
    state.move(1.5 * SHIFT)
    start = state.pose
    assert not tab.fly.isEnabled()
    tab.find.click()
    yield panel, ends, start
    ends.set()


def end(panel, ends, qtbot):
    ends.set()
    qtbot.waitUntil(lambda: panel.goals.found is not None, timeout=SECONDS)
    # Longer than a flight there takes to begin.
    qtbot.wait(200)


def there(panel):
    return apart(panel.slice_state.pose, panel.goals.found.pose).mm < 1e-3


def test_a_search_that_ends_flies_there_from_where_it_began(searching, qtbot):
    panel, ends, _ = searching
    panel.slice_state.set_convention("radiological")
    end(panel, ends, qtbot)
    assert "press Fly there" not in panel.find_tab.facts.text()
    qtbot.waitUntil(lambda: there(panel), timeout=SECONDS)


def test_a_search_that_ends_leaves_another_scan_alone(inspector, searching, qtbot):
    panel, ends, _ = searching
    state, layer = panel.slice_state, panel.layer
    other = add_volume(inspector._viewer, small_volume(offset=4), name="other")
    state.set_volume(other.metadata["mrissl"]["volume"], other)
    here = state.pose
    end(panel, ends, qtbot)
    assert state.source is other
    assert state.pose == here
    assert "press Fly there" in panel.find_tab.facts.text()
    panel.find_tab.fly.click()
    qtbot.waitUntil(lambda: there(panel), timeout=SECONDS)
    assert state.source is layer
    assert "press Fly there" not in panel.find_tab.facts.text()


def test_a_search_that_ends_leaves_who_moved_on_alone(searching, qtbot):
    panel, ends, start = searching
    panel.slice_state.move(0.1 * SHIFT)
    here = panel.slice_state.pose
    end(panel, ends, qtbot)
    assert panel.slice_state.pose == here
    assert panel.goals.found.poses[0] == start
    panel.find_tab.fly.click()
    qtbot.waitUntil(lambda: there(panel), timeout=SECONDS)
    panel.find_tab.undo.click()
    assert panel.slice_state.pose == here


def test_a_run_that_never_flew_is_looked_at(qtbot, tmp_path):
    inspector = inspected(qtbot, tokenizer_run(tmp_path / "static", **STACKS))
    tab = inspector.panel.latent_tab
    qtbot.waitUntil(lambda: tab.colours.image is not None, timeout=SECONDS)
    tab.slice.clicked.emit(0.4, 0.6)
    qtbot.waitUntil(lambda: tab.similar.image is not None, timeout=SECONDS)


def test_colours_that_fail_are_said_once_and_slices_are_looked_at(
    inspector, run, qtbot, monkeypatch
):
    panel, said = inspector.panel, []

    def fails(control, loaded):
        raise MrisslError("no colours today")

    monkeypatch.setattr(work, "palette_of", fails)
    panel.failed.connect(said.append)
    panel.tabs.setCurrentIndex(LATENTS)
    state = panel.slice_state

    def looked():
        return panel.look.seen is not None and panel.look.seen.pose == state.pose

    qtbot.waitUntil(looked, timeout=SECONDS)
    for _ in range(3):
        state.move(0.1 * SHIFT)
        qtbot.waitUntil(looked, timeout=SECONDS)
    settle(inspector, qtbot)
    assert said == ["no colours today."]
    assert panel.latent_tab.slice.image is not None
    # Another load tries anew.
    monkeypatch.undo()
    inspector.load(run)
    qtbot.waitUntil(lambda: panel.latent_tab.colours.image is not None, timeout=SECONDS)
