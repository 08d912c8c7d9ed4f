"""The true slice that the navigator shows, as its tokens have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.ui.inspector.navigation import work
from napari_mrissl.ui.inspector.navigation.memory import pose_of
from napari_mrissl.ui.inspector.navigation.sides import other_side
from napari_mrissl.ui.jobs import Control, JobRunner
from napari_mrissl.ui.navigator.state import NavigatorState

if TYPE_CHECKING:
    from napari_mrissl.features.projections import Projection
    from napari_mrissl.geometry import Pose
    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe

_LOOK_MS = 25


class LatentLook(QObject):
    """Looks where the navigator is, a little after it has moved; many moves are one look.

    Parameters
    ----------
    state
        Whose pose it is.
    looking, comparing
        Encode slices, and compare tokens, in the background.
    wanted
        Whether a slice is to be looked at, and whether in colours.
    others
        Names of other scans, with what reads them.

    Attributes
    ----------
    seen_changed : Signal()
        Another slice was looked at.
    alike_changed : Signal()
        Tokens were compared.
    seen : Seen or None
        The newest.
    alike : tuple of Alike
        Of the slice, then of other scans; empty while nothing is compared.
    place : tuple or None
        Row and column, as parts of its slice, of the token that others are compared with.
    token : Token or None
        That token, once it was read; it stays the same while the slice moves.
    """

    seen_changed = Signal()
    alike_changed = Signal()

    def __init__(
        self,
        state: NavigatorState,
        looking: JobRunner,
        comparing: JobRunner,
        wanted: Callable[[], tuple[bool, bool]],
        others: Callable[[], Sequence[tuple[str, Any]]],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._state, self._wanted, self._others = state, wanted, others
        self._looking, self._comparing = looking, comparing
        self._loaded: work.Loaded | None = None
        self._palette: Projection | None = None
        self._mixing = self._colourless = False
        self.probe: PoseProbe | None = None
        self.seen: work.Seen | None = None
        self.alike: tuple[work.Alike, ...] = ()
        self.place: tuple[float, float] | None = None
        self._origin: Pose | None = None
        self.token: work.Token | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_LOOK_MS)
        self._later.timeout.connect(self._look)
        looking.failed.connect(self._on_failed)

    def use(self, loaded: work.Loaded | None) -> None:
        """Look at another scan, or with another network; what was seen is forgotten."""
        self._looking.cancel()
        self._comparing.cancel()
        self._loaded, self._palette, self.seen, self.probe = loaded, None, None, None
        self.alike = ()
        self._mixing = self._colourless = False
        token = self.token
        if loaded is not None and token is not None and token.network is not loaded.network:
            # The same place of the same scan is another token to another network.
            self.token = None
            if not token.is_of(loaded):
                self.forget_place()

    def request(self) -> None:
        """Look a little later."""
        self._later.start()

    def take_place(self, place: object, origin: Pose | None = None) -> bool:
        """Compare tokens with that at a place of a slice, the one in view; whether it is one."""
        if not isinstance(place, list | tuple) or len(place) != 2:
            return False
        if not all(type(part) in (int, float) and 0 <= part <= 1 for part in place):
            return False
        self.place, self.token = (float(place[0]), float(place[1])), None
        self._origin = self.seen.pose if origin is None and self.seen is not None else origin
        self._compare()
        return True

    def state(self) -> dict[str, Any] | None:
        """What a session keeps of the place, where it is one of the present scan."""
        place, origin, token, loaded = self.place, self._origin, self.token, self._loaded
        if place is None or (token and loaded and not token.is_of(loaded)):
            return None
        row = None if origin is None else [float(number) for number in origin.to_row()]
        return {"place": [float(part) for part in place], "pose": row}

    def take_state(self, kept: object) -> bool:
        """Take up what `state` gave; whether it was usable."""
        if not isinstance(kept, dict):
            return kept is None
        origin = pose_of(kept.get("pose"))
        if origin is None and kept.get("pose") is not None:
            return False
        return self.take_place(kept.get("place"), origin)

    def forget_place(self) -> None:
        """Compare nothing any more."""
        self._comparing.cancel()
        self.place = self.token = self._origin = None
        self.alike = ()
        self.alike_changed.emit()

    def close(self) -> None:
        """End for good."""
        self._later.stop()
        self._loaded = self._palette = self.seen = self.probe = self.token = None
        self.alike = ()

    def _look(self) -> None:
        loaded, state = self._loaded, self._state
        looks, colours = self._wanted()
        if loaded is None or not looks or state.volume is None or self._looking.running:
            return  # One that goes on looks again if the pose is another by then.
        self._mixing = self._palette is None and colours and not self._colourless
        if self._mixing:
            self._looking.start(
                lambda c: work.palette_of(c, loaded), title="colours", done=self._on_palette
            )
            return
        pose, palette, probe = other_side(state, state.pose), self._palette, self.probe
        self._looking.start(
            lambda c: work.look(c, loaded, pose, palette, probe),
            title="a look at the slice",
            done=self._on_seen,
        )

    def _on_palette(self, palette: Projection) -> None:
        self._palette = palette
        self.request()

    def _on_failed(self, _: str) -> None:
        """Colours that failed would fail again: slices are looked at without."""
        if self._mixing:
            self._mixing, self._colourless = False, True
            self.request()

    def _on_seen(self, seen: work.Seen) -> None:
        self.seen = seen
        self.seen_changed.emit()
        self._compare()
        moved = other_side(self._state, self._state.pose) != seen.pose
        grey = seen.colours is None and not self._colourless
        if moved or (grey and self._wanted()[1]):
            self.request()

    def _compare(self) -> None:
        """Compare the chosen token with those of all open scans at the pose in view."""
        loaded, seen, palette, place = self._loaded, self.seen, self._palette, self.place
        if loaded is None or seen is None or palette is None or place is None:
            return
        if self._origin is None:
            self._origin = seen.pose
        origin, known, others = self._origin, self.token, tuple(self._others())

        def compare(control: Control) -> tuple[work.Token, tuple[work.Alike, ...]]:
            token = work.token_of(loaded, origin, place) if known is None else known
            return token, work.alike(control, loaded, seen, palette, token, others)

        self._comparing.start(compare, title="alike places", done=self._on_alike)

    def _on_alike(self, answer: tuple[work.Token, tuple[work.Alike, ...]]) -> None:
        if self.place is not None:
            self.token, self.alike = answer
            self.alike_changed.emit()
