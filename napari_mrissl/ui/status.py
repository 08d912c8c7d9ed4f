"""The line below a panel: what was done last, how far the work is, and a way to stop it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_mrissl.ui.recorder.parts import button, row, sentence

_ERROR = "color: #e5484d; font-weight: bold;"


class StatusLine(QWidget):
    """What was done last or went wrong, how far the work is, and a way to stop it.

    Parameters
    ----------
    progress_tip, cancel_tip
        What the bar shows, and what Cancel stops.
    steady
        Keep the bar and the button in sight while nothing is done, so that nothing moves
        where work begins at every touch.

    Attributes
    ----------
    stop_wanted : Signal()
        Cancel was pressed.
    """

    stop_wanted = Signal()

    def __init__(
        self,
        progress_tip: str,
        cancel_tip: str,
        *,
        steady: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._failure = False
        self._steady = steady
        self.message = sentence("What was done last, or what went wrong")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedSize(90, 6)
        self.progress.setToolTip(progress_tip)
        self.cancel = button("Cancel", cancel_tip)
        self.cancel.clicked.connect(self.stop_wanted)
        line = row((self.message, 1), self.progress, self.cancel)
        line.setContentsMargins(6, 0, 6, 4)
        self.setLayout(line)
        self.show_busy(busy=False)

    def say(self, text: str) -> None:
        """What was done."""
        self._failure = False
        self.message.setStyleSheet("")
        self.message.setText(text)

    def say_failure(self, text: str) -> None:
        """What went wrong, in one sentence."""
        self._failure = True
        self.message.setStyleSheet(_ERROR)
        self.message.setText(text)

    def show_progress(self, part: float, words: str) -> None:
        """How far the work is; a sentence about what went wrong stays until something is done."""
        self.progress.setValue(round(1000 * part))
        if words and not self._failure:
            self.say(f"{words}...")

    def show_busy(self, *, busy: bool) -> None:
        """Allow to cancel while something is done."""
        self.cancel.setEnabled(busy)
        if not self._steady:
            self.progress.setVisible(busy)
            self.cancel.setVisible(busy)
        if not busy:
            self.progress.setValue(0)
            if self.message.text().endswith("..."):
                self.say("")
