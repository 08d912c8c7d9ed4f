"""Prompt edits on disk as they happen, so that a killed session can be taken up again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.edits import EDITS, PromptEdit, Replace
from napari_mrissl.segmentation.prompts import Prompts

_KIND = "prompts"


class PromptJournal:
    """An append-only record of prompt edits; at most the last second can be lost.

    Parameters
    ----------
    path
        The journal's file, new.
    start
        The prompts before the first edit.
    on_error
        Called once, in the journal's thread, if the disk refuses.
    """

    def __init__(
        self,
        path: str | Path,
        start: Prompts | None = None,
        on_error: Callable[[MrisslError], None] | None = None,
    ) -> None:
        from napari_mrissl.trajectories import Journal

        start = start if start is not None else Prompts()
        self._journal = Journal(
            Path(path),
            {"kind": _KIND, "volume_identity": start.volume_identity},
            on_error=on_error,
        )
        self.append(Replace(prompts=start))

    def append(self, edit: PromptEdit) -> None:
        """Record one edit; does not wait for the disk."""
        self._journal.append(edit.model_dump(mode="json"))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._journal.close()


def recover(path: str | Path) -> Prompts:
    """The prompts that a journal ends with; a torn last line is left out.

    Raises
    ------
    MrisslError
        If the file is no journal of prompts or one of its edits cannot be read.
    """
    prompts, wrong = recover_part(path)
    if wrong is not None:
        raise wrong
    return prompts


def recover_part(path: str | Path) -> tuple[Prompts, MrisslError | None]:
    """The prompts of a journal up to the first damage, and what is damaged, or None.

    Raises
    ------
    MrisslError
        If the file is no journal of prompts at all.
    """
    from napari_mrissl.trajectories.journal import recoverable_records

    path = Path(path)
    header, records, wrong = recoverable_records(path)
    if header.get("kind") != _KIND:
        raise MrisslError("not a journal of prompts", where=path)
    prompts = Prompts()
    for number, record in enumerate(records):
        try:
            prompts = EDITS.validate_python(record.event).apply(prompts)
        except (ValidationError, MrisslError):
            unreadable = f"edit {number} cannot be read"
            return prompts, MrisslError(unreadable, where=path, expected="a prompt edit")
    return prompts, wrong
