"""Changes of settings, to be taken back and done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")

_MOST = 200


class SettingsHistory(Generic[S]):
    """The present settings, those before and those taken back.

    Parameters
    ----------
    settings
        To begin with; any value that cannot be changed.
    most
        Changes that can be taken back.
    """

    def __init__(self, settings: S, *, most: int = _MOST) -> None:
        self.present = settings
        self._most = most
        self._before: list[S] = []
        self._after: list[S] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._before)

    @property
    def can_redo(self) -> bool:
        """Whether a change was taken back."""
        return bool(self._after)

    def change(self, settings: S) -> bool:
        """Take new settings; False if they are the present ones."""
        if settings == self.present:
            return False
        self._before = [*self._before, self.present][-self._most :]
        self._after.clear()
        self.present = settings
        return True

    def undo(self) -> bool:
        """Back to the settings before."""
        if not self._before:
            return False
        self._after.append(self.present)
        self.present = self._before.pop()
        return True

    def redo(self) -> bool:
        """Take a change that was taken back."""
        if not self._after:
            return False
        self._before.append(self.present)
        self.present = self._after.pop()
        return True

    def give_up(self, wanted: Callable[[S], bool], otherwise: S) -> None:
        """Leave the present settings, which came to nothing; they can be taken again.

        Parameters
        ----------
        wanted
            Settings that did come to something: the nearest before, else the nearest that were
            taken back.
        otherwise
            Taken where none are wanted.
        """
        if any(map(wanted, self._before)):
            while not wanted(self.present):
                self.undo()
        elif any(map(wanted, self._after)):
            while not wanted(self.present):
                self.redo()
        else:
            self._after.append(self.present)
            self.present = otherwise
