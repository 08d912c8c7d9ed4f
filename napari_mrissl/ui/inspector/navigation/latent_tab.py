"""The tab "Latents": the tokens of the slice in colours, and which ones are alike."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_mrissl.errors import printable
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
_BEGIN = "Click a place in the slice to see which other places look alike to the network."
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
            "Similarity (cosine) of the clicked token to all of this slice, -1 to 1",
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
        self, seen: Seen, sides: Sides, limits: tuple[float, float],
        place: tuple[float, float] | None, *, flipped: bool,
    ) -> None:  # fmt: skip
        """Show a slice and its tokens; a place is row and column as the network sees it."""
        self._flipped = flipped
        mark = self._turned(place)
        self.slice.present(grey(seen.frame, limits, flipped=flipped), sides, mark)
        if seen.colours is None:
            self.colours.clear()
        else:
            picture = coloured(seen.colours, flipped=flipped)
            self.colours.present(picture, sides, mark, smooth=False)

    def show_alike(
        self, found: Sequence[Alike], sides: Sides, limits: tuple[float, float],
        place: tuple[float, float], grid: int,
    ) -> None:  # fmt: skip
        """Show similarities: of the slice itself, then of other scans."""
        own = found[0]
        flipped = self._flipped
        self.similar.present(
            heat(own.cosines, _SIMILAR, "turbo", flipped=flipped), sides, self._turned(place),
            smooth=False,
        )  # fmt: skip
        for number, (picture, alike) in enumerate(self.others):
            there = number + 1 < len(found)
            for one in (picture, alike):
                one.setVisible(there)
            if there:
                other = found[number + 1]
                best = self._turned(tuple((n + 0.5) / grid for n in other.best))
                picture.rename(printable(other.name))
                picture.present(grey(other.frame, limits, flipped=flipped), sides, best)
                cosines = heat(other.cosines, _SIMILAR, "turbo", flipped=flipped)
                alike.present(cosines, sides, best, smooth=False)
        row_of, column_of = (min(grid - 1, int(part * grid)) for part in place)
        alone = own.cosines.copy()
        alone[row_of, column_of] = -2
        said = f"Token at row {row_of + 1}, column {column_of + 1}; "
        said += f"its nearest in this slice: {alone.max():.2f}."
        if len(found) > 1:
            best = ", ".join(f"{printable(o.name)} {o.cosines.max():.2f}" for o in found[1:])
            said += f" Best in other scans at the same pose: {best}."
        self.facts.setText(said)
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

    def _turned(self, place: tuple[float, ...] | None) -> tuple[float, float] | None:
        if place is None:
            return None
        return place[0], 1 - place[1] if self._flipped else place[1]
