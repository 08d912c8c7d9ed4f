"""One pane: pictures of a plane, side by side where they are several, with what lies over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_mrissl.ui.navigator.anatomy import PLANES, plane_rotation
from napari_mrissl.ui.pictures.cuts import LabelStyle, Pictures
from napari_mrissl.ui.pictures.parts import ImagePart, Part
from napari_mrissl.ui.pictures.rasters import Raster, raster_of_pose
from napari_mrissl.ui.views import marks
from napari_mrissl.ui.views.cameras import Camera, crossing

if TYPE_CHECKING:
    from napari_mrissl.ui.navigator.state import NavigatorState

PaneKind = Literal["axial", "coronal", "sagittal", "free"]
PANE_KINDS: tuple[PaneKind, ...] = ("axial", "coronal", "sagittal", "free")
_AXES = {"axial": (2, "S"), "coronal": (1, "A"), "sagittal": (0, "R")}
_SMALL = 110
"""Screen pixels below which a picture has letters and crosshair only."""
_NARROW = 200
"""Screen pixels of width below which position and contrast would be cut off."""
_MOST_PIXELS = 640 * 640
"""Pixels of one pane that are cut; a larger pane shows them magnified."""


class Tile(NamedTuple):
    """One picture of a pane.

    Attributes
    ----------
    title
        Name of its volume, where a pane shows several; else empty.
    parts
        What is drawn, the lowest first.
    contrast
        The image whose contrast is named in the corner.
    """

    title: str
    parts: Sequence[Part]
    contrast: ImagePart | None = None


class Pane(QWidget):
    """Shows the axial, coronal, sagittal or free slice through the crosshair.

    Parameters
    ----------
    kind
        Which slice.
    state
        The shared pose; its centre is the crosshair.

    Attributes
    ----------
    camera
        Zoom and pan of an anatomical slice; the free slice has the pose's own.
    resized : Signal()
        The pictures no longer fit.
    """

    resized = Signal()

    def __init__(self, kind: PaneKind, state: NavigatorState, parent: QWidget | None = None):
        super().__init__(parent)
        self.kind = kind
        self.state = state
        self.camera = Camera()
        self.pictures = Pictures()
        self.tiles: Sequence[Tile] = ()
        self.images: list[NDArray[np.uint8]] = []
        self.raster: Raster | None = None
        self.letters: dict[str, str] = {}
        self.mouse = None
        self.setObjectName(f"{kind} slice")
        self.setAccessibleName(f"{kind} slice")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(120, 100)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) with columns right, up, normal."""
        if self.kind == "free":
            return self.state.pose.rotation
        return plane_rotation(self.kind, self.state.convention)

    def sizeHint(self) -> QSize:
        """As large as a slice of common size."""
        return QSize(320, 280)

    def tile_at(self, x: float, y: float) -> int:
        """Which picture lies at a screen position."""
        columns, rows = self._columns_rows(max(len(self.images), 1))
        column = np.clip(x * columns // max(self.width(), 1), 0, columns - 1)
        row = np.clip(y * rows // max(self.height(), 1), 0, rows - 1)
        return int(row * columns + column)

    def raster_position(self, x: float, y: float, tile: int | None = None) -> tuple[float, float]:
        """Position in the raster of a screen position, seen from one of the pictures."""
        rect = self._rect(self.tile_at(x, y) if tile is None else tile)
        scale = self.raster.width / rect.width()
        return (x - rect.left()) * scale, (y - rect.top()) * scale

    def screen_position(self, point: NDArray[np.float64], tile: int = 0) -> tuple[float, float]:
        """Screen position of a point (3,) in world mm on one of the pictures."""
        rect = self._rect(tile)
        scale = rect.width() / self.raster.width
        x, y = self.raster.position(point)
        return rect.left() + x * scale, rect.top() + y * scale

    def point_at(self, x: float, y: float) -> NDArray[np.float64]:
        """World RAS mm (3,) of a screen position."""
        return self.raster.point(*self.raster_position(x, y))

    def present(
        self,
        tiles: Sequence[Tile],
        *,
        others: Sequence[Part] = (),
        style: LabelStyle = "filled",
    ) -> None:
        """Cut and draw what changed, and have it painted."""
        self.tiles = tiles
        volume = self.state.volume
        if volume is None or self.width() < 2 or self.height() < 2:
            self.raster, self.images = None, []
            self.pictures.clear()
            self.update()
            return
        self.raster = self.raster_for(len(tiles))
        # Zoomed in, the crosshair moved in another pane must not get out of sight.
        if self.kind != "free" and self.camera.keep_in_view(self.raster, self.state.pose.center):
            self.raster = self.raster_for(len(tiles))
        ratio = self.devicePixelRatioF()
        self.images = self.pictures.draw(
            self.raster,
            [tile.parts for tile in tiles],
            others=others,
            interpolation=self.state.interpolation,
            style=style,
            thickness=max(1, round(1.5 * ratio * self.raster.width / self._pixels(len(tiles))[0])),
        )
        self.update()

    def raster_for(self, tiles: int) -> Raster:
        """The raster of each of so many pictures."""
        volume = self.state.volume
        width, height = self._pixels(tiles)
        if width * height > _MOST_PIXELS:
            shrink = float(np.sqrt(_MOST_PIXELS / (width * height)))
            width, height = round(width * shrink), round(height * shrink)
        pose = self.state.pose
        if self.kind == "free":
            return raster_of_pose(pose, width, height)
        box = volume.center, volume.extent
        return self.camera.raster(self.rotation, pose.center, box, (width, height))

    def lines(self) -> list[marks.Line]:
        """Where the other planes cut this one."""
        found = []
        pose = self.state.pose
        scale = self._rect(0).width() / self.raster.width / self.raster.step
        for plane in (*PLANES, "free"):
            if plane == self.kind:
                continue
            free = plane == "free"
            normal = pose.normal if free else plane_rotation(plane, self.state.convention)[:, 2]
            cut = crossing(self.raster, normal, pose if free else None)
            if cut is not None and not (free and self._is_anatomical(normal)):
                color = marks.PLANE_COLORS[plane]
                found.append(marks.Line(cut[0], cut[1] * scale, color, dashed=free))
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the pictures and what lies over them."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        if self.raster is None:
            painter.setFont(marks.font_of(self.font(), 13))
            text = "Open a scan: drag a file in"
            marks.draw_text(painter, QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter, text)
        else:
            for number, (image, tile) in enumerate(zip(self.images, self.tiles, strict=True)):
                self._paint_tile(painter, number, image, tile)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setPen(marks.PLANE_COLORS[self.kind])
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _paint_tile(
        self, painter: QPainter, number: int, image: NDArray[np.uint8], tile: Tile
    ) -> None:
        rect = self._rect(number)
        height, width = image.shape[:2]
        picture = QImage(image.data, width, height, 4 * width, QImage.Format.Format_RGBX8888)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.drawImage(rect, picture, QRectF(0, 0, width, height))
        painter.save()
        painter.setClipRect(rect)
        middle = QPointF(*self.screen_position(self.state.pose.center, number))
        for line in self.lines():
            marks.draw_line(painter, rect, middle, line)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setFont(marks.font_of(self.font(), 14, bold=True))
        self.letters = marks.draw_letters(painter, rect, self.raster)
        if min(rect.width(), rect.height()) < _SMALL:
            painter.restore()
            self._divide(painter, number, rect)
            return
        painter.setFont(marks.font_of(self.font(), 12))
        title = [(self.kind.capitalize(), marks.PLANE_COLORS[self.kind])]
        if tile.title:
            title.append((tile.title, None))
        marks.draw_corner(painter, rect, "top", title)
        if rect.width() >= _NARROW:
            marks.draw_corner(painter, rect, "bottom", self._facts(tile))
        step = self.raster.step * self.raster.width / rect.width()
        marks.draw_scale_bar(painter, rect, step)
        painter.restore()
        self._divide(painter, number, rect)

    def _divide(self, painter: QPainter, number: int, rect: QRectF) -> None:
        if number:
            painter.setPen(QColor("#495057"))
            end = rect.bottomLeft() if rect.left() > 0 else rect.topRight()
            painter.drawLine(rect.topLeft(), end)

    def _facts(self, tile: Tile) -> list[tuple[str, None]]:
        facts: list[tuple[str, None]] = []
        if self.kind in _AXES:
            axis, letter = _AXES[self.kind]
            facts.append((f"{letter} {self.state.pose.center[axis]:+.1f} mm", None))
        if tile.contrast is not None:
            low, high = tile.contrast.limits
            facts.append((f"W {high - low:.4g}  L {(low + high) / 2:.4g}", None))
        return facts

    def _is_anatomical(self, normal: NDArray[np.float64]) -> bool:
        """Whether the free slice lies in an anatomical plane, whose line is drawn already."""
        return bool(np.abs(normal).max() > 1 - 1e-6)

    def _columns_rows(self, tiles: int) -> tuple[int, int]:
        """Side by side, or below each other where the pane is so high that this is larger."""
        across = min(self.width() / tiles, self.height())
        down = min(self.width(), self.height() / tiles)
        return (tiles, 1) if across >= down else (1, tiles)

    def _pixels(self, tiles: int) -> tuple[int, int]:
        ratio = self.devicePixelRatioF()
        columns, rows = self._columns_rows(max(tiles, 1))
        width = max(1, round(self.width() * ratio / columns))
        return width, max(1, round(self.height() * ratio / rows))

    def _rect(self, tile: int) -> QRectF:
        columns, rows = self._columns_rows(max(len(self.images), 1))
        width, height = self.width() / columns, self.height() / rows
        return QRectF(tile % columns * width, tile // columns * height, width, height)

    def resizeEvent(self, event) -> None:
        """The pictures have another size."""
        self.resized.emit()
        super().resizeEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start a gesture."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.mouse.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a gesture, or just read what is under the mouse."""
        self.mouse.move(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a gesture."""
        self.mouse.release(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Maximise, or reset the contrast."""
        self.mouse.double_click(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Step through or zoom."""
        self.mouse.wheel(event)

    def leaveEvent(self, event) -> None:
        """Nothing is under the mouse."""
        self.mouse.leave()
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Step with the keys; others go on to the dock and the main window."""
        if not self.mouse.key(event):
            super().keyPressEvent(event)
