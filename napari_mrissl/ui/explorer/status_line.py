"""The line at the bottom of the explorer: what is going on, how far it is, and cancel."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from napari_mrissl.ui.recorder.parts import button, sentence

_ERROR = "color: #e5484d; font-weight: bold;"


class StatusLine(QWidget):
    """A sentence, and while something goes on, a progress bar and a button."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._failure = False
        self.message = sentence("What was done last, or what went wrong")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setMaximumWidth(110)
        self.progress.setTextVisible(False)
        self.progress.setToolTip("How much of what is being done is done")
        self.cancel = button("Cancel", "Stop what is being done")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 4)
        layout.setSpacing(4)
        layout.addWidget(self.message, 1)
        layout.addWidget(self.progress)
        layout.addWidget(self.cancel)

    def say(self, text: str) -> None:
        """Say what was done."""
        self._failure = False
        self.message.setStyleSheet("")
        self.message.setText(text)

    def say_failure(self, text: str) -> None:
        """Say what went wrong; it stays through progress."""
        self._failure = True
        self.message.setStyleSheet(_ERROR)
        self.message.setText(text)

    def show_progress(self, part: float, words: str) -> None:
        """Show how much is done, 0 to 1, and what is being done."""
        self.progress.setValue(round(1000 * part))
        if words and not self._failure:
            self.say(f"{words}...")

    def show_busy(self, working: bool) -> None:
        """Show bar and button only while something goes on."""
        self.progress.setVisible(working)
        self.cancel.setVisible(working)
        if not working:
            self.progress.setValue(0)
            if self.message.text().endswith("..."):
                self.say("")
