"""Every change of a scan's prompts on disk as it happens, and finding what a crash left."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from napari_mrissl.directories import data_directory, made_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.edits import Add, Paint, PromptEdit, Remove, RemoveClass, SetClass
from napari_mrissl.segmentation.journal import PromptJournal, recover_part
from napari_mrissl.segmentation.prompts import PromptPoint, Prompts
from napari_mrissl.ui.segmenter.state import (
    Change,
    Click,
    PromptState,
    Scribble,
    scribble_points,
)

LOGGER = logging.getLogger(__name__)

_LOCK = ".lock"


class JournalWriter:
    """Turns changes of a `PromptState` into edits of a new journal.

    A journal belongs to one running session: a lock that ends with the process says
    whether it is still being written.

    Parameters
    ----------
    state
        Written as it is now, then change by change.
    identity
        Of the scan.
    on_error
        Called once, in the journal's thread, if the disk refuses.
    """

    def __init__(
        self,
        state: PromptState,
        identity: str,
        on_error: Callable[[MrisslError], None] | None = None,
    ) -> None:
        self._state = state
        self.path = journal_folder() / f"{identity[:16]}-{uuid.uuid4().hex[:12]}.jsonl"
        self._lock = _locked(self.path)
        start = state.snapshot().prompts(identity)
        # The journal's points in order: a voxel's number or a click with its count, so that
        # edits can name them by place.
        self._order: dict[object, None] = dict.fromkeys(state.scribble.voxels.tolist())
        self._order.update(dict.fromkeys(_counted(state.clicks)))
        self._journal = PromptJournal(self.path, start, on_error)

    def record(self, change: Change) -> None:
        """Append a change; does not wait for the disk."""
        for edit in self._edits(change):
            self._journal.append(edit)

    def close(self, *, keep: bool) -> None:
        """End the journal; ``keep`` it to offer its prompts next time, or remove it."""
        try:
            self._journal.close()
        finally:
            if not keep:
                self.path.unlink(missing_ok=True)
            if self._lock is not None:
                _unlock(self._lock)
                self._lock = None

    def _edits(self, change: Change) -> list[PromptEdit]:
        edits: list[PromptEdit] = []
        if change.clicks is not None:
            edits += self._click_edits(*change.clicks)
        if change.scribble is not None:
            edits += self._paint_edits(change.scribble[1])
        if change.classes is not None:
            before, after = change.classes
            gone = {one.label for one in before} - {one.label for one in after}
            edits += [RemoveClass(label=label) for label in sorted(gone)]
            edits += [SetClass(new=one) for one in after if one not in before]
        return edits

    def _click_edits(self, before: tuple[Click, ...], after: tuple[Click, ...]) -> list[PromptEdit]:
        old, new = _counted(before), _counted(after)
        gone, added = set(old) - set(new), [key for key in new if key not in set(old)]
        edits: list[PromptEdit] = []
        if gone:
            places = tuple(n for n, key in enumerate(self._order) if key in gone)
            edits.append(Remove(indices=places))
            for key in gone:
                del self._order[key]
        if added:
            edits.append(Add(points=tuple(PromptPoint(*click) for click, _ in added)))
            self._order.update(dict.fromkeys(added))
        return edits

    def _paint_edits(self, scribble: Scribble) -> list[PromptEdit]:
        edits: list[PromptEdit] = []
        points = scribble_points(self._state.volume, scribble)
        for label in sorted(set(scribble.labels.tolist())):
            chosen = (scribble.labels == label).nonzero()[0].tolist()
            edits.append(Paint(positions=tuple(points[n][:3] for n in chosen), label=label))
            for number in chosen:
                voxel = int(scribble.voxels[number])
                self._order.pop(voxel, None)
                if label:
                    self._order[voxel] = None
        return edits


@dataclass(frozen=True)
class Unfinished:
    """Prompts of an earlier session that were not saved.

    Attributes
    ----------
    path
        The journal.
    prompts
        What it ends with.
    when
        Local time of the last edit.
    damaged
        Whether more was marked, in a part of the journal that cannot be read.
    """

    path: Path
    prompts: Prompts
    when: datetime
    damaged: bool = False

    def discard(self) -> None:
        """Remove the journal; the prompts were taken over or are not wanted.

        One with a damaged part is only set aside: there may be more in it for an expert.
        """
        if self.damaged and self.path.exists():
            os.replace(self.path, self.path.with_suffix(".damaged"))
        self.path.unlink(missing_ok=True)
        self.path.with_name(self.path.name + _LOCK).unlink(missing_ok=True)


def find_unfinished(identity: str) -> Unfinished | None:
    """The newest journal of this scan that no running session writes and that holds prompts."""
    candidates = sorted(
        journal_folder().glob(f"{identity[:16]}-*.jsonl"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in candidates:
        lock = _locked(path)
        if lock is None:
            continue
        try:
            prompts, wrong = recover_part(path)
        except MrisslError as error:
            # Killed before its first line was whole, or damaged since: it is left there.
            LOGGER.warning("left-over marks cannot be read: %s", error)
            continue
        finally:
            _unlock(lock)
        if wrong is not None:
            LOGGER.warning("left-over marks are damaged: %s", wrong)
        if prompts.points and prompts.volume_identity in (None, identity):
            when = datetime.fromtimestamp(path.stat().st_mtime)
            return Unfinished(path, prompts, when, wrong is not None)
    return None


def journal_folder() -> Path:
    """Where the journals of prompts are, in the user's data directory."""
    return made_directory(data_directory() / "prompts")


def _counted(clicks: tuple[Click, ...]) -> list[tuple[Click, int]]:
    """Clicks with how many equal ones come before each: keys that are all different."""
    seen: dict[Click, int] = {}
    keys = []
    for click in clicks:
        keys.append((click, seen.setdefault(click, 0)))
        seen[click] += 1
    return keys


def _locked(path: Path) -> BaseFileLock | None:
    """An exclusive lock beside the journal, or None while another session holds it."""
    # Taken in a job's thread or the window's, and given back in either.
    lock = FileLock(f"{path}{_LOCK}", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _unlock(lock: BaseFileLock) -> None:
    # Removed while it is held, so that nobody waits for a file that is gone.
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release(force=True)
