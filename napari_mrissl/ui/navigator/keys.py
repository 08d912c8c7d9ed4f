"""Keys of the navigator: all seven action dimensions, both ways, and the sheet that lists them.

None of them is a key of napari's own; the tests compare them with napari's defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_mrissl.ui.navigator.gestures import ZOOM_PER_NOTCH
from napari_mrissl.ui.navigator.state import NavigatorState

PAN_STEP = 0.02
"""Fraction of the fov that one key press pans."""
TURN_STEP = np.radians(2.0)
"""Radians that one key press tilts or spins."""


class Key(NamedTuple):
    """A key, what it does in words, and the command it stands for."""

    sequence: str
    meaning: str
    command: str


_MOVES: tuple[tuple[str, str, str, int, float], ...] = (
    ("Shift+Right", "move right", "pan", 0, PAN_STEP),
    ("Shift+Left", "move left", "pan", 0, -PAN_STEP),
    ("Up", "move up", "pan", 1, PAN_STEP),
    ("Down", "move down", "pan", 1, -PAN_STEP),
    ("PgUp", "one voxel towards you", "through", 2, 1.0),
    ("PgDown", "one voxel away from you", "through", 2, -1.0),
    ("K", "one voxel towards you", "through", 2, 1.0),
    ("J", "one voxel away from you", "through", 2, -1.0),
    ("Shift+PgUp", "five voxels towards you", "through", 2, 5.0),
    ("Shift+PgDown", "five voxels away from you", "through", 2, -5.0),
    ("Ctrl+Shift+Down", "tilt: top towards you", "turn", 3, TURN_STEP),
    ("Ctrl+Shift+Up", "tilt: top away from you", "turn", 3, -TURN_STEP),
    ("Ctrl+Shift+Right", "turn: right side away from you", "turn", 4, TURN_STEP),
    ("Ctrl+Shift+Left", "turn: right side towards you", "turn", 4, -TURN_STEP),
    (",", "spin the picture clockwise", "turn", 5, TURN_STEP),
    (".", "spin the picture anticlockwise", "turn", 5, -TURN_STEP),
    ("N", "zoom in", "zoom", 6, -float(np.log(ZOOM_PER_NOTCH))),
    ("W", "zoom out", "zoom", 6, float(np.log(ZOOM_PER_NOTCH))),
)
_COMMANDS: tuple[Key, ...] = (
    Key("8", "axial plane", "axial"),
    Key("9", "coronal plane", "coronal"),
    Key("0", "sagittal plane", "sagittal"),
    Key("Home", "back to the middle of the scan", "reset"),
    Key("U", "undo the last move or contrast", "undo"),
    Key("Shift+U", "redo it", "redo"),
    Key("G", "go to the next clicked point", "go_to_click"),
    Key("Q", "record: start or stop", "record"),
    Key("H", "replay: start or stop", "replay"),
    Key("?", "this sheet", "sheet"),
)
MOUSE: tuple[tuple[str, str], ...] = (
    ("Drag", "pan"),
    ("Wheel", "along the normal, one voxel a notch (with Shift five)"),
    ("Shift + drag", "tilt and turn about the slice's own axes"),
    ("Ctrl + drag", "spin about the normal"),
    ("Ctrl + wheel", "zoom"),
    ("Double click", "centre on the clicked point"),
    ("Right drag", "contrast: right is wider, up is brighter"),
    ("Double right click", "the scan's own contrast again"),
    ("Ctrl + click, main view in 2D", "centre on the clicked point"),
    ("Ctrl + drag on the plane in 3D", "push it along its normal"),
    ("Ctrl + Shift + drag on it", "turn it"),
)


def all_keys() -> list[Key]:
    """Every key with its meaning, moves first."""
    moves = [Key(sequence, meaning, "move") for sequence, meaning, *_ in _MOVES]
    return moves + list(_COMMANDS)


def action_of(sequence: str, state: NavigatorState) -> np.ndarray | None:
    """The action (7,) of a key at the present pose, or None if the key is no move."""
    for known, _, kind, dimension, amount in _MOVES:
        if known == sequence:
            action = np.zeros(7)
            action[dimension] = amount
            if kind == "through":
                pose = state.pose
                action[dimension] = amount * state.step_along(pose.normal) / pose.fov
            return action
    return None


def sequence_of(event: QKeyEvent) -> str:
    """The key of an event in portable words, e.g. ``"Ctrl+Shift+Up"``."""
    modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    text = event.text()
    if len(text) == 1 and text in ",.?":
        # Shifted or not depends on the keyboard's layout; the character does not.
        return text
    return QKeySequence(int(modifiers.value) | int(event.key())).toString(
        QKeySequence.SequenceFormat.PortableText
    )


def is_navigator_key(event: QKeyEvent) -> bool:
    """Whether a key event is one of the navigator's."""
    return sequence_of(event) in {key.sequence for key in all_keys()}


class KeyHandler:
    """Turns key events into moves and commands.

    Parameters
    ----------
    state
        What is moved.
    commands
        Functions by command name; `all_keys` names them.
    """

    def __init__(self, state: NavigatorState, commands: dict[str, Callable[[], None]]) -> None:
        self._state = state
        self._commands = commands
        self._named = {key.sequence: key.command for key in _COMMANDS}

    def handle(self, event: QKeyEvent) -> bool:
        """Do what a key stands for; the event is accepted if it stood for something."""
        sequence = sequence_of(event)
        action = action_of(sequence, self._state)
        if action is not None:
            self._state.move(action, burst=f"key {sequence}")
        elif sequence in self._named:
            self._commands[self._named[sequence]]()
        else:
            return False
        event.accept()
        return True


class KeySheet(QDialog):
    """All keys and mouse gestures on one sheet."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Slice navigator: keys and mouse")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        outer = QVBoxLayout(self)
        outer.addWidget(QLabel("Keys work while the slice or this dock has the focus."))
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(3)
        columns = (
            [("Move", "")] + [(k.sequence, k.meaning) for k in all_keys()[: len(_MOVES)]],
            [("Do", "")]
            + [(k.sequence, k.meaning) for k in _COMMANDS]
            + [("", ""), ("Mouse", "")]
            + list(MOUSE),
        )
        for column, rows in enumerate(columns):
            for row, (name, meaning) in enumerate(rows):
                label = QLabel(f"<b>{name}</b>")
                grid.addWidget(label, row, 2 * column)
                grid.addWidget(QLabel(meaning), row, 2 * column + 1)
        outer.addLayout(grid)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setToolTip("Close this sheet")
        buttons.rejected.connect(self.close)
        outer.addWidget(buttons)
