"""Undo and redo of moves, where a drag or a run of wheel notches is one step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from napari_mrissl.geometry import Pose

BURST_PAUSE = 0.6
"""Seconds of rest after which the next wheel notch or key starts a new step."""


class Edit(NamedTuple):
    """A step that is no move, such as another contrast: how it is taken back and done again."""

    undo: Callable[[], None]
    redo: Callable[[], None]


class PoseHistory:
    """Poses to go back to, and edits between them to take back.

    Parameters
    ----------
    limit
        Most steps that are kept; the oldest are forgotten.
    clock
        Seconds, monotonic.
    """

    def __init__(self, limit: int = 500, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._undo: list[Pose | Edit] = []
        self._redo: list[Pose | Edit] = []
        self._burst: str | None = None
        self._burst_time = 0.0

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a taken-back step to do again."""
        return bool(self._redo)

    def note(self, before: Pose | Edit, burst: str | None = None) -> None:
        """Remember the pose before a change.

        Changes of the same ``burst`` that follow each other without a rest are one step.
        """
        now = self._clock()
        same = burst is not None and burst == self._burst and now - self._burst_time < BURST_PAUSE
        self._burst, self._burst_time = burst, now
        self._redo.clear()
        if same and self._undo:
            return
        self._undo.append(before)
        del self._undo[: -self._limit]

    def note_edit(self, edit: Edit) -> None:
        """Remember an edit that was just made."""
        self.note(edit)
        self.end_burst()

    def end_burst(self) -> None:
        """Let the next change start a new step, e.g. when the mouse is released."""
        self._burst = None

    def undo(self, current: Pose) -> Pose | None:
        """The pose one step back; None if there is no step or it was an edit, now undone."""
        return self._swap(self._undo, self._redo, current)

    def redo(self, current: Pose) -> Pose | None:
        """The pose one step forward again; None as for `undo`."""
        return self._swap(self._redo, self._undo, current)

    def clear(self) -> None:
        """Forget everything."""
        self._undo.clear()
        self._redo.clear()
        self._burst = None

    def _swap(
        self, source: list[Pose | Edit], target: list[Pose | Edit], current: Pose
    ) -> Pose | None:
        self._burst = None
        if not source:
            return None
        step = source.pop()
        if isinstance(step, Edit):
            (step.undo if source is self._undo else step.redo)()
            target.append(step)
            return None
        target.append(current)
        return step
