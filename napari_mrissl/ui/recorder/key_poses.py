"""Poses that a smooth flight passes through, with undo and redo; no Qt, no napari."""

from __future__ import annotations

from collections.abc import Iterable

from psygnal import Signal

from napari_mrissl.geometry import Pose


class KeyPoses:
    """An ordered list of poses; every change of it is one step to take back.

    Attributes
    ----------
    changed : psygnal.Signal()
        After every change.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._poses: tuple[Pose, ...] = ()
        self._done: list[tuple[Pose, ...]] = []
        self._undone: list[tuple[Pose, ...]] = []

    def __len__(self) -> int:
        return len(self._poses)

    def __getitem__(self, number: int) -> Pose:
        return self._poses[number]

    @property
    def poses(self) -> list[Pose]:
        """The poses, first to last."""
        return list(self._poses)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a change was taken back and nothing was changed since."""
        return bool(self._undone)

    def add(self, pose: Pose) -> bool:
        """Put a pose at the end; False if that is where the flight ends already."""
        if self._poses and self._poses[-1] == pose:
            return False
        self._set((*self._poses, pose))
        return True

    def remove(self, number: int) -> None:
        """Take one pose out."""
        self._set((*self._poses[:number], *self._poses[number + 1 :]))

    def replace(self, poses: Iterable[Pose]) -> None:
        """Put other poses in place of all."""
        self._set(tuple(poses))

    def undo(self) -> None:
        """Take the newest change back."""
        self._go(self._done, self._undone)

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._go(self._undone, self._done)

    def rows(self) -> list[list[float]]:
        """The poses as rows of eight numbers, for a session."""
        return [pose.to_row().tolist() for pose in self._poses]

    @staticmethod
    def from_rows(rows: object) -> list[Pose] | None:
        """Poses of rows of eight numbers; None if these are none."""
        if not isinstance(rows, list):
            return None
        try:
            return [Pose.from_row(row) for row in rows]
        except (TypeError, ValueError, OverflowError):
            return None

    def _set(self, poses: tuple[Pose, ...]) -> None:
        if poses == self._poses:
            return
        self._done.append(self._poses)
        self._undone.clear()
        self._poses = poses
        self.changed.emit()

    def _go(self, source: list[tuple[Pose, ...]], target: list[tuple[Pose, ...]]) -> None:
        if source:
            target.append(self._poses)
            self._poses = source.pop()
            self.changed.emit()
