"""A strip below the canvas while a session comes back: progress, cancel, and what is missing."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.errors import printable
from napari_mrissl.ui.session.keeper import SessionKeeper
from napari_mrissl.ui.session.reopening import Problem, Reopening
from napari_mrissl.ui.session.store import StoredSession

_TITLE = "Session"


def reopen(keeper: SessionKeeper, stored: StoredSession) -> ReopeningStrip:
    """Bring a session back into a keeper's window, in sight of the user."""
    strip = ReopeningStrip(keeper, Reopening(keeper, stored), stored)
    keeper.viewer.window.add_dock_widget(strip, name=_TITLE, area="bottom")
    strip.reopening.start()
    return strip


class ReopeningStrip(QWidget):
    """Says how far it is, and afterwards what did not come back and what can be done.

    It goes away by itself when everything came back.
    """

    def __init__(self, keeper: SessionKeeper, reopening: Reopening, stored: StoredSession) -> None:
        super().__init__()
        self._keeper = keeper
        self._stored = stored
        self.reopening = reopening
        self._finished = False
        self.text = QLabel("Reopening the session…")
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setToolTip("What is being read")
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setMaximumWidth(240)
        self.bar.setToolTip("How much of the session has been read")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Read no further; what came back stays")
        top = QHBoxLayout()
        top.addWidget(self.text, 1)
        top.addWidget(self.bar)
        top.addWidget(self.cancel)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(2)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 4)
        column.setSpacing(4)
        column.addLayout(top)
        column.addLayout(self._rows)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.cancel.clicked.connect(self._cancel)
        reopening.progressed.connect(self._progress)
        reopening.problems_changed.connect(self.refresh)
        reopening.jobs.started.connect(self.refresh)
        reopening.jobs.idle.connect(self.refresh)
        reopening.finished.connect(self._finish)
        self._leaving = QTimer(self)
        self._leaving.setSingleShot(True)
        self._leaving.timeout.connect(self._leave)
        self.refresh()

    def refresh(self) -> None:
        """Show what is missing as it is now."""
        while (item := self._rows.takeAt(0)) is not None:
            row = item.widget()
            row.hide()
            row.deleteLater()
        for problem in self.reopening.problems:
            self._rows.addWidget(self._row(problem))
        busy = not self._finished or self.reopening.jobs.running
        self.bar.setVisible(busy)
        self.cancel.setText("Cancel" if busy else "Close")
        if not busy:
            missing = len(self.reopening.problems)
            self.text.setText(
                f"{missing} thing{'s' if missing != 1 else ''} did not come back:"
                if missing
                else "The session is back."
            )
            if not missing:
                self._leaving.start(0)

    def _row(self, problem: Problem) -> QWidget:
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        said = QLabel(problem.sentence)
        said.setWordWrap(True)
        said.setTextFormat(Qt.TextFormat.PlainText)
        said.setToolTip("What did not come back, and why")
        line.addWidget(said, 1)
        if problem.missing:
            for text, folder, tip in (
                ("Locate file…", False, "Say which file the scan is in now"),
                ("Locate folder…", True, "Say which folder of DICOM files the scan is in now"),
            ):
                button = QPushButton(text)
                button.setToolTip(tip + "; it must be the very same scan")
                button.clicked.connect(lambda _=False, f=folder: self._locate(problem, f))
                line.addWidget(button)
        forget = QPushButton("Forget")
        forget.setToolTip("Leave it out of the session for good; no file is touched")
        forget.clicked.connect(lambda: self.reopening.forget(problem))
        line.addWidget(forget)
        return row

    def _locate(self, problem: Problem, folder: bool) -> None:
        title = "Where is the scan?"
        if folder:
            chosen = QFileDialog.getExistingDirectory(self, title)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, title)
        if chosen:
            self.reopening.locate(problem, Path(chosen))

    def _progress(self, share: float, text: str) -> None:
        self.bar.setValue(round(1000 * share))
        self.text.setText(text)

    def _cancel(self) -> None:
        if self.reopening.running:
            self.reopening.cancel()
        else:
            self._leave()

    def _finish(self) -> None:
        from napari.utils.notifications import show_info

        self._finished = True
        self.refresh()
        left_out = self._stored.record.left_out
        if left_out and not self.reopening.cancelled:
            names = ", ".join(printable(name) for name in left_out[:5])
            more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
            show_info(f"Not part of the session, because no file holds it: {names}{more}.")

    def _leave(self) -> None:
        viewer = self._keeper.viewer
        if viewer is not None and self.parent() is not None:
            self.reopening.jobs.close()
            viewer.window.remove_dock_widget(self)
            self.deleteLater()
