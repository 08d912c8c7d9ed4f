"""Scans with what is known of them: label maps, prompts, or both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_mrissl.segmentation.prompts import Prompts
from napari_mrissl.volumes import Volume


@dataclass(frozen=True, eq=False)
class LabelledInput:
    """One scan to learn from, or to measure on while learning.

    Attributes
    ----------
    image
        The scan's file, or the volume as it was read from one.
    labels
        A label map on the scan's grid in the world: a file, or integers (S, A, R) on the
        volume's grid. 0 is background; a setting names the value for "not labelled".
    prompts
        Clicks and scribbles, a file or in memory. Alone, all other voxels are not labelled;
        beside a label map, they correct it. A class that is called background is 0.
    held_out
        Whether it is only measured on.
    subject
        The same text for scans of one person, where the file's name does not tell.
    """

    image: Path | Volume
    labels: Path | NDArray[Any] | None = None
    prompts: Path | Prompts | None = None
    held_out: bool = False
    subject: str | None = None
