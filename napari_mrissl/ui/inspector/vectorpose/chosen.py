"""The crop that is wanted, and those that were looked at before."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mrissl.ui.history import SettingsHistory
from napari_mrissl.ui.inspector.vectorpose.choice import CropChoice

_SETTLED_MS = 400


class ChosenCrop(QObject):
    """What is looked at; a drag becomes one step that can be taken back.

    Attributes
    ----------
    changed : Signal(bool)
        Another crop; whether the controls have yet to show it.
    history_changed : Signal()
        There is more or less to take back.
    present : CropChoice or None
        The crop that is wanted.
    history : SettingsHistory or None
        The crops that were looked at.
    """

    changed = Signal(bool)
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.present: CropChoice | None = None
        self.history: SettingsHistory[CropChoice] | None = None
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        self._settled.timeout.connect(self.remember)

    @property
    def can_step_back(self) -> bool:
        """Whether there is a change to take back, be it one that has not settled yet."""
        there = self.history
        return there is not None and (there.can_undo or there.present != self.present)

    @property
    def can_step_forward(self) -> bool:
        """Whether a change was taken back and nothing was changed since."""
        return self.history is not None and self.history.can_redo

    def begin(self, choice: CropChoice) -> None:
        """Take a crop with nothing before it; nobody is told."""
        self._settled.stop()
        self.present, self.history = choice, SettingsHistory(choice)

    def drag(self, choice: CropChoice) -> None:
        """A control shows this crop while it is moved."""
        self.present = choice
        self._tell(show=False)
        self._settled.start()

    def choose(self, choice: CropChoice) -> None:
        """Look at a crop; can be taken back."""
        self.present = choice
        self.remember()
        self._tell()

    def step_back(self) -> None:
        """Take back the last change."""
        self.remember()
        if self.history is not None and self.history.undo():
            self.present = self.history.present
            self._tell()

    def step_forward(self) -> None:
        """Do again what was taken back."""
        if self.history is not None and self.history.redo():
            self.present = self.history.present
            self._tell()

    def remember(self) -> None:
        """What is wanted now is a step."""
        self._settled.stop()
        if self.present is not None and self.history is not None:
            self.history.change(self.present)
        self.history_changed.emit()

    def close(self) -> None:
        """Remember nothing any more."""
        self._settled.stop()

    def _tell(self, *, show: bool = True) -> None:
        self.history_changed.emit()
        self.changed.emit(show)
