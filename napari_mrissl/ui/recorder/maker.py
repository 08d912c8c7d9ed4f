"""Flights that nobody flew: by policy, or smoothly through key poses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QObject

from napari_mrissl.trajectories import Flight
from napari_mrissl.ui.jobs import Control
from napari_mrissl.ui.navigator.flights import FlightDeck
from napari_mrissl.ui.recorder.background import DeckWork, telling
from napari_mrissl.ui.recorder.key_poses import KeyPoses
from napari_mrissl.ui.recorder.work import Kept, steady_flight

POLICIES = {
    "scroll": "Through the scan along the normal of one anatomical plane",
    "rotate": "About a random axis in the slice",
    "zoom": "Closer or further away",
    "pan": "Sideways in the slice",
    "walk": "Free random walk in all seven dimensions",
    "mixture": "A random mixture of the others",
}


class FlightMaker(DeckWork):
    """Makes flights in the background; each is there to be replayed, or becomes an episode.

    Parameters
    ----------
    deck
        Over whose scan they are made, and which replays and keeps them.

    Attributes
    ----------
    key_poses
        What a spline passes through.
    """

    def __init__(self, deck: FlightDeck, parent: QObject | None = None) -> None:
        super().__init__(deck, "nothing was made", parent)
        self.key_poses = KeyPoses()

    def by_policy(self, policy: str, frames: int, seed: int, *, keep: bool) -> None:
        """Fly by a navigation policy; ``keep`` makes it an episode."""
        volume, hertz = self._deck.volume, self._deck.hertz

        def make(control: Control) -> Flight:
            from napari_mrissl.slicing import policies

            poses = policies.generate(volume, policy, frames, seed, progress=telling(control))
            return steady_flight(volume, poses, hertz, "policy", policy=policy, seed=seed)

        said = f"Generated {frames} poses: {policy}, seed {seed}."
        self._make(make, "Generating a flight", said, "policy", keep)

    def through_key_poses(
        self, *, seconds: float | None = None, speed: float | None = None, keep: bool
    ) -> None:
        """Fly smoothly through the key poses in so many seconds, or at a speed in mm/s."""
        volume, hertz, poses = self._deck.volume, self._deck.hertz, self.key_poses.poses
        timing = {"seconds": seconds} if seconds is not None else {"speed": speed}

        def make(control: Control) -> Flight:
            from napari_mrissl.trajectories import spline

            made = spline(poses, hertz, **timing)
            return steady_flight(volume, made, hertz, "spline", key_poses=len(poses))

        said = f"A smooth flight through {len(poses)} key poses."
        self._make(make, "Making a smooth flight", said, "spline", keep)

    def _make(
        self, make: Callable[[Control], Flight], title: str, said: str, source: str, keep: bool
    ) -> None:
        deck, volume = self._deck, self._deck.volume
        if volume is None or deck.recording:
            return

        def done(flight: Flight) -> None:
            if deck.volume is not volume:
                deck.said.emit("The scan changed meanwhile; the flight was not kept.")
                return
            if keep:
                kept = partial(self._on_kept, said)
                deck.shelf.append(flight, deck.hertz, deck.task, source, kept)
                return
            deck.set_flight(flight)
            deck.said.emit(said)
            if source == "spline":
                deck.replay()

        self._jobs.start(make, title=title, done=done)
        self.changed.emit()

    def _on_kept(self, said: str, kept: Kept) -> None:
        deck = self._deck
        deck.set_flight(kept.flight, kept.number)
        deck.said.emit(f"{said} It is episode {kept.number} of {deck.shelf.name}.")
