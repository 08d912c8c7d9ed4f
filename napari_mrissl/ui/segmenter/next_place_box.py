"""The box "Where to label next" of the panel, folded away until it is wanted."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_mrissl.ui.recorder.parts import button, row
from napari_mrissl.ui.segmenter.next_place import NextPlace

_UNBOUND = 16_777_215
"""Qt's largest height: as if none were set."""

_LINES = 5


class NextPlaceBox(QWidget):
    """Ask for a place, read which and why, go there or skip it."""

    def __init__(self, next_place: NextPlace) -> None:
        super().__init__()
        self._next_place = next_place
        self.fold = QCollapsible("Where to label next", expandedIcon="▾", collapsedIcon="▸")
        self.fold.setDuration(0)
        self.fold.toggleButton().setToolTip("Have the places proposed at which a label helps most")
        self.fold.layout().setContentsMargins(0, 0, 0, 0)
        self.suggest = button(
            "Suggest a place",
            "Look in all open scans that have features for the place whose label teaches most",
        )
        self.sentence = QLabel()
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.sentence.setWordWrap(True)
        self.sentence.setToolTip("Which place is proposed, in world RAS mm, and why; or why none")
        self.sentence.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        lines = _LINES * self.sentence.fontMetrics().lineSpacing()
        self.sentence.setMinimumHeight(lines + 2)
        self.go = button(
            "Go there",
            "Bring the navigator's slice to the place; without a navigator, the main view",
        )
        self.skip = button("Skip", "Propose another place, never this one or one within 5 mm")
        self.undo_skip = button("Undo skip", "Let the place that was skipped last be proposed")
        self.clear_skips = button("Clear skips", "Let every place be proposed again")
        self.always = QCheckBox("Suggest after every segmentation")
        self.always.setToolTip("Look for the next place by itself, whenever a result is shown")
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.suggest)
        column.addWidget(self.sentence)
        column.addLayout(row((self.go, 1), (self.skip, 1)))
        column.addLayout(row((self.undo_skip, 1), (self.clear_skips, 1)))
        column.addWidget(self.always)
        # Not by its own method: it would hold the content at the height it once had, and a
        # sentence that takes another line would be cut off.
        self.fold.content().layout().addWidget(content)
        self.fold.toggled.connect(self._unbind)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        self.suggest.clicked.connect(next_place.ask)
        self.go.clicked.connect(next_place.go)
        self.skip.clicked.connect(next_place.skip)
        self.undo_skip.clicked.connect(next_place.undo_skip)
        self.clear_skips.clicked.connect(next_place.clear_skips)
        self.always.toggled.connect(self._set_always)
        next_place.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say what there is to say, and enable what can be done."""
        one = self._next_place
        proposed = one.suggestion is not None and not one.running
        self.sentence.setText(one.sentence)
        self.suggest.setEnabled(not one.running and not one.hindrance)
        self.go.setEnabled(proposed)
        self.skip.setEnabled(proposed)
        for skipping in (self.undo_skip, self.clear_skips):
            skipping.setEnabled(bool(one.skipped) and not one.running)
        count = f" ({len(one.skipped)})" if one.skipped else ""
        self.clear_skips.setText(f"Clear skips{count}")
        blocker = QSignalBlocker(self.always)
        self.always.setChecked(one.always)
        del blocker

    def _set_always(self, always: bool) -> None:
        self._next_place.always = always

    def _unbind(self, unfolded: bool) -> None:
        if unfolded:
            self.fold.content().setMaximumHeight(_UNBOUND)
