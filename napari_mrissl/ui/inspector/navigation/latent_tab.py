"""The tab "Latents": the tokens of the slice in colours, and which ones are alike."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_mrissl.errors import printable
from napari_mrissl.geometry import Pose
from napari_mrissl.ui.inspector.navigation.picture import (
    FramedPicture,
    Sides,
    coloured,
    grey,
    heat,
)
from napari_mrissl.ui.inspector.navigation.work import Alike, Seen
from napari_mrissl.ui.recorder.parts import button, column, row, sentence

MOST_OTHERS = 3
_BEGIN = (
    "Click a place in the slice to see which other places look alike to the network; it is sought "
    "in other slices as you move."
)
_SIMILAR = (-1.0, 1.0)


class LatentTab(QWidget):
    """Slice, colours and similarities.

    Attributes
    ----------
    picked : Signal(float, float)
        Row and column of a click, as parts of the slice as the network sees it.
    forget_wanted : Signal()
        No place is to be compared any more.
    """

    picked = Signal(float, float)
    forget_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._flipped = False
        self.slice = FramedPicture("slice", "The slice as the network gets it; click a place in it")
        self.colours = FramedPicture(
            "tokens", "Principal components of the tokens as red, green and blue: the same colours "
            "in all slices of this scan; click a place in it", "other",
        )  # fmt: skip
        self.similar = FramedPicture(
            "alike",
            "Similarity (cosine) of the clicked token to all of the slice in view, -1 to 1; the "
            "cross is on it, or in other slices on the one most like it",
            "other",
        )
        self.others = [
            (
                FramedPicture("", "The slice of another open scan at the same pose"),
                FramedPicture("alike", "Similarity of its tokens to the clicked one", "other"),
            )
            for _ in range(MOST_OTHERS)
        ]
        self.forget = button("Forget place", "Compare nothing any more")
        self.facts = sentence("What is compared")
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for number, pair in enumerate(self.others):
            for line, picture in enumerate(pair):
                grid.addWidget(picture, line, number)
                picture.setVisible(False)
            grid.setColumnStretch(number, 1)
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(row((self.slice, 1), (self.colours, 1), (self.similar, 1)))
        layout.addLayout(row((self.facts, 1), self.forget))
        layout.addLayout(grid)
        layout.addStretch(1)
        for picture in (self.slice, self.colours, self.similar):
            picture.clicked.connect(self._on_clicked)
        self.forget.clicked.connect(lambda: self.forget_wanted.emit())
        self.clear()

    def show_seen(
        self, seen: Seen, sides: Sides, limits: tuple[float, float], *, flipped: bool
    ) -> None:
        """Show a slice and its tokens."""
        self._flipped = flipped
        self.slice.present(grey(seen.frame, limits, flipped=flipped), sides)
        if seen.colours is None:
            self.colours.clear()
        else:
            picture = coloured(seen.colours, flipped=flipped)
            self.colours.present(picture, sides, smooth=False)

    def show_alike(
        self, found: Sequence[Alike], pose: Pose, sides: Sides, limits: tuple[float, float]
    ) -> None:
        """Show similarities to a token: of the slice itself, then of other scans.

        Crosses are where the token is, or in other slices the one most like it. In the slice
        and its tokens, which are at a pose, only if they are what was compared.
        """
        own, flipped = found[0], self._flipped
        mark = self._middle(own)
        if own.pose == pose:
            for one in (self.slice, self.colours):
                one.mark_at(mark)
        cosines = heat(own.cosines, _SIMILAR, "turbo", flipped=flipped)
        self.similar.present(cosines, sides, mark, smooth=False)
        for number, (picture, alike) in enumerate(self.others):
            there = number + 1 < len(found)
            for one in (picture, alike):
                one.setVisible(there)
            if there:
                other = found[number + 1]
                best = self._middle(other)
                picture.rename(printable(other.name))
                picture.present(grey(other.frame, limits, flipped=flipped), sides, best)
                cosines = heat(other.cosines, _SIMILAR, "turbo", flipped=flipped)
                alike.present(cosines, sides, best, smooth=False)
        self.forget.setEnabled(True)

    def forget_place(self) -> None:
        """Show no similarities."""
        self.similar.clear()
        for pair in self.others:
            for one in pair:
                one.clear()
                one.setVisible(False)
        self.facts.setText(_BEGIN)
        self.forget.setEnabled(False)

    def clear(self) -> None:
        """Show nothing."""
        self.slice.clear()
        self.colours.clear()
        self.forget_place()

    def _on_clicked(self, row_part: float, column_part: float) -> None:
        self.picked.emit(row_part, 1 - column_part if self._flipped else column_part)

    def _middle(self, found: Alike) -> tuple[float, float]:
        """The middle of the best token, as parts of the picture."""
        row_part, column_part = ((n + 0.5) / len(found.cosines) for n in found.best)
        return row_part, 1 - column_part if self._flipped else column_part
