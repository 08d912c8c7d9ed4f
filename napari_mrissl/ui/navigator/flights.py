"""Flights through the scan at hand: recorded into a dataset, replayed into the navigator."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

from napari_mrissl.trajectories import Flight
from napari_mrissl.ui.navigator.recording import PoseRecording
from napari_mrissl.ui.navigator.sharing import real_viewer, state_of
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.ui.recorder.player import FlightPlayer

if TYPE_CHECKING:
    from napari_mrissl.ui.recorder.work import Kept

COLUMNS = ("cursor", "window", "clicks", "layers")

_decks: weakref.WeakKeyDictionary[Any, FlightDeck] = weakref.WeakKeyDictionary()


def deck_of(viewer: object) -> FlightDeck:
    """The one deck of a viewer, made when its first face asks; see `FlightDeck.enter`."""
    viewer = real_viewer(viewer)
    if viewer not in _decks:
        _decks[viewer] = FlightDeck(state_of(viewer), QApplication.instance())
    return _decks[viewer]


class FlightDeck(PoseRecording):
    """Records the poses of a navigator into a dataset, and replays flights into it.

    Parameters
    ----------
    state
        The viewer's navigator state.
    clock
        Nanoseconds, monotonic, for the replay.

    Attributes
    ----------
    player
        The replay.
    number
        Of the episode that is replayed, or None when the flight is none.
    """

    def __init__(
        self,
        state: NavigatorState,
        parent: QObject | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(state, parent)
        self._faces = 0
        self._closed = False
        self.number: int | None = None
        self.player = FlightPlayer(state, self, clock)
        self.player.changed.connect(self.changed.emit)
        self.follow()

    @property
    def flight(self) -> Flight | None:
        """The flight that is replayed."""
        return self.player.flight

    @property
    def replaying(self) -> bool:
        """Whether a flight is being replayed."""
        return self.player.playing

    @property
    def progress(self) -> float:
        """How far the replay is, 0 to 1."""
        return self.player.progress

    @property
    def speed(self) -> float:
        """How many seconds of a flight pass in one."""
        return self.player.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self.player.speed = float(speed)

    def enter(self) -> None:
        """Another panel shows this deck."""
        self._faces += 1

    def leave(self, *, wait: bool = False) -> None:
        """A panel goes; with the last one a recording ends and is kept.

        With ``wait`` it is an episode when this returns, as when the window closes, or left
        to be recovered.
        """
        self._faces -= 1
        if wait:
            self.stop_recording(wait=True)
        if self._faces == 0:
            self.close(wait=wait)

    def record(self) -> None:
        """Start a new episode; the present pose is its first, and a replay ends."""
        if not self.recording and self.volume is not None:
            self.player.pause()
        super().record()

    def took(self, kept: Kept) -> None:
        """A recording became an episode of the dataset, and is the flight to replay."""
        self.number = kept.number
        self.player.set_flight(kept.flight)

    def replay(self) -> None:
        """Replay the flight from its beginning; undo returns to where it was started."""
        if self.recording or self.replaying or not self.player.ready:
            return
        self._say_if_other_scan()
        self.player.restart()

    def stop_replay(self) -> None:
        """Stop where the replay is."""
        self.player.pause()

    def set_flight(self, flight: Flight | None, number: int | None = None) -> None:
        """Make a flight, or an episode of the dataset, the one to replay."""
        self.number = number
        self.player.set_flight(flight)
        if flight is not None:
            self.said.emit(f"{len(flight)} poses, {flight.duration_s:.1f} s.")

    def select(self, number: int) -> None:
        """Read an episode of the dataset, to be replayed."""
        folder = self.shelf.folder

        def done(flight: Flight) -> None:
            if self.shelf.folder == folder:
                self.set_flight(flight, number)
                self._say_if_other_scan()

        if 0 <= number < len(self.shelf.contents.episodes):
            self.shelf.read(number, done)

    def choose_dataset(self, folder: str | Path) -> None:
        """Use another dataset from now on."""
        if self.recording or self.saving:
            self.failed.emit("The dataset cannot be changed while a flight is recorded.")
            return
        self.number = None
        self.player.set_flight(None)
        self.shelf.choose(Path(folder))

    def close(self, *, wait: bool = False) -> None:
        """Stop everything; a recording is kept."""
        if self._closed:
            return
        self._closed = True
        self.close_recording(wait=wait)
        self.player.close()
        for viewer in [viewer for viewer, deck in _decks.items() if deck is self]:
            del _decks[viewer]
        self.shelf.changed.connect(self._retire)
        self._retire()

    def _retire(self) -> None:
        """Go once everything is on disk."""
        if not self.shelf.busy:
            self.shelf.changed.disconnect(self._retire)
            self.shelf.close()
            self.deleteLater()

    def _say_if_other_scan(self) -> None:
        volume, flight = self.volume, self.flight
        if volume is None or flight is None:
            return
        # Only when it is known: finding an identity costs a pass over the voxels.
        known = volume.__dict__.get("identity")
        if known is not None and known != flight.identity:
            self.said.emit("This flight was flown over another scan.")
