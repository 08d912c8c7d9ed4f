"""The tab "Find": a goal slice, and the way back to it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_mrissl.pretext.navigation.search_settings import EFFORTS, SearchSettings
from napari_mrissl.ui.inspector.navigation.picture import FramedPicture
from napari_mrissl.ui.recorder.parts import button, column, label_of, row, sentence, whole_number

_HEIGHT = 214
_BEGIN = (
    "Mark the slice that the navigator shows, of this or another scan; go elsewhere in this scan, "
    "and press Find."
)


class FindTab(QWidget):
    """Goal, search and what came of it.

    Attributes
    ----------
    mark_wanted, forget_wanted, find_wanted, fly_wanted, undo_wanted : Signal()
        Of the buttons.
    """

    mark_wanted = Signal()
    forget_wanted = Signal()
    find_wanted = Signal()
    fly_wanted = Signal()
    undo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mark = button("Mark goal", "The slice that the navigator shows now becomes the goal")
        self.forget = button("Forget", "Have no goal any more")
        self.goal = FramedPicture("goal", "The slice that is searched for", "goal", _HEIGHT)
        self.found = FramedPicture(
            "found", "The true slice where the search ended", "scan", _HEIGHT
        )
        self.effort = QComboBox()
        self.effort.addItems(list(EFFORTS))
        self.effort.setCurrentText("usual")
        self.effort.setToolTip("How many flights are imagined before the search ends")
        self.seed = whole_number(
            0, 9999, 0, "Another number is another search; the same one gives the same search"
        )
        self.find = button("Find", "Search in imagination, then fly there")
        self.fly = button("Fly there", "Bring the navigator to what was found, in its scan")
        self.undo = button("Undo", "Bring the navigator back to where it was before")
        self.facts = sentence("What the search came to")
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row((self.mark, 1), self.forget))
        layout.addLayout(row((self.goal, 1), (self.found, 1)))
        layout.addLayout(
            row(
                label_of("Effort", self.effort), (self.effort, 1),
                label_of("Seed", self.seed), self.seed,
            )
        )  # fmt: skip
        layout.addLayout(row((self.find, 1), self.fly, self.undo))
        layout.addWidget(self.facts)
        layout.addStretch(1)
        self.mark.clicked.connect(lambda: self.mark_wanted.emit())
        self.forget.clicked.connect(lambda: self.forget_wanted.emit())
        self.find.clicked.connect(lambda: self.find_wanted.emit())
        self.fly.clicked.connect(lambda: self.fly_wanted.emit())
        self.undo.clicked.connect(lambda: self.undo_wanted.emit())
        self.clear()

    @property
    def settings(self) -> SearchSettings:
        """How is searched."""
        return EFFORTS[self.effort.currentText()].model_copy(update={"seed": self.seed.value()})

    def allow(
        self, *, there: bool, ready: bool, goal: bool, searching: bool, found: bool, undo: bool
    ) -> None:
        """Which buttons there is something to do for.

        Parameters
        ----------
        there
            Whether the navigator shows a slice.
        ready
            Whether there are dynamics and a scan.
        goal, searching, found, undo
            Whether there is a goal, a search goes on, it has found something, and a move can be
            taken back.
        """
        self.mark.setEnabled(there and not searching)
        self.forget.setEnabled(goal and not searching)
        self.find.setEnabled(ready and goal and not searching)
        self.fly.setEnabled(found and not searching)
        self.undo.setEnabled(undo and not searching)

    def clear(self, words: str = _BEGIN) -> None:
        """Show no goal."""
        self.goal.clear()
        self.found.clear()
        self.facts.setText(words)
