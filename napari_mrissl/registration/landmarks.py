"""Places that correspond in two scans: a table of points in RAS mm, and how far apart they end."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.registration.transform import Transform

COLUMNS = ("fixed_x", "fixed_y", "fixed_z", "moving_x", "moving_y", "moving_z")
_MOST_BYTES = 16 << 20


def read_landmarks(path: str | Path) -> NDArray[np.float64]:
    """(N, 2, 3) places in the fixed and in the moving scan, RAS mm, from a CSV table.

    Its first line names the columns (`COLUMNS`, in any order; others are left alone).

    Raises
    ------
    MrisslError
        If the file is no such table, naming the line.
    """
    path = Path(path)
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            raise MrisslError(f"more than {_MOST_BYTES} bytes", where=path, expected="a table")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MrisslError(
            "could not be read", where=path, expected=f"a CSV table with {', '.join(COLUMNS)}"
        ) from error
    rows = []
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise MrisslError(
                f"has no column {missing[0]}", where=path, expected=", ".join(COLUMNS)
            )
        for row in reader:
            numbers = [float(row[name]) for name in COLUMNS]
            if not np.isfinite(numbers).all():
                raise ValueError("not finite")
            rows.append(numbers)
    except (ValueError, TypeError, csv.Error) as error:
        if isinstance(error, MrisslError):
            raise
        raise MrisslError(
            f"line {len(rows) + 2} is no landmark", where=path, expected="six numbers in mm"
        ) from error
    if not rows:
        raise MrisslError("holds no landmark", where=path, expected="a line for each")
    return np.array(rows).reshape(-1, 2, 3)


def landmark_errors(landmarks: NDArray[np.float64], transform: Transform) -> NDArray[np.float64]:
    """(N,) mm between where the fixed places are taken and the moving ones."""
    found: NDArray[np.float64] = np.linalg.norm(
        transform(landmarks[:, 0]) - landmarks[:, 1], axis=-1
    )
    return found
