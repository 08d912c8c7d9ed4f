"""Says, as long as they are open, that layers of labels are not part of the session."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QMainWindow

from napari_mrissl.errors import printable

_MOST = 10


class UnkeptNote(QLabel):
    """A sentence in the strip at the bottom of the window; hidden while there is none to say."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setStyleSheet("color: #d08000;")
        self.setContentsMargins(6, 0, 6, 0)
        window.statusBar().addPermanentWidget(self)
        self.hide()

    def show_names(self, names: tuple[str, ...]) -> None:
        """Say how many layers are not kept; their names are in the tooltip."""
        count = len(names)
        be, them = ("s are", "them") if count > 1 else (" is", "it")
        self.setText(f"{count} label layer{be} not kept by the session: save {them}")
        shown = [printable(name)[:80] for name in names[:_MOST]]
        more = [f"and {count - _MOST} more"] if count > _MOST else []
        self.setToolTip(
            "\n".join(("Not on the grid of an open scan, or too large:", *shown, *more))
        )
        self.setVisible(count > 0)
