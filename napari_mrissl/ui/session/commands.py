"""Commands of napari's File menu: reopen the last session, save one under a title, open it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari import current_viewer
from qtpy.QtWidgets import QInputDialog

from napari_mrissl.errors import MrisslError
from napari_mrissl.ui.jobs import JobRunner
from napari_mrissl.ui.session.keeper import SessionKeeper, keep
from napari_mrissl.ui.session.store import (
    StoredSession,
    keep_titled,
    last_session,
    stored_sessions,
)
from napari_mrissl.ui.session.strip import reopen

if TYPE_CHECKING:
    from napari_mrissl.ui.jobs import Control


def reopen_last() -> None:
    """Bring back the newest session that no living window holds."""
    keeper = _keeper()

    def found(session: StoredSession | None) -> None:
        if session is None:
            _say("There is no earlier session to reopen.")
        else:
            reopen(keeper, session)

    _start(keeper, lambda _: last_session(), "Looking for the last session", found)


def save_session_as() -> None:
    """Keep what is open now under a title, until it is deleted."""
    keeper = _keeper()
    title, agreed = QInputDialog.getText(keeper.window, "Save session", "Title of the session:")
    if not agreed or not title.strip():
        return
    keeper.look()
    _start(
        keeper,
        partial(_save, keeper, title.strip()[:200]),
        "Saving the session",
        lambda _: _say(f"The session is kept as {title.strip()[:200]!r}."),
    )


def open_session() -> None:
    """Choose among all sessions that no living window holds."""
    keeper = _keeper()

    def choose(sessions: list[StoredSession]) -> None:
        if not sessions:
            _say("There is no earlier session to open.")
            return
        # Numbered, because two may say the same.
        lines = [f"{n}. {one.record.describe()}" for n, one in enumerate(sessions, 1)]
        line, agreed = QInputDialog.getItem(
            keeper.window, "Open session", "Session:", lines, 0, False
        )
        if agreed and line in lines:
            reopen(keeper, sessions[lines.index(line)])

    _start(keeper, lambda _: stored_sessions(), "Looking for sessions", choose)


def _save(keeper: SessionKeeper, title: str, _: Control) -> None:
    if not keeper.writer.wait() or keeper.writer.name is None:
        raise MrisslError("nothing of a session is on disk yet", remedy="open a scan first")
    keep_titled(keeper.writer.name, title)


def _start(keeper: SessionKeeper, work, title: str, done) -> None:
    runner = JobRunner(keeper)
    runner.failed.connect(_say)
    runner.idle.connect(runner.deleteLater)
    runner.start(work, title=title, done=done)


def _say(sentence: str) -> None:
    from napari.utils.notifications import show_info

    show_info(sentence)


def _keeper() -> SessionKeeper:
    viewer = current_viewer()
    keeper = keep(viewer) if viewer is not None else None
    if keeper is None:
        raise MrisslError("no napari window is open", remedy="open one first")
    return keeper
