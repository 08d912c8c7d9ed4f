"""Where to label next: asked for, gone to, skipped; what the box of that name shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.suggestions import ON_BY_DEFAULT, Place, Suggestion
from napari_mrissl.ui.layers import reading_of
from napari_mrissl.ui.segmenter import going_there, suggesting, words
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.scan_box import ScanBox
from napari_mrissl.ui.segmenter.session import ScanSession
from napari_mrissl.ui.segmenter.slice_link import SliceLink
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

HINT = (
    "Proposes the place whose label teaches most: uncertain itself, and like much else that is "
    "uncertain and that nobody marked."
)
NO_SCAN = "Open a scan first."
TOO_FEW = "Mark places of two classes first; a place is proposed by what they teach."
NO_FEATURES = "This scan has no features yet: press Segment, they are computed once."
LOOKING = "Looking for the next place in all open scans that have features …"
CHANGED = "Marks or settings have changed since: ask again."
GONE = "A scan was closed since: ask again."
NOTHING = "Nothing is uncertain any more."
ALL_SKIPPED = "Nothing is uncertain any more but what you skipped."


class NextPlace(QObject):
    """The newest suggestion, and the places that the user would not follow.

    A suggestion rests on what is marked: it is dropped as soon as that changes.

    Attributes
    ----------
    changed : Signal()
        What can be done, or what is to be said, is not what it was.

    Parameters
    ----------
    viewer
        Whose scans are looked at, and whose view moves when no navigator is open.
    controller
        Of the panel.
    scan_box, slice_link
        Through which another scan is chosen, and the navigator is found.
    """

    changed = Signal()

    def __init__(
        self, viewer: ViewerModel, controller: Controller, scan_box: ScanBox, slice_link: SliceLink
    ) -> None:
        super().__init__(controller)
        self._viewer, self._controller = viewer, controller
        self._scan_box, self._slice_link = scan_box, slice_link
        self.always = ON_BY_DEFAULT
        self.skipped: tuple[Place, ...] = ()
        self.suggestion: Suggestion | None = None
        self.layer: Image | None = None
        self._layers: tuple[Image, ...] = ()
        self._basis: Any = None
        self._said = ""
        runner = controller.suggesting
        runner.failed.connect(self._on_failed)
        runner.cancelled.connect(self._on_cancelled)
        for signal in (
            runner.started, runner.idle, controller.session_changed, controller.prompts_changed,
            controller.labels_shown, controller.busy_changed,
        ):  # fmt: skip
            signal.connect(self._look)
        controller.finished.connect(self._on_segmented)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def running(self) -> bool:
        """Whether a place is being looked for."""
        return self._controller.suggesting.running

    @property
    def hindrance(self) -> str:
        """Why no place can be proposed, in a sentence; empty when one can."""
        session = self._controller.session
        if session is None:
            return NO_SCAN
        marked = [one.state.labels_in_use() for one in self._controller.sessions]
        if len(set().union(*marked)) < 2:
            return TOO_FEW
        return NO_FEATURES if session.stack is None else ""

    @property
    def sentence(self) -> str:
        """What to tell the user now."""
        if self.running and self._basis is not None:
            return LOOKING
        if self.suggestion is not None:
            return self._said
        return self.hindrance or self._said or HINT

    def ask(self) -> None:
        """Look for the next place, in the background."""
        session = self._controller.session
        if session is not None:
            session.sync.read_scribbles()
        if session is None or self.hindrance:
            self.changed.emit()
            return
        self._drop("")
        self._basis = self._rests_on()
        layers, scans, unread = self._scans(session)
        self._layers = tuple(layers)
        self._controller.suggesting.start(
            partial(suggesting.suggest_next, scans, self._controller.settings, self.skipped),
            title="Looking for the next place to label",
            done=partial(self._show, layers, unread),
        )
        self.changed.emit()

    def go(self) -> None:
        """Let the navigator's slice, or the main view, stand at the proposed place."""
        suggestion, layer = self.suggestion, self.layer
        if suggestion is None or layer is None:
            return
        self._scan_box.choose(layer.name)
        session = self._controller.session
        if session is None or session.layer is not layer:
            return
        layer.visible = True
        self._slice_link.find()
        going_there.move_slice(self._viewer, session, suggestion)
        if self._slice_link.navigator is None:
            hidden = going_there.uncover(self._viewer, layer, self._scan_box.scans)
            going_there.move_view(self._viewer, suggestion)
            if hidden:
                self._said += f"\nHidden, because it covered this scan: {', '.join(hidden)}."
                self.changed.emit()

    def skip(self) -> None:
        """Not there: neither this place nor its surroundings are proposed again."""
        if self.suggestion is not None:
            self._set_skipped((*self.skipped, self.suggestion.place))

    def undo_skip(self) -> None:
        """Take the newest skip back."""
        self._set_skipped(self.skipped[:-1])

    def clear_skips(self) -> None:
        """Every place may be proposed again."""
        self._set_skipped(())

    def take_up(self, always: bool | None, skipped: Sequence[Place]) -> None:
        """Set what a session kept; nothing is computed."""
        self.always = self.always if always is None else always
        self.skipped = tuple(skipped)
        self.changed.emit()

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._drop("")

    def _set_skipped(self, skipped: tuple[Place, ...]) -> None:
        self.skipped = skipped
        if self.hindrance:
            self._drop("")
        else:
            self.ask()
        self.changed.emit()

    def _scans(self, current: ScanSession) -> tuple[list[Image], list[suggesting.OpenScan], int]:
        """Layers and what is known of them, marked ones first, and how many cannot be read."""
        sessions = {one.layer: one for one in self._controller.sessions}
        names = {one.label: one.name for one in current.state.classes}
        layers: list[Image] = []
        scans: list[suggesting.OpenScan] = []
        unread = 0
        # Of a scan that is open twice the first counts.
        for layer in sorted(self._scan_box.scans, key=partial(_rank, current, sessions)):
            session = sessions.get(layer)
            try:
                if session is not None:
                    marked = session.state.snapshot() if _agrees(session, names) else None
                    one = suggesting.OpenScan(_known(session.volume), session.stack, marked)
                else:
                    one = suggesting.OpenScan(reading_of(layer))
            except MrisslError:
                unread += 1
                continue
            layers.append(layer)
            scans.append(one)
        return layers, scans, unread

    def _show(self, layers: list[Image], unread: int, found: suggesting.Found) -> None:
        self.suggestion = found.suggestion
        left_out = found.left_out + unread
        if found.suggestion is None:
            self._said = ALL_SKIPPED if self.skipped else NOTHING
        else:
            self.layer = layers[found.scan]
            self._said = words.next_place(self.layer.name, found.suggestion)
        if left_out:
            self._said += f"\nNot looked at, without features: {words.counted(left_out, 'scan')}."
        seconds = self._controller.elapsed
        scans = words.counted(found.looked_at, "scan")
        self._controller.say("ready", f"Looked for the next place in {scans}: {seconds:.1f} s.")
        self.changed.emit()

    def _rests_on(self) -> Any:
        """What a suggestion follows from; another one as soon as any of it changed."""
        settings = self._controller.settings
        marks = [
            (one, one.state.clicks, one.state.scribble)
            for one in self._controller.sessions
            if not one.state.empty
        ]
        return settings.features, settings.classifier, marks

    def _look(self, *_: object) -> None:
        """Drop what rests on marks or settings that are no more."""
        if self._basis is not None and self._basis != self._rests_on():
            self._drop(CHANGED)
        self.changed.emit()

    def _drop(self, why: str) -> None:
        self._said = why
        self.suggestion = self.layer = self._basis = None
        self._layers = ()
        self._controller.suggesting.cancel()

    def _on_failed(self, sentence: str) -> None:
        self._drop(sentence)
        self.changed.emit()

    def _on_segmented(self, _: object) -> None:
        # A scan that was gone to is segmented too: with the same marks the answer is the same.
        if self.always and self._basis is None and not self.hindrance:
            self.ask()

    def _on_cancelled(self) -> None:
        # Without a basis it was dropped, because something newer is going on.
        if self._basis is not None:
            self._drop("")
            self._controller.say("info", "Cancelled.")
        self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        if event.value in self._layers:
            self._drop(GONE)
            self.changed.emit()


def _known(volume: Volume) -> Callable[[], Volume]:
    return lambda: volume


def _rank(current: ScanSession, sessions: dict[Image, ScanSession], layer: Image) -> int:
    session = sessions.get(layer)
    if session is current:
        return 0
    return 1 if session is not None and not session.state.empty else 2


def _agrees(session: ScanSession, names: dict[int, str]) -> bool:
    """Whether a scan's marks mean what the same labels mean in the current scan."""
    used = session.state.labels_in_use()
    return all(
        names.get(one.label, one.name) == one.name
        for one in session.state.classes
        if one.label in used
    )
