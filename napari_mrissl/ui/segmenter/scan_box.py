"""Which scan is segmented, and what an earlier session left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_mrissl.ui.layers import METADATA_KEY
from napari_mrissl.ui.segmenter import words
from napari_mrissl.ui.segmenter.controller import Controller
from napari_mrissl.ui.segmenter.prompt_layers import ROLE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class ScanBox(QWidget):
    """A choice of the viewer's 3-D images; prompts belong to the one they were placed on."""

    def __init__(self, viewer: ViewerModel, controller: Controller) -> None:
        super().__init__()
        self._viewer = viewer
        self._controller = controller
        self._scans: list[Image] = []
        self.combo = QComboBox()
        self.combo.setToolTip("The scan to segment: any 3-D image of the viewer")
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setMinimumContentsLength(12)
        label = QLabel("Scan")
        label.setBuddy(self.combo)
        label.setToolTip(self.combo.toolTip())
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self.combo, 1)
        self.notes = QLabel()
        self.notes.setWordWrap(True)
        self.notes.setTextFormat(Qt.TextFormat.PlainText)
        self.notes.setStyleSheet("font-size: 11px;")
        self.notes.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.notes.setToolTip("What had to be assumed or left out when the scan was read")
        self.notes.hide()
        self.recovery = _Recovery(controller)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.notes)
        column.addWidget(self.recovery)
        self.combo.currentIndexChanged.connect(self._choose)
        controller.session_changed.connect(self.recovery.refresh)
        controller.session_changed.connect(self._show_notes)
        for event in ("inserted", "removed", "renamed", "reordered"):
            getattr(viewer.layers.events, event).connect(self._on_layers)

    def refresh(self) -> None:
        """List the scans there are now, and keep the choice if it is still there."""
        chosen = self.chosen()
        self._scans = [layer for layer in self._viewer.layers if _is_scan(layer)]
        blocker = QSignalBlocker(self.combo)
        self.combo.clear()
        self.combo.addItems([layer.name for layer in self._scans])
        if chosen in self._scans:
            self.combo.setCurrentIndex(self._scans.index(chosen))
        self.combo.setEnabled(bool(self._scans))
        del blocker
        self._choose()

    @property
    def scans(self) -> tuple[Image, ...]:
        """Layers of all scans that can be chosen."""
        return tuple(self._scans)

    def chosen(self) -> Image | None:
        """The chosen scan's layer."""
        session = self._controller.session
        return session.layer if session is not None else None

    def choose(self, name: str | None) -> None:
        """Choose a scan by its layer's name, if there is one."""
        names = [layer.name for layer in self._scans]
        if name in names:
            self.combo.setCurrentIndex(names.index(name))

    def disconnect_viewer(self) -> None:
        """Stop following the viewer's layers."""
        for event in ("inserted", "removed", "renamed", "reordered"):
            getattr(self._viewer.layers.events, event).disconnect(self._on_layers)

    def _choose(self) -> None:
        index = self.combo.currentIndex()
        self._controller.choose(self._scans[index] if 0 <= index < len(self._scans) else None)

    def _show_notes(self) -> None:
        session = self._controller.session
        said = words.notes(session.volume.notes) if session is not None else ""
        self.notes.setText(said)
        self.notes.setVisible(bool(said))

    def _on_layers(self, _: Any) -> None:
        self.refresh()


class _Recovery(QFrame):
    """Offers prompts that were not saved; in the panel, so that nothing has to be answered."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.recover = QPushButton("Recover clicks")
        self.recover.setToolTip("Put the marks of the earlier session in place; can be undone")
        self.discard = QPushButton("Discard")
        self.discard.setToolTip("Forget the marks of the earlier session")
        buttons = QHBoxLayout()
        buttons.addWidget(self.recover, 1)
        buttons.addWidget(self.discard)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.text)
        column.addLayout(buttons)
        self.recover.clicked.connect(lambda: self._answer(take=True))
        self.discard.clicked.connect(lambda: self._answer(take=False))
        self.refresh()

    def refresh(self) -> None:
        """Show or hide, by what the current scan's session found."""
        session = self._controller.session
        found = session.unfinished if session is not None else None
        self.setVisible(found is not None)
        if found is not None:
            places = words.counted(len(found.prompts.points), "mark")
            said = f"{places} from {found.when:%d %B, %H:%M} were not saved."
            if found.damaged:
                said += " What was marked after them is damaged; the file is kept."
            self.text.setText(said)

    def _answer(self, *, take: bool) -> None:
        session = self._controller.session
        if session is None or session.unfinished is None:
            return
        found, session.unfinished = session.unfinished, None
        if take:
            places = words.counted(len(found.prompts.points), "mark")
            self._controller.say("info", f"Recovered {places}.")
            session.replace(found.prompts)
        found.discard()
        self.refresh()


def _is_scan(layer: Any) -> bool:
    from napari.layers import Image

    if not isinstance(layer, Image) or layer.ndim != 3 or layer.rgb:
        return False
    return layer.metadata.get(METADATA_KEY, {}).get(ROLE) is None
