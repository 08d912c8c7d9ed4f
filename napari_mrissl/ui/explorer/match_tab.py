"""The tab "Similar": click a place, see where each scan has the like of it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_mrissl.ui.explorer.explored import Found, Place
from napari_mrissl.ui.recorder.parts import button, column, row, sentence

COLUMNS = ("scan", "cosine", "best match, mm", "off by", "sure")
_TIPS = (
    "A scan with features; double-click goes to its best match",
    "Cosine of the features of the best match and of the clicked place; 1 is alike",
    "Where the best match is: right, anterior, superior (RAS) in millimetres",
    "Distance of the best match from the click, where the scans lie on each other",
    "Confidence: 0 where another place is as like, or the match's match is over 10 mm away",
)
_SURE = COLUMNS.index("sure")
_ACTIVE = "QPushButton:checked { background-color: #2f7fd6; color: white; font-weight: bold; }"
_BEGIN = "Compute features, press Click, then click into a scan."


class MatchTab(QWidget):
    """The tool, the clicks so far, and what each scan answered to the last one.

    Attributes
    ----------
    tool_toggled : Signal(bool)
        Clicks ask for similar places from now on, or no longer.
    back_wanted, forward_wanted : Signal()
        The click before, or the one taken back.
    clear_wanted : Signal()
        Show no click.
    go_wanted : Signal(int)
        The main view is to show the best match in this row's scan; -1 for the click itself.
    landmarks_wanted, landmarks_undone : Signal()
        Landmarks of the first two scans are to be found, or those before to be shown again.
    truth_toggled : Signal(bool)
        Whether the scans lie on each other.
    """

    tool_toggled = Signal(bool)
    back_wanted = Signal()
    forward_wanted = Signal()
    clear_wanted = Signal()
    go_wanted = Signal(int)
    landmarks_wanted = Signal()
    landmarks_undone = Signal()
    truth_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool = button(
            "Click", "While this is down, a click into a scan in 2D, or on the navigator's slice, "
            "asks where features are alike; Esc ends it",
        )  # fmt: skip
        self.tool.setCheckable(True)
        self.tool.setStyleSheet(_ACTIVE)
        self.back = button("Back", "The click before")
        self.forward = button("Forward", "The click that was taken back")
        self.clear = button("Clear", "Take marks and similarity away; Back brings them again")
        self.place = sentence("Where was clicked, and in which scan")
        self.truth = QCheckBox("Scans lie on each other")
        self.truth.setToolTip(
            "The same millimetre is the same anatomy in all ticked scans, as after registration: "
            "then the distance of a match is its error"
        )
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setToolTip("What each scan answers to the click")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.setStyleSheet("font-size: 11px;")
        self.table.setWordWrap(False)
        for number, tip in enumerate(_TIPS):
            self.table.horizontalHeaderItem(number).setToolTip(tip)
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(44)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.go = button("Go to match", "Bring the main view to the chosen row's best match")
        self.go_back = button("Go to click", "Bring the main view to the clicked place")
        self.landmarks = button(
            "Landmarks", "Find places of the first two scans of which each is the other's best "
            "match, as two layers of points: for the registration to begin with, or to be measured",
        )  # fmt: skip
        self.landmarks_undo = button("Undo landmarks", "Show the landmarks before, or none")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row((self.tool, 2), (self.back, 1), (self.forward, 1), (self.clear, 1)))
        layout.addWidget(self.place)
        layout.addWidget(self.truth)
        layout.addWidget(self.table, 1)
        layout.addLayout(row((self.go, 1), (self.go_back, 1)))
        layout.addLayout(row((self.landmarks, 1), (self.landmarks_undo, 1)))
        self.tool.toggled.connect(self.tool_toggled)
        self.back.clicked.connect(self.back_wanted)
        self.forward.clicked.connect(self.forward_wanted)
        self.clear.clicked.connect(self.clear_wanted)
        self.truth.toggled.connect(self.truth_toggled)
        self.go.clicked.connect(lambda: self.go_wanted.emit(max(self.table.currentRow(), 0)))
        self.go_back.clicked.connect(lambda: self.go_wanted.emit(-1))
        self.table.cellDoubleClicked.connect(lambda line, _: self.go_wanted.emit(line))
        self.landmarks.clicked.connect(self.landmarks_wanted)
        self.landmarks_undo.clicked.connect(self.landmarks_undone)
        self.show_place(None)
        self.show_landmarks(possible=False, undo=False)

    def show_place(self, place: Place | None, asked: str | None = None, title: str = "") -> None:
        """Say where was clicked, which scan is asked, and by which features."""
        self.go.setEnabled(place is not None)
        self.go_back.setEnabled(place is not None)
        self.clear.setEnabled(place is not None)
        if place is None:
            self.place.setText(_BEGIN)
            return
        where = f"{place.scan} at {_words(place.world)} mm"
        if asked is None:
            said = f"Clicked in {where}, where no scan has features."
        elif asked == place.scan:
            said = f"Clicked in {where}."
        else:
            said = f"Clicked in {where}, which has no features now: {asked} is asked."
        self.place.setText(f"{said} Features: {title}." if title else said)

    def show_found(self, found: Sequence[tuple[str, Found | None]]) -> None:
        """Show the answers, in order; None where one is still being computed."""
        chosen = self.table.currentRow()
        self.table.setRowCount(len(found))
        for line, (name, one) in enumerate(found):
            words = (name, "…", "…", "…", "…")
            if one is not None:
                off = "–" if one.distance is None else f"{one.distance:.1f} mm"
                sure = "–" if one.trust is None else f"{one.trust.confidence:.2f}"
                words = (name, f"{one.match.similarity:.3f}", _words(one.world), off, sure)
            for place, text in enumerate(words):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{text}. {_TIPS[place]}{_back(one) if place == _SURE else ''}")
                if place:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(line, place, item)
        if 0 <= chosen < len(found):
            self.table.selectRow(chosen)

    def show_landmarks(self, *, possible: bool, undo: bool) -> None:
        """Whether there are two scans for landmarks, and landmarks to take back."""
        self.landmarks.setEnabled(possible)
        self.landmarks_undo.setEnabled(undo)

    def show_history(self, *, back: bool, forward: bool) -> None:
        """Whether there is a click to take back, or to do again."""
        self.back.setEnabled(back)
        self.forward.setEnabled(forward)


def _back(one: Found | None) -> str:
    """Where the match of the match is, behind the tip of the confidence."""
    if one is None or one.trust is None:
        return ""
    return f"; here it is {one.trust.back_mm:.1f} mm away"


def _words(world: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.1f}" for value in world)
