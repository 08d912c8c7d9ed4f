"""What becomes of a running training when napari is closed: it goes on, or it is stopped."""

from __future__ import annotations

import atexit
import logging
from collections import Counter
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import control, launch
from napari_mrissl.ui.preferences import preferences

LOGGER = logging.getLogger(__name__)

_WORDS = {
    "keep": "(it goes on after napari is closed)",
    "stop": "(it is stopped when napari is closed)",
}
_watched: Counter[Path] = Counter()
_stopping: set[Path] = set()


def closing_words() -> str:
    """For napari's own question before it closes."""
    return _WORDS[preferences().training_at_close]


class Watched:
    """The run that a panel shows while it is trained on this machine; knows no Qt."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def watch(self, folder: Path | None) -> None:
        """Another run, or None, is shown and goes on."""
        if folder == self._folder:
            return
        self._let_go()
        self._folder = folder
        if folder is not None:
            _watched[folder] += 1

    def leave(self) -> None:
        """The panel's window is closed."""
        folder = self._folder
        self._let_go()
        if folder is not None and folder not in _watched:
            _leave(folder)

    def _let_go(self) -> None:
        if self._folder is None:
            return
        _watched[self._folder] -= 1
        if not _watched[self._folder]:
            del _watched[self._folder]
        self._folder = None


def _leave(folder: Path) -> None:
    """Ask a run to stop if that is preferred."""
    if preferences().training_at_close != "stop":
        return
    try:
        control.request(folder, "stop")
    except MrisslError as error:
        LOGGER.warning("%s", error)
        return
    # It ends itself after its step; one that does not is ended before this process is gone.
    _stopping.add(folder)


def _end() -> None:
    # A script that ends with everything open has closed no window.
    for folder in list(_watched):
        _leave(folder)
    for folder in _stopping:
        try:
            launch.stop(folder)
        except MrisslError as error:
            LOGGER.warning("%s", error)


atexit.register(_end)
