"""The newest sample images of a run, as wide as the dock is."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

_HIGHEST = 360
_LARGEST_ZOOM = 4.0


class Pictures(QWidget):
    """One image with its caption for each name.

    Attributes
    ----------
    shown : dict of PictureView
        By name.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shown: dict[str, PictureView] = {}
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(2)

    def present(
        self, name: str, step: int, captions: Iterable[str], image: QImage, scan: str = ""
    ) -> None:
        """Show an image in place of the one before of this name."""
        if name not in self.shown:
            self.shown[name] = PictureView(self)
            self._rows.addWidget(self.shown[name])
        title = f"{name} of {scan}" if scan else name
        self.shown[name].present(title, step, captions, image)

    def clear(self) -> None:
        """Show none."""
        for view in self.shown.values():
            self._rows.removeWidget(view)
            view.setParent(None)
            view.deleteLater()
        self.shown.clear()


class PictureView(QWidget):
    """An image with its caption above."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.caption = QLabel()
        self.caption.setTextFormat(Qt.TextFormat.PlainText)
        self.caption.setWordWrap(True)
        self.caption.setToolTip("What the tiles show, and after which step")
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.canvas = _Canvas()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2)
        layout.setSpacing(1)
        layout.addWidget(self.caption)
        layout.addWidget(self.canvas)

    def present(self, name: str, step: int, captions: Iterable[str], image: QImage) -> None:
        """Show another image."""
        words = ", ".join(dict.fromkeys(captions))
        self.caption.setText(f"{name}, step {step}" + (f": {words}" if words else ""))
        self.canvas.setToolTip(self.caption.text())
        self.canvas.show_image(image)


class _Canvas(QWidget):
    """Scales an image to its own width, with hard pixels when it is enlarged."""

    def __init__(self) -> None:
        super().__init__()
        self._pixmap = QPixmap()
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_image(self, image: QImage) -> None:
        """Show this image."""
        self._pixmap = QPixmap.fromImage(image)
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        """The image keeps its form."""
        return True

    def heightForWidth(self, width: int) -> int:
        """As high as the image is at this width."""
        return self._fitted(width).height()

    def sizeHint(self) -> QSize:
        """At the present width."""
        return self._fitted(max(self.width(), 200))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the image at the left."""
        if self._pixmap.isNull():
            return
        size = self._fitted(self.width())
        painter = QPainter(self)
        larger = size.width() > self._pixmap.width()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not larger)
        painter.drawPixmap(0, 0, size.width(), size.height(), self._pixmap)
        painter.end()

    def _fitted(self, width: int) -> QSize:
        if self._pixmap.isNull():
            return QSize(width, 0)
        zoom = min(width / self._pixmap.width(), _HIGHEST / self._pixmap.height(), _LARGEST_ZOOM)
        return QSize(
            max(1, round(zoom * self._pixmap.width())), max(1, round(zoom * self._pixmap.height()))
        )
