"""``mrissl slice``: one oblique slice to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from napari_mrissl.cli.arguments import Flag, Frame, Scan, Vector, Whole, within
from napari_mrissl.cli.files import check_target, open_scan
from napari_mrissl.cli.terminal import say

LARGEST_SLICE = 8192


def cut(
    scan: Scan,
    /,
    *,
    center: Vector,
    normal: Vector,
    up: Vector,
    fov: float,
    size: Whole,
    out: Path,
    interpolation: Literal["linear", "nearest"] = "linear",
    frame: Frame = None,
    overwrite: Flag = False,
) -> None:
    """Cut one oblique slice.

    Pixel (row i, column j) lies at center + ((j + 0.5)/N - 0.5) fov right
    - ((i + 0.5)/N - 0.5) fov up, with right = up x normal.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series.
    center
        Middle of the slice, RAS mm.
    normal
        Direction towards the observer.
    up
        Direction of the upper edge; its part along the normal is dropped.
    fov
        Side length in mm.
    size
        Pixels along a side.
    out
        .npy (float32 values), .png (8 bits between percentiles of the scan) or .nii.gz
        (one-slice volume at its place in the world).
    interpolation
        Between voxels, or the nearest one.
    frame
        Which frame of a file with several, from 0; without it the first.
    overwrite
        Replace a file that is there.
    """
    from napari_mrissl.geometry import Pose
    from napari_mrissl.slicing import pictures

    within("--size", size, 1, LARGEST_SLICE)
    pose = Pose.from_normal_up(center, normal, up, fov)
    check_target(out, pictures.SLICE_SUFFIXES, overwrite=overwrite, source=scan)
    volume = open_scan(scan, frame)
    if out.suffix.lower() == ".png":
        low, high = volume.display_window()
        say(f"black is {low:.6g}, white is {high:.6g}")
    pictures.write_slice(out, volume, pose, size, interpolation, overwrite=overwrite)
