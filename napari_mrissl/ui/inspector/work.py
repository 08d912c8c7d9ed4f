"""What the dock does off the GUI thread: find the runs that have weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from napari_mrissl.evaluation.weights import card_of
from napari_mrissl.training import index
from napari_mrissl.training.layout import WEIGHTS, committed_steps
from napari_mrissl.ui.jobs import Control


class RunChoice(NamedTuple):
    """A run that can be inspected."""

    folder: Path
    method: str
    step: int
    shuffled: bool


def list_runs(control: Control) -> tuple[RunChoice, ...]:
    """The runs of this user that have weights, newest first."""
    found = []
    for run in index.runs():
        if control.cancelled():
            break
        if (run.folder / WEIGHTS).is_file() or committed_steps(run.folder):
            step = run.state().checkpoint
            found.append(RunChoice(run.folder, run.settings.method, step, run.settings.shuffled))
    return tuple(found)


def describe(folder: Path) -> RunChoice:
    """The run of a folder that may not be in the list.

    Raises
    ------
    MrisslError
        If it has no weights.
    """
    card = card_of(folder)
    step = card.get("step")
    return RunChoice(
        Path(folder).absolute(),
        str(card.get("method") or "unknown"),
        step if isinstance(step, int) else 0,
        card.get("shuffled") is True,
    )
