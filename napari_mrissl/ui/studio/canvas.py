"""Orthogonal slices of one or two volumes, linked: same place, same zoom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_mrissl.ui.studio.pictures import Picture
from napari_mrissl.ui.views import marks

PLANES = ("axial", "coronal", "sagittal")
"""Slices along the first, second and third axis of (S, A, R)."""

_AXES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
"""The axis that a plane steps along, the one that points up and the one to the right."""

_MOST_ZOOM = 16.0
_STEP_OF_ZOOM = 1.2
_GAP = 2.0


class LinkedSlices(QWidget):
    """Draws slices through one place of all pictures; a click in any moves all.

    Attributes
    ----------
    place
        Voxel (S, A, R) of the crosshair.
    zoom
        1 shows the whole slice.
    pointed : Signal(object)
        The voxel under the mouse, or None.
    moved : Signal()
        The crosshair went elsewhere.
    stage_stepped : Signal(int)
        A key asks for the next stage, or with -1 for the one before.
    """

    pointed = Signal(object)
    moved = Signal()
    stage_stepped = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.side = 0
        self.place = (0, 0, 0)
        self.zoom = 1.0
        self.planes: tuple[str, ...] = PLANES
        self._middle = [0.0, 0.0, 0.0]
        self._pictures: list[tuple[Picture, tuple[float, float]]] = []
        self._plane = PLANES[0]
        self._dragged: QPointF | None = None
        self.setObjectName("Slices of the stage")
        self.setAccessibleName("Slices of the stage")
        self.setToolTip(
            "Click: move the crosshair.  Wheel or up/down: next slice.  Ctrl+wheel: zoom."
            "  Right drag: pan.  Double-click: whole slices.  Left/right: other stage."
        )
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(240, 150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Two rows of three slices."""
        return QSize(400, 270)

    def present(self, pictures: Sequence[Picture]) -> None:
        """Show other volumes at the same place."""
        self._pictures = [(one, one.window) for one in pictures]
        side = len(pictures[0].array) if pictures else 0
        if side and side != self.side:
            old = self.side
            self.side = side
            part = [(p + 0.5) / old if old else 0.5 for p in self.place]
            self.place = tuple(int(p * side) for p in part)
            self._middle = [m * side / old if old else side / 2 for m in self._middle]
        self.update()

    def show_planes(self, planes: tuple[str, ...]) -> None:
        """Show these planes only."""
        self.planes = planes
        self._plane = planes[0]
        self.update()

    def go_to(self, place: Sequence[int]) -> None:
        """Move the crosshair to a voxel (S, A, R), or as near as there are voxels."""
        kept = tuple(int(min(max(p, 0), max(self.side - 1, 0))) for p in place)
        if kept == self.place:
            return
        self.place = kept
        self.moved.emit()
        self.update()

    def show_whole(self) -> None:
        """Whole slices."""
        self.zoom = 1.0
        self._middle = [self.side / 2] * 3
        self.update()

    def zoom_by(self, factor: float, tile: int = 0, position: QPointF | None = None) -> None:
        """Zoom all slices; what is at a position of a tile stays there."""
        zoom = min(max(self.zoom * factor, 1.0), _MOST_ZOOM)
        _, up, right = _AXES[self._tiles()[tile][1]]
        if position is None:
            at = {axis: p + 0.5 for axis, p in enumerate(self.place)}
        else:
            at = dict(zip((up, right), self._point(tile, position), strict=True))
        for axis, value in at.items():
            self._middle[axis] = value + (self._middle[axis] - value) * self.zoom / zoom
        self.zoom = zoom
        self._keep_inside()

    def tile_rects(self) -> list[QRectF]:
        """Where each picture's planes are: all planes of the first, then of the next."""
        columns, rows = self._grid()
        width, height = self.width() / columns, self.height() / rows
        across = columns == len(self.planes) or len(self._pictures) == 1
        rects = []
        for number in range(len(self._tiles())):
            row, column = divmod(number, columns) if across else divmod(number, rows)[::-1]
            rects.append(QRectF(column * width, row * height, width - _GAP, height - _GAP))
        return rects

    def voxel_at(self, position: QPointF) -> tuple[int, int, int] | None:
        """Voxel (S, A, R) at a screen position, or None."""
        tile = self._tile_at(position)
        if tile is None or not self.side:
            return None
        step, up, right = _AXES[self._tiles()[tile][1]]
        high, wide = self._point(tile, position)
        found = [0, 0, 0]
        found[step], found[up], found[right] = self.place[step], int(high // 1), int(wide // 1)
        inside = all(0 <= v < self.side for v in found)
        return tuple(found) if inside else None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the slices and what lies over them."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        if not self._pictures:
            painter.setFont(marks.font_of(self.font(), 13))
            flags = Qt.AlignmentFlag.AlignCenter
            marks.draw_text(painter, QRectF(self.rect()), flags, "Preparing...")
        for number, rect in enumerate(self.tile_rects()):
            painter.save()
            painter.setClipRect(rect)
            self._paint_tile(painter, number, rect)
            painter.restore()
        if self.hasFocus():
            painter.setPen(QColor("#868e96"))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _paint_tile(self, painter: QPainter, number: int, rect: QRectF) -> None:
        which, plane = self._tiles()[number]
        picture, window = self._pictures[which]
        step, up, right = _AXES[plane]
        scale = self._scale(rect)
        left = rect.center().x() - self._middle[right] * scale
        top = rect.center().y() - (self.side - self._middle[up]) * scale
        target = QRectF(left, top, self.side * scale, self.side * scale)
        smooth = QPainter.RenderHint.SmoothPixmapTransform
        painter.setRenderHint(smooth, not picture.is_labels)
        painter.drawImage(target, picture.slice_image(step, self.place[step], window))
        overlay = picture.overlay_image(step, self.place[step])
        if overlay is not None:
            painter.setRenderHint(smooth, False)
            painter.drawImage(target, overlay)
        for axis in (up, right):
            self._paint_line(painter, rect, target, axis, scale, along_rows=axis == up)
        painter.setFont(marks.font_of(self.font(), 12))
        color = marks.PLANE_COLORS[plane]
        lines = [(f"{picture.title} {plane}".strip(), color)]
        marks.draw_corner(painter, rect, "top", lines)
        if rect.height() >= 100:
            below = [(f"{self.place[step] + 1} / {self.side}", None)]
            marks.draw_corner(painter, rect, "bottom", below)

    def _paint_line(
        self,
        painter: QPainter,
        rect: QRectF,
        target: QRectF,
        axis: int,
        scale: float,
        *,
        along_rows: bool,
    ) -> None:
        color = QColor(marks.PLANE_COLORS[PLANES[axis]])
        color.setAlpha(150)
        painter.setPen(color)
        at = (self.place[axis] + 0.5) * scale
        if along_rows:
            y = target.bottom() - at
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))
        else:
            x = target.left() + at
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Move the crosshair, or begin to pan."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._dragged = event.position()
        if event.button() == Qt.MouseButton.LeftButton:
            self._go_under(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the crosshair, pan, or only read."""
        position = event.position()
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go_under(position)
        elif event.buttons() & Qt.MouseButton.RightButton and self._dragged is not None:
            tile = self._tile_at(self._dragged)
            if tile is not None:
                _, up, right = _AXES[self._tiles()[tile][1]]
                scale = self._scale(self.tile_rects()[tile])
                moved = position - self._dragged
                self._middle[right] -= moved.x() / scale
                self._middle[up] += moved.y() / scale
                self._keep_inside()
            self._dragged = position
        self.pointed.emit(self.voxel_at(position))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Whole slices."""
        self.show_whole()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Next slice of the plane under the mouse; with Ctrl zoom."""
        delta = event.angleDelta()
        notches = (delta.y() or delta.x()) / 120
        tile = self._tile_at(event.position())
        event.accept()
        if tile is None or not notches:
            return
        self._plane = self._tiles()[tile][1]
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom_by(_STEP_OF_ZOOM**notches, tile, event.position())
        else:
            self._step(round(notches) or (1 if notches > 0 else -1))
        self.pointed.emit(self.voxel_at(event.position()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Slices, zoom and stages by keys; others go on to the dock."""
        key = event.key()
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._step(1 if key == Qt.Key.Key_Up else -1)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.stage_stepped.emit(1 if key == Qt.Key.Key_Right else -1)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus) and self._pictures:
            self.zoom_by(1 / _STEP_OF_ZOOM if key == Qt.Key.Key_Minus else _STEP_OF_ZOOM)
        elif key == Qt.Key.Key_Home:
            self.show_whole()
        else:
            super().keyPressEvent(event)

    def leaveEvent(self, event: Any) -> None:
        """Nothing is under the mouse."""
        self.pointed.emit(None)
        super().leaveEvent(event)

    def _step(self, count: int) -> None:
        axis = _AXES[self._plane][0]
        place = list(self.place)
        place[axis] += count
        self.go_to(place)

    def _go_under(self, position: QPointF) -> None:
        tile = self._tile_at(position)
        voxel = self.voxel_at(position)
        if tile is not None:
            self._plane = self._tiles()[tile][1]
        if voxel is not None:
            self.go_to(voxel)

    def _tiles(self) -> list[tuple[int, str]]:
        """Picture and plane of each tile."""
        return [(n, plane) for n in range(len(self._pictures)) for plane in self.planes]

    def _grid(self) -> tuple[int, int]:
        """Columns and rows that give the largest tiles."""
        pictures, planes = max(len(self._pictures), 1), len(self.planes)
        choices = [(planes, pictures), (pictures, planes)]
        if pictures == 1 and planes == len(PLANES):
            choices.append((2, 2))
        return max(choices, key=lambda one: min(self.width() / one[0], self.height() / one[1]))

    def _tile_at(self, position: QPointF) -> int | None:
        rects = self.tile_rects()
        return next((n for n, rect in enumerate(rects) if rect.contains(position)), None)

    def _scale(self, rect: QRectF) -> float:
        """Screen pixels of a voxel."""
        return self.zoom * min(rect.width(), rect.height()) / max(self.side, 1)

    def _point(self, tile: int, position: QPointF) -> tuple[float, float]:
        """Place along the axes that point up and to the right, in voxels."""
        rect = self.tile_rects()[tile]
        _, up, right = _AXES[self._tiles()[tile][1]]
        scale = self._scale(rect)
        away = position - rect.center()
        return self._middle[up] - away.y() / scale, self._middle[right] + away.x() / scale

    def _keep_inside(self) -> None:
        half = self.side / 2 / self.zoom
        self._middle = [min(max(m, half), self.side - half) for m in self._middle]
        self.update()
