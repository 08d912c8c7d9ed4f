"""Flights in napari's window: buttons and mouse, layers deleted, docks and windows closed."""

import navigator_actions as user
import numpy as np
import pytest
from flight_actions import settled, small_volume, steps

from napari_mrissl.trajectories import Dataset, flight_of
from napari_mrissl.ui.layers import add_volume
from napari_mrissl.ui.navigator import SliceNavigator, flights
from napari_mrissl.ui.navigator.flights import deck_of
from napari_mrissl.ui.recorder import FlightRecorder
from napari_mrissl.ui.recorder.work import default_folder

pytestmark = pytest.mark.gui


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    add_volume(viewer, small_volume())
    return viewer


def test_record_by_button_fly_by_mouse_replay_by_button(navigator, viewer, qtbot):
    panel, canvas = navigator.flight_panel, navigator.view.canvas
    assert not panel.replay.isEnabled()
    panel.record.click()
    assert panel.record.text().startswith("Stop")
    assert "background" in panel.record.styleSheet()
    x, y = user.middle(canvas)
    user.drag(qtbot, canvas, (x, y), (x + 10, y + 10), user.SHIFT)
    for _ in range(3):
        user.wheel(qtbot, canvas, (x, y), 1)
    end = navigator.pose
    panel.record.click()
    assert panel.record.text() == "Record"
    settled(navigator.deck, qtbot)
    assert "Recorded" in panel.message.text()
    navigator.state.reset()
    before = navigator.pose
    panel.replay.click()
    assert panel.replay.text() == "Stop"
    qtbot.waitUntil(lambda: not navigator.deck.replaying, timeout=20_000)
    np.testing.assert_allclose(navigator.pose.to_row(), end.to_row(), atol=1e-9)
    assert panel.replay.text() == "Replay"
    navigator.moves.undo.click()
    assert navigator.pose == before


def test_the_layer_deleted_while_recording(navigator, viewer, qtbot):
    navigator.deck.record()
    navigator.state.move([0.01, 0, 0, 0, 0, 0, 0])
    viewer.layers.remove(next(x for x in viewer.layers if x.name == "ball"))
    assert not navigator.deck.recording
    settled(navigator.deck, qtbot)
    assert "The scan changed" in navigator.flight_panel.message.text()
    assert len(Dataset.open(default_folder())) == 1
    assert not navigator.flight_panel.record.isEnabled()


def test_the_window_closed_while_recording(navigator, viewer, qtbot):
    deck = navigator.deck
    viewer.window.add_dock_widget(FlightRecorder(viewer), name="Flight recorder")
    assert deck_of(viewer) is deck
    deck.record()
    navigator.state.move([0.01, 0, 0, 0, 0, 0, 0])
    viewer.close()
    assert len(Dataset.open(default_folder())) == 1
    qtbot.waitUntil(lambda: not deck.shelf.busy, timeout=10_000)
    # Nothing keeps the deck of a window that is gone.
    qtbot.waitUntil(lambda: deck not in flights._decks.values(), timeout=10_000)


def test_the_dock_closed_while_recording_and_while_replaying(navigator, viewer, qtbot):
    deck = navigator.deck
    deck.record()
    poses = steps(navigator.state)
    viewer.window.remove_dock_widget(navigator)
    assert not deck.recording
    settled(deck, qtbot)
    assert len(Dataset.open(default_folder())) == 1

    again = SliceNavigator(viewer)
    viewer.window.add_dock_widget(again, name="Slice navigator")
    assert again.deck is not deck
    again.deck.set_flight(flight_of(again.volume, poses, hertz=1))
    again.deck.replay()
    viewer.window.remove_dock_widget(again)
    assert not again.deck.replaying
    pose = again.pose
    qtbot.wait(50)
    assert again.pose == pose
