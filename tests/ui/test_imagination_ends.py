"""Imagined flights and searches that the user breaks off, or walks away from."""

import threading

import pytest
from imagination_actions import SECONDS, SHIFT, TURN, flying_panel, inspected, move, settle

from napari_mrissl.geometry import apply_action
from napari_mrissl.pretext.navigation.moves import apart
from napari_mrissl.ui.inspector.navigation import flying
from tests.imagined import dynamics_run

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
