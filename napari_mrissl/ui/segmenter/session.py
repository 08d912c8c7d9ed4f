"""One scan in the panel: its prompts, the layers they are in, and the journal."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from qtpy.QtCore import QObject, Signal

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack
from napari_mrissl.segmentation import InstantSegmenter, SegmentSettings
from napari_mrissl.segmentation.prompts import PromptClass, Prompts
from napari_mrissl.ui.layers import volume_of
from napari_mrissl.ui.segmenter import known_classes
from napari_mrissl.ui.segmenter.journal import JournalWriter, Unfinished
from napari_mrissl.ui.segmenter.planes import ball_voxels
from napari_mrissl.ui.segmenter.presets import DEFAULT_PRESET, PRESETS, is_background
from napari_mrissl.ui.segmenter.prompt_layers import ClicksLayer, ScribblesLayer
from napari_mrissl.ui.segmenter.prompt_sync import PromptSync
from napari_mrissl.ui.segmenter.result_layers import ResultLayers
from napari_mrissl.ui.segmenter.state import (
    Change,
    Click,
    PromptSnapshot,
    PromptState,
    Scribble,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

LOGGER = logging.getLogger(__name__)

MOST_PAINTED = 200_000


class ScanSession(QObject):
    """Keeps prompts, napari layers and journal of one scan the same.

    Attributes
    ----------
    changed : Signal(object)
        A `Change` of the prompts, from wherever it came.
    class_chosen : Signal(int)
        A label was chosen in the scribbles layer's own controls.
    complaint : Signal(str)
        One sentence about something that was not taken.
    """

    changed = Signal(object)
    class_chosen = Signal(int)
    complaint = Signal(str)
    _refused = Signal(str)

    def __init__(self, viewer: ViewerModel, layer: Image) -> None:
        super().__init__()
        self.viewer = viewer
        self.layer = layer
        self.volume = volume_of(layer)
        self.identity: str | None = None
        self.stack: FeatureStack | None = None
        self.segmenters: dict[SegmentSettings, InstantSegmenter] = {}
        self.unfinished: Unfinished | None = None
        self.wanted = False
        self.state = PromptState(self.volume, PRESETS[DEFAULT_PRESET])
        self.results = ResultLayers(viewer, self.volume)
        self.sync = PromptSync(viewer, self.volume)
        self.sync.adopt(self.state)
        self.hidden = {one.label for one in self.state.classes if is_background(one)}
        self.current = self.state.classes[0].label
        self._journal: JournalWriter | None = None
        self._refused.connect(self._lose_journal)
        self._unsaved = not self.state.empty
        self._need_classes(self.state.labels_in_use())
        self.use_class(self.current)
        self.sync.clicked.connect(self._on_clicked)
        self.sync.painted.connect(self._on_painted)
        self.sync.class_chosen.connect(self._on_class_chosen)

    @property
    def unsaved(self) -> bool:
        """Whether prompts changed since they were last saved."""
        return self._unsaved and not self.state.empty

    @property
    def journal_name(self) -> str | None:
        """File name of the journal in which unsaved marks are kept, if there is one."""
        return self._journal.path.name if self._journal is not None else None

    def class_of(self, label: int) -> PromptClass | None:
        """The class with this label."""
        return next((one for one in self.state.classes if one.label == label), None)

    def add_click(self, point_ras: ArrayLike, label: int | None = None) -> None:
        """Place a click (3,) in world RAS mm with a class, by default the current one.

        Raises
        ------
        MrisslError
            If the point is not three finite numbers or there is no such class.
        """
        x, y, z = self._checked_point(point_ras)
        label = self._checked_label(label)
        self._note(self.state.set_clicks((*self.state.clicks, (x, y, z, label))), show=True)

    def paint_ball(self, point_ras: ArrayLike, radius_mm: float, label: int | None = None) -> None:
        """Scribble all voxels within a ball in the world; label 0 erases.

        Raises
        ------
        MrisslError
            As `add_click`, or if the ball holds too many voxels.
        """
        point = self._checked_point(point_ras)
        label = 0 if label == 0 else self._checked_label(label)
        voxels = ball_voxels(self.volume, point, float(radius_mm))
        self.paint_voxels(voxels, np.uint8(label))

    def paint_voxels(self, voxels: ArrayLike, labels: ArrayLike) -> None:
        """Scribble (n,) flat voxel numbers with (n,) labels, 0 to erase.

        Raises
        ------
        MrisslError
            If these are too many at once.
        """
        if np.size(voxels) > MOST_PAINTED:
            raise MrisslError(
                f"a stroke of {np.size(voxels):,} voxels", remedy="paint less at once"
            )
        self._note(self.state.paint(voxels, labels), show=True)

    def set_classes(self, classes: tuple[PromptClass, ...]) -> None:
        """Replace the classes; prompts of those gone go too, as one undoable step."""
        self.hidden = known_classes.hidden_of(classes, self.state.classes, self.hidden)
        self._note(self.state.set_classes(classes), show=True)

    def replace(self, prompts: Prompts) -> None:
        """Put loaded or recovered prompts in place of all there are; one undoable step."""
        self.hidden = known_classes.hidden_of(prompts.classes, self.state.classes, self.hidden)
        self._note(self.state.replace(prompts), show=True)

    def load(self, prompts: Prompts) -> None:
        """Put a file's prompts in place of all there are; one undoable step.

        A file without names, as CSV is, says nothing of the classes: those there now stay.
        """
        classes = known_classes.merged(prompts.classes, self.state.classes)
        self.replace(prompts.model_copy(update={"classes": classes}))

    def take_classes(self, kept: object) -> None:
        """Use the classes of an earlier session, as long as nothing is marked here."""
        classes = known_classes.usable(kept) if self.state.empty else None
        if classes is not None:
            self.set_classes(classes)

    def clear(self) -> None:
        """Remove all clicks and scribbles; one undoable step."""
        self.replace(Prompts(classes=self.state.classes))

    def set_shown(self, label: int, shown: bool) -> None:
        """Show or hide a class in the result."""
        self.hidden = self.hidden - {label} if shown else self.hidden | {label}
        self.results.recolor(self.state.classes, self.hidden)

    def undo(self) -> None:
        """Take the newest change back."""
        self.sync.read_scribbles()
        self._note(self.state.undo(), show=True)

    def redo(self) -> None:
        """Do again what was undone last."""
        self._note(self.state.redo(), show=True)

    def use_class(self, label: int) -> None:
        """Clicks and scribbles from now on get this class."""
        one = self.class_of(label)
        if one is None:
            return
        self.current = label
        self.sync.use(one)

    def need_clicks(self) -> ClicksLayer:
        """The clicks' layer, made anew when there is none."""
        made = self.sync.clicks is None
        clicks = self.sync.need_clicks(self.state)
        if made:
            self.use_class(self.current)
        return clicks

    def need_scribbles(self) -> ScribblesLayer:
        """The scribbles' layer, made anew when there is none."""
        made = self.sync.scribbles is None
        scribbles = self.sync.need_scribbles(self.state)
        if made:
            self.use_class(self.current)
        return scribbles

    def forget_layer(self, layer: Layer) -> str | None:
        """A layer left the viewer; the prompts stay, and what it was called is returned."""
        name = self.sync.forget(layer)
        if name is not None:
            return name
        if layer is self.results.labels:
            self.results.labels = None
            return "segmentation"
        return None

    def start_journal(
        self, identity: str, unfinished: Unfinished | None = None, expected: str | None = None
    ) -> None:
        """From now on changes go to disk; what was marked before goes first.

        Prompts an earlier session left are offered, unless they are here already, in the
        layers that were taken over: then the new journal replaces theirs. Those of the
        journal that the reopened session names (``expected``) are taken at once.
        """
        self.identity = identity
        if unfinished is not None and self.state.contains(unfinished.prompts):
            unfinished.discard()
        elif unfinished is not None and unfinished.path.name == expected:
            self.replace(unfinished.prompts)
            unfinished.discard()
        else:
            self.unfinished = unfinished
        if self._unsaved and self._journal is None:
            self._journal_change(None)

    def mark_saved(self, saved: PromptSnapshot) -> None:
        """These prompts are in a file of the user's: without newer ones, no journal is needed."""
        if self.state.holds(saved):
            self._unsaved = False
            self._close_journal(keep=False)

    def close(self) -> None:
        """Let go of the layers; unsaved prompts stay in their journal for the next time."""
        self.sync.close()
        self.close_journal()
        # Its signals' connections hold the scan; Python cannot see and collect them.
        self.deleteLater()

    def close_journal(self) -> None:
        """Put everything unsaved on disk and close the journal."""
        self._close_journal(keep=self.unsaved)

    def _on_clicked(self, clicks: tuple[Click, ...]) -> None:
        self._need_classes({click[3] for click in clicks})
        self._note(self.state.set_clicks(clicks), show=False)

    def _on_painted(self, painted: Scribble) -> None:
        if len(painted) > MOST_PAINTED:
            before = Scribble(painted.voxels, self.state.scribble.at(painted.voxels))
            self.need_scribbles().show(before)
            self.complaint.emit(
                f"A stroke of {len(painted):,} voxels was taken back; at most {MOST_PAINTED:,} "
                "at once help a classifier."
            )
            return
        self._need_classes(set(np.unique(painted.labels).tolist()) - {0})
        self._note(self.state.paint(painted.voxels, painted.labels), show=False)

    def _on_class_chosen(self, label: int) -> None:
        if self.class_of(label) is not None:
            self.class_chosen.emit(label)

    def _note(self, change: Change | None, *, show: bool) -> None:
        """Journal a change, show it where it did not come from, and tell the panel."""
        if change is None:
            return
        self._unsaved = True
        self._journal_change(change)
        clicks = self.sync.clicks
        if show and change.clicks is not None:
            if clicks is None:
                self.need_clicks()
            else:
                clicks.show(self.state.clicks, self.state.classes)
        if show and change.scribble is not None:
            self.need_scribbles().show(change.scribble[1])
        if change.classes is not None:
            self._show_classes()
        elif change.clicks is not None and clicks is not None and not show:
            clicks.recolor(self.state.classes)
        self.changed.emit(change)

    def _show_classes(self) -> None:
        classes = self.state.classes
        if self.class_of(self.current) is None and classes:
            self.current = classes[0].label
        self.sync.show_classes(classes)
        self.results.recolor(classes, self.hidden)
        self.use_class(self.current)

    def _need_classes(self, labels: set[int]) -> None:
        """A label that no class has, as by napari's own label spin box, becomes one."""
        known = {one.label for one in self.state.classes}
        missing = sorted(label for label in labels - known if 1 <= label <= 255)
        if missing:
            added = tuple(PromptClass.default(label) for label in missing)
            self.set_classes((*self.state.classes, *added))

    def _journal_change(self, change: Change | None) -> None:
        """Put a change on disk; a new journal starts with all there is."""
        try:
            if self._journal is None and self.identity is not None:
                # The disk is heard in the journal's thread: the signal brings it here.
                self._journal = JournalWriter(
                    self.state, self.identity, lambda error: self._refused.emit(str(error))
                )
            elif self._journal is not None and change is not None:
                self._journal.record(change)
        except MrisslError as error:
            self._lose_journal(str(error))

    def _lose_journal(self, sentence: str) -> None:
        """The disk refused: say it, and let the next change try a new journal."""
        if self._journal is not None:
            journal, self._journal = self._journal, None
            with contextlib.suppress(MrisslError):  # the very error that is being told
                journal.close(keep=True)
        self.complaint.emit(f"Marks are not being kept on disk: {sentence}")

    def _close_journal(self, *, keep: bool) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            try:
                journal.close(keep=keep)
            except MrisslError as error:
                LOGGER.warning("the last marks are not on disk: %s", error)

    def _checked_point(self, point_ras: ArrayLike) -> tuple[float, float, float]:
        point = np.asarray(point_ras, np.float64)
        if point.shape != (3,) or not np.isfinite(point).all():
            raise MrisslError("a click that is not three finite numbers", expected="RAS mm")
        x, y, z = point.tolist()
        return x, y, z

    def _checked_label(self, label: int | None) -> int:
        label = self.current if label is None else int(label)
        if self.class_of(label) is None:
            known = ", ".join(str(one.label) for one in self.state.classes)
            raise MrisslError(f"no class has label {label}", expected=f"one of {known}")
        return label
