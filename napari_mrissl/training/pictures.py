"""The pictures of a run: tiles side by side in one PNG file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.volumes.atomic import write_atomically

_GAP = 2
_BACKGROUND = 32


def tiled(tiles: NDArray[np.floating], columns: int) -> NDArray[np.uint8]:
    """(N, H, W) grey values in [0, 1], row by row, as one (H', W') picture; NaN is background."""
    number, height, width = tiles.shape
    rows = -(-number // columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP)
    picture = np.full(shape, _BACKGROUND, np.uint8)
    for n, tile in enumerate(tiles):
        top, left = (n // columns) * (height + _GAP), (n % columns) * (width + _GAP)
        grey = np.rint(255 * np.clip(np.nan_to_num(tile, nan=_BACKGROUND / 255), 0, 1))
        picture[top : top + height, left : left + width] = grey.astype(np.uint8)
    return picture


def write_tiles(path: Path, tiles: NDArray[np.floating]) -> int:
    """Write tiles as a PNG, about twice as wide as high, and return the number of columns.

    Raises
    ------
    WriteError
        If the system refuses.
    """
    from PIL import Image

    columns = min(len(tiles), max(1, math.ceil(math.sqrt(2 * len(tiles)))))
    picture = Image.fromarray(tiled(np.asarray(tiles), columns))

    def write(file: BinaryIO) -> None:
        picture.save(file, format="PNG")

    path.parent.mkdir(exist_ok=True)
    write_atomically(path, write)
    return columns
