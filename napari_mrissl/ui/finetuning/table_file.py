"""Volumes per class as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from napari_mrissl.segmentation.finetuning.pairing import stem
from napari_mrissl.ui.finetuning.work import Measured, Model
from napari_mrissl.volumes import Volume

COLUMNS = (
    "scan", "identity", "part", "state", "label", "class", "voxels", "volume_ml", "dice", "dice_of",
    "dice_against", "model",
)  # fmt: skip


class TableRow(NamedTuple):
    """A scan's result.

    Attributes
    ----------
    state
        ``"predicted"``, ``"corrected"`` or ``"accepted"``.
    """

    volume: Volume
    measured: Measured
    state: str


def write_table(path: Path, model: Model, rows: Sequence[TableRow]) -> Path:
    """One line for each scan and class.

    ``dice_of`` says which voxels Dice is of, ``dice_against`` whether of somebody's labels, or of
    an accepted or corrected result of an earlier network. What was not measured is empty.

    Scans are named as their files are, without folders, and by identity; what was made
    without a file by its own name.

    Raises
    ------
    MrisslError
        If the file cannot be written.
    """
    from napari_mrissl.volumes.atomic import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for volume, found, state in rows:
        name = stem(volume.source) if volume.source is not None else volume.name
        for one in model.foreground:
            score = found.dice.get(one.label)
            writer.writerow(
                (
                    _plain(name),
                    found.identity,
                    found.part,
                    state,
                    one.label,
                    _plain(one.name),
                    found.voxels[one.label],
                    f"{found.volumes_ml[one.label]:.6g}",
                    "" if score is None else f"{score:.6f}",
                    "" if score is None else found.dice_of,
                    "" if score is None else found.dice_against or "",
                    model.key,
                )
            )
    write_text(path, text.getvalue())
    return path


def _plain(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
