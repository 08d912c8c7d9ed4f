"""Rows of buttons and labels around the slice canvas."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.navigator.anatomy import PLANES, STATEMENTS, stated_convention
from napari_mrissl.ui.navigator.gestures import point_at
from napari_mrissl.ui.navigator.slice_view import SliceView
from napari_mrissl.ui.navigator.state import NavigatorState

_HEADING = (
    "QPushButton, QPushButton:checked { background: transparent; border: none;"
    " text-align: left; font-weight: bold; padding: 2px 0px; }"
)


class MoveBar(QWidget):
    """Anatomical planes, undo, redo, reset and go to click.

    Parameters
    ----------
    state
        What the buttons move.
    """

    def __init__(self, state: NavigatorState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.presets = {}
        for key, plane in zip("890", PLANES, strict=True):
            button = _button(
                plane.capitalize(), f"Turn to the {plane} plane through the present centre ({key})"
            )
            button.clicked.connect(lambda _=False, p=plane: self._state.go_to_plane(p))
            self.presets[plane] = button
        self.undo = _button("Undo", "Take back the last move (U)")
        self.undo.clicked.connect(lambda: self._state.undo())
        self.redo = _button("Redo", "Do the taken-back move again (Shift+U)")
        self.redo.clicked.connect(lambda: self._state.redo())
        self.reset = _button("Reset", "Back to the middle of the scan, shown whole (Home)")
        self.reset.clicked.connect(lambda: self._state.reset())
        self.go_to = _button(
            "Go to click", "Centre on the next point clicked in the slice (G); or double-click"
        )
        self.go_to.setCheckable(True)
        self.help = _button("?", "All keys and mouse gestures (?)")
        self.help.setFixedWidth(28)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row(*((button, 1) for button in self.presets.values())))
        moves = (self.undo, self.redo, self.reset, self.go_to)
        layout.addLayout(row(*((button, 1) for button in moves)))
        state.history_changed.connect(self._show_history)
        self._show_history()

    def set_scan(self, present: bool) -> None:
        """Allow what needs a scan."""
        for button in (*self.presets.values(), self.reset, self.go_to):
            button.setEnabled(present)

    def disconnect_state(self) -> None:
        """Let go of the state."""
        self._state.history_changed.disconnect(self._show_history)

    def _show_history(self) -> None:
        self.undo.setEnabled(self._state.can_undo)
        self.redo.setEnabled(self._state.can_redo)


class ReadOut(QWidget):
    """What is under the mouse, and from which side the reader looks.

    Parameters
    ----------
    state, view
        Where the pose and the shown values are.
    """

    def __init__(
        self, state: NavigatorState, view: SliceView, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._state, self._view = state, view
        self.cursor_text = QLabel(" ")
        self.cursor_text.setToolTip("Under the mouse: world position in RAS mm and intensity")
        # Its text changes under a dragging mouse; the canvas must keep its size meanwhile.
        self.cursor_text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.sides = QLabel()
        self.sides.setToolTip("On which side of the image the patient's right is")
        longest = max(map(self.sides.fontMetrics().horizontalAdvance, STATEMENTS.values()))
        self.sides.setMinimumWidth(longest + 4)
        self.sides.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._position: tuple[float, float] | None = None
        # One above the other: values of a CT are long.
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.cursor_text)
        layout.addWidget(self.sides)

    def show_cursor(self, position: tuple[float, float]) -> None:
        """Name a position (mm row, column from the middle) in RAS mm, with its value."""
        self._position = position
        r, a, s = point_at(self._state.pose, position)
        value = self._view.value_at(position)
        shown = "outside" if value is None else f"{value:.4g}"
        self.cursor_text.setText(f"R {r:+.1f}  A {a:+.1f}  S {s:+.1f} mm:  {shown}")

    def refresh(self) -> None:
        """Another slice is shown under the same mouse."""
        if self._position is not None:
            self.show_cursor(self._position)

    def show_pose(self, pose: Pose) -> None:
        """State from which side the reader looks."""
        self.sides.setText(stated_convention(pose))


def row(*widgets: tuple[QWidget, int]) -> QHBoxLayout:
    """A row of widgets with their stretches."""
    layout = QHBoxLayout()
    layout.setSpacing(4)
    for widget, stretch in widgets:
        layout.addWidget(widget, stretch)
    return layout


def section(title: str, content: QWidget) -> QCollapsible:
    """A part that folds away under a heading."""
    folding = QCollapsible(title, expandedIcon=QIcon(), collapsedIcon=QIcon())
    folding.setToolTip(f"{title}: click to fold or unfold")
    folding.layout().setContentsMargins(0, 0, 0, 0)
    folding.setDuration(0)
    folding.toggleButton().setStyleSheet(_HEADING)
    # Arrows as text take the theme's colour; superqt's icons keep that of the first theme.
    folding.toggled.connect(lambda open_: folding.setText(f"{'▾' if open_ else '▸'} {title}"))
    folding.addWidget(content)
    folding.setText(f"▾ {title}")
    folding.expand(animate=False)
    return folding


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
