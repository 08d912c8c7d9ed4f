"""A goal slice, the search for it, and the flight there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.navigation.moves import apart, same_place
from napari_mrissl.pretext.navigation.search_settings import SearchSettings
from napari_mrissl.ui.inspector.navigation import work
from napari_mrissl.ui.inspector.navigation.memory import pose_of
from napari_mrissl.ui.inspector.navigation.sides import other_side
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.layers import volume_of
from napari_mrissl.ui.navigator.gliding import glide
from napari_mrissl.ui.navigator.state import NavigatorState
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_mrissl.pretext.navigation.search import Found


@dataclass(frozen=True, eq=False)
class Goal:
    """A slice that is searched for.

    Attributes
    ----------
    layer, volume
        Of which scan.
    pose
        On the side from which the network sees it.
    """

    layer: Image
    volume: Volume
    pose: Pose


class GoalSearch(QObject):
    """Marks, searches, and flies there.

    Attributes
    ----------
    changed : Signal()
        Goal, its picture, or what was found is another.
    goal : Goal or None
        What is searched for.
    picture : array or None
        (N, N) in [0, 1], of the goal.
    found : Found or None
        Where the last search ended.
    elsewhere : bool
        Whether the navigator had left the place where the search began when it ended, so that
        it was not moved.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, state: NavigatorState, showing: JobRunner, finding: JobRunner,
        parent: QObject,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._viewer, self._state = viewer, state
        self._showing, self._finding = showing, finding
        self._latents: NDArray[np.float32] | None = None
        self._player: Any = None
        self._start: Pose | None = None
        self._searched: object = None
        self.goal: Goal | None = None
        self.picture: NDArray[np.float32] | None = None
        self.found: Found | None = None
        self.found_picture: NDArray[np.float32] | None = None
        self.elsewhere = False

    @property
    def can_fly(self) -> bool:
        """Whether something was found that can be flown to."""
        return self.found is not None and len(self.found.actions) > 0

    @property
    def searching(self) -> bool:
        """Whether a search goes on."""
        return self._finding.running

    @property
    def ready(self) -> bool:
        """Whether there is a goal that the network has seen."""
        return self._latents is not None

    def mark(self) -> None:
        """The slice that the navigator shows becomes the goal."""
        volume, layer = self._state.volume, self._state.source
        if volume is not None and layer in self._viewer.layers:
            self.set_goal(Goal(layer, volume, self._here))

    def set_goal(self, goal: Goal | None) -> None:
        """Search for another slice; what was found is forgotten."""
        self._finding.cancel()
        self._showing.cancel()
        self.goal = goal
        self.picture = self._latents = self.found = self.found_picture = None
        self.changed.emit()

    def prepare(self, loaded: work.Loaded | None) -> None:
        """See the goal with a network, or with another one."""
        self._latents = self.picture = self.found = self.found_picture = None
        goal = self.goal
        if goal is not None and loaded is not None:
            self._showing.start(
                lambda c: work.picture_of_goal(c, loaded, goal.volume, goal.pose),
                title="the goal's slice",
                done=self._on_picture,
            )
        self.changed.emit()

    def find(self, loaded: work.Loaded, settings: SearchSettings) -> None:
        """Search from where the navigator is, and fly to what is found.

        Who has moved on meanwhile, or looks at another scan, is left where he is.
        """
        latents = self._latents
        if latents is None:
            return
        self._start = start = self._here
        self._searched, self.elsewhere = self._state.source, False
        self.found = self.found_picture = None
        self._finding.start(
            lambda c: work.find(c, loaded, start, latents, settings),
            title="search of a slice",
            done=self._on_found,
        )
        self.changed.emit()

    def fly(self) -> None:
        """Fly to what was found, in the scan that the navigator shows."""
        if self.found is None:
            return
        self.elsewhere = False
        self._player = glide(self._state, other_side(self._state, self.found.pose))
        if self._player is not None:
            self._player.destroyed.connect(self._on_landed)
        self.changed.emit()

    def undo(self) -> None:
        """Bring the navigator back; a flight there ends."""
        self._state.undo()

    def words(self, layer: Image | None) -> str:
        """What came of the search, and how far it is from the goal where that is known."""
        found, goal, start = self.found, self.goal, self._start
        if found is None or goal is None or start is None:
            return ""
        before, after = found.distances[0], found.distances[-1]
        count = len(found.actions)
        said = [f"Latent distance {before:.2f} before, {after:.2f} after {count} actions."]
        if not count:
            said.append("Nothing closer was found: the navigator stays.")
        elif self.elsewhere:
            said.append("The navigator has gone elsewhere meanwhile: press Fly there.")
        if goal.layer is layer:
            first, last = apart(goal.pose, start), apart(goal.pose, found.pose)
            said.append(
                f"It is {last.mm:.0f} mm and {last.degrees:.0f}° from the goal; before, "
                f"{first.mm:.0f} mm and {first.degrees:.0f}°."
            )
        else:
            name = printable(goal.layer.name)
            said.append(f"The goal is of another scan ({name}): its true place here is not known.")
        return " ".join(said)

    def state(self) -> dict[str, Any] | None:
        """What a session keeps of the goal."""
        goal = self.goal
        if goal is None:
            return None
        return {"scan": goal.layer.name, "pose": [float(n) for n in goal.pose.to_row()]}

    def take_state(self, kept: object) -> bool:
        """Take up what `state` gave; whether it was usable."""
        if kept is None:
            return True
        if not isinstance(kept, dict) or not isinstance(kept.get("scan"), str):
            return False
        pose, name = pose_of(kept.get("pose")), kept["scan"]
        if name not in self._viewer.layers or pose is None:
            return False
        layer = self._viewer.layers[name]
        try:
            self.set_goal(Goal(layer, volume_of(layer), pose))
        except MrisslError:
            return False  # Said by the panel as not usable.
        return True

    def close(self) -> None:
        """End for good; nothing of a scan is held."""
        if self._player is not None:
            self._player.pause()
        self.goal = self.picture = self._latents = self.found = self.found_picture = None
        self._searched = None

    @property
    def _here(self) -> Pose:
        """Where the navigator is, on the side from which the network sees it."""
        return other_side(self._state, self._state.pose)

    def _on_picture(self, seen: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
        self.picture, self._latents = seen
        self.changed.emit()

    def _on_found(self, answer: tuple[Found, NDArray[np.float32]]) -> None:
        self.found, self.found_picture = answer
        own, start = self._state.source is self._searched, self._start
        self.elsewhere = start is None or not (own and same_place(self._here, start))
        if self.can_fly and not self.elsewhere:
            self.fly()
        self.changed.emit()

    def _on_landed(self) -> None:
        self._player = None
