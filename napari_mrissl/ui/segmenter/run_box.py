"""Segment now or live, what is happening, and how to stop it."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.ui.segmenter.controller import Controller

_ERROR = "color: #e5484d; font-weight: bold;"
_PRIMARY = """
QPushButton#mrissl_primary { background: #2f7fd6; color: white; font-weight: bold; padding: 5px; }
QPushButton#mrissl_primary:hover { background: #4a94e3; }
QPushButton#mrissl_primary:pressed { background: #2468b3; }
QPushButton#mrissl_primary:disabled { background: rgba(128, 128, 128, 70); color: grey; }
"""


class RunBox(QWidget):
    """The primary button, the live switch, progress with Cancel, and the status line."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.segment = QPushButton("Segment")
        self.segment.setObjectName("mrissl_primary")
        self.segment.setStyleSheet(_PRIMARY)
        self.segment.setToolTip("Segment the scan from what is marked; computes features if needed")
        self.live = QCheckBox("Live")
        self.live.setChecked(controller.live)
        self.live.setToolTip("Update the segmentation after every click, scribble and undo")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setToolTip("How far the running work is")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop what is running; nothing half-done is kept")
        self.status = QLabel()
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setWordWrap(True)
        self.status.setToolTip("What is happening")
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.status.setMinimumHeight(2 * self.status.fontMetrics().lineSpacing() + 2)
        top = QHBoxLayout()
        top.addWidget(self.segment, 1)
        top.addWidget(self.live)
        below = QHBoxLayout()
        below.addWidget(self.bar, 1)
        below.addWidget(self.cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addLayout(below)
        column.addWidget(self.status)
        self.segment.clicked.connect(controller.segment)
        self.cancel.clicked.connect(controller.cancel)
        self.live.toggled.connect(self._set_live)
        controller.said.connect(self._say)
        controller.progressed.connect(self._progress)
        controller.busy_changed.connect(self._set_busy)
        controller.session_changed.connect(self.refresh)
        self._set_busy(False)
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done."""
        self.segment.setEnabled(self._controller.session is not None)

    def show_live(self, live: bool) -> None:
        """Show whether every change is followed, without starting anything."""
        blocker = QSignalBlocker(self.live)
        self.live.setChecked(live)
        del blocker

    def _set_live(self, live: bool) -> None:
        self._controller.set_live(live)

    def _set_busy(self, busy: bool) -> None:
        # Kept in place and only emptied, so that nothing below jumps at every click.
        self.cancel.setEnabled(busy)
        self.bar.setEnabled(busy)
        if not busy:
            self.bar.setRange(0, 1000)
            self.bar.setValue(0)

    def _progress(self, fraction: float, text: str) -> None:
        if fraction < 0:
            self.bar.setRange(0, 0)
        else:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * fraction))
        self._say("info", text)

    def _say(self, kind: str, text: str) -> None:
        self.status.setText(text)
        self.status.setStyleSheet(_ERROR if kind == "error" else "")
