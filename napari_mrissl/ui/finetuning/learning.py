"""From what the user marked to labelled scans as finetuning takes them; no Qt, no layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.finetuning.inputs import LabelledInput
from napari_mrissl.segmentation.finetuning.task_settings import LabelClass
from napari_mrissl.segmentation.prompts import labelled_voxels
from napari_mrissl.ui.finetuning.corrections import Corrections
from napari_mrissl.ui.finetuning.seen import Marks
from napari_mrissl.ui.segmenter.state import PromptSnapshot, Scribble
from napari_mrissl.volumes import Volume

NOTHING = -1
"""In labels that are handed to finetuning: a voxel of which nothing is known."""

_LARGEST = 65535


@dataclass(frozen=True, eq=False)
class Given:
    """A scan that is learned from or measured on, as it was when the user pressed Start.

    Attributes
    ----------
    labels
        The chosen label layer's (S, A, R), or None.
    corrections
        Painted on the result of an earlier finetuning.
    """

    volume: Volume
    marks: Marks = field(default_factory=Marks)
    labels: NDArray[Any] | None = None
    corrections: Corrections = field(default_factory=Corrections)
    held_out: bool = False


def labelled(given: Given, *, zero_is_nothing: bool) -> LabelledInput:
    """One map of all that is known of a scan; -1 where nothing is.

    What is more deliberate wins: corrections, then clicks, then scribbles, then the label
    layer. Classes of marks that are called background become 0, as in label maps.

    Parameters
    ----------
    given
        The scan.
    zero_is_nothing
        Whether 0 in the label layer means "not labelled" and not "background".

    Raises
    ------
    MrisslError
        If the label layer no longer has the scan's grid.
    """
    volume = given.volume
    known = np.full(volume.shape, NOTHING, np.int32)
    if given.labels is not None:
        if given.labels.shape != volume.shape:
            raise MrisslError("its label layer is on another grid", where=volume.name)
        if int(given.labels.max(initial=0)) > _LARGEST:
            raise MrisslError(
                f"holds the label {int(given.labels.max())}",
                where=f"label layer of {volume.name}",
                expected=f"labels from 0 to {_LARGEST}",
            )
        known[...] = given.labels
        if zero_is_nothing:
            known[known == 0] = NOTHING
    _mark(known, given)
    given.corrections.put(known)
    return LabelledInput(volume, known, held_out=given.held_out)


def table_for(
    inputs: Sequence[LabelledInput], classes: Sequence[LabelClass]
) -> tuple[tuple[LabelClass, ...], tuple[str, ...]]:
    """The classes that are labelled in a training scan, and a sentence on those that are not."""
    there: set[int] = set()
    for one in inputs:
        if not one.held_out and isinstance(one.labels, np.ndarray):
            there.update(int(label) for label in np.unique(one.labels))
    chosen = tuple(one for one in classes if one.label in there)
    left = [one.name for one in classes if one.label not in there]
    if not left:
        return chosen, ()
    names = ", ".join(left[:5]) + (" and others" if len(left) > 5 else "")
    return chosen, (f"not learned, because no scan to learn from is labelled with it: {names}",)


def _mark(known: NDArray[np.int32], given: Given) -> None:
    marks = given.marks
    scribble = Scribble()
    if marks.scribbles is not None:
        voxels = np.flatnonzero(marks.scribbles).astype(np.int64)
        scribble = Scribble(voxels, marks.scribbles.reshape(-1)[voxels].astype(np.uint8))
    if not marks.clicks and not len(scribble):
        return
    prompts = PromptSnapshot(given.volume, marks.clicks, scribble, marks.classes).prompts()
    found = labelled_voxels(given.volume, prompts)
    labels = np.where(np.isin(found.labels, list(marks.background)), 0, found.labels)
    known[tuple(found.indices.T)] = labels
