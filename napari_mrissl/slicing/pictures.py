"""Slices as files: values, pictures, and one-slice volumes at their place in the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing.render import Interpolation, Slices, render
from napari_mrissl.volumes import Volume

SLICE_SUFFIXES = (".npy", ".png", ".nii.gz", ".nii")


def gray(slices: Slices, window: tuple[float, float]) -> NDArray[np.uint8]:
    """Slices as 8-bit grey levels, black to white over the window; black outside the scan.

    Parameters
    ----------
    slices
        Values (..., N, N) with their validity.
    window
        The values, in value units, that become 0 and 255.
    """
    low, high = window
    part = np.clip((slices.values.astype(np.float64) - low) / (high - low), 0, 1)
    part[~slices.valid | np.isnan(part)] = 0
    return np.asarray(np.rint(255 * part), np.uint8)


def slice_volume(volume: Volume, pose: Pose, slices: Slices) -> Volume:
    """One slice (N, N) as a volume of one voxel's thickness.

    Stored axes are (column, row, plane), so the voxel (j, i, 0) is pixel (i, j).
    """
    values = np.asarray(slices.values)
    rows_first = pose.grid(len(values))
    return Volume.from_stored(
        values.T[:, :, None], rows_first[:, [2, 1, 0, 3]], name=f"slice of {volume.name}"
    )


def write_slice(
    path: str | Path,
    volume: Volume,
    pose: Pose,
    size: int,
    interpolation: Interpolation = "linear",
    *,
    overwrite: bool = False,
) -> Path:
    """Render one slice into a file: ``.npy``, ``.png`` or ``.nii.gz``.

    ``.npy`` holds (N, N) float32 values, ``.png`` 8 bits over `Volume.display_window`.

    Raises
    ------
    MrisslError
        If the suffix is another, the file is there and ``overwrite`` is not set, or the
        system refuses.
    """
    from napari_mrissl.volumes import write_image
    from napari_mrissl.volumes.atomic import write_atomically

    path = Path(path)
    if not path.name.lower().endswith(SLICE_SUFFIXES):
        raise MrisslError("suffix is not known", where=path, expected=" or ".join(SLICE_SUFFIXES))
    if path.exists() and not overwrite:
        raise MrisslError("file is there already", where=path, remedy="give another name")
    slices = render(volume, pose, size, interpolation)
    match path.suffix.lower():
        case ".npy":
            write_atomically(path, lambda file: np.save(file, slices.values))
        case ".png":
            from PIL import Image

            picture = Image.fromarray(gray(slices, volume.display_window()))
            write_atomically(path, lambda file: picture.save(file, format="PNG"))
        case _:
            placed = slice_volume(volume, pose, slices)
            write_image(path, placed.data, placed, overwrite=overwrite)
    return path
