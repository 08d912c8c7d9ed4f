"""Reading NIfTI-1 and NIfTI-2: .nii, .nii.gz and .hdr/.img pairs."""

from __future__ import annotations

import math
from pathlib import Path

from napari_mrissl.volumes.errors import DamagedHeader, UnreadableFile, UnsupportedVoxels
from napari_mrissl.volumes.layout import Layout
from napari_mrissl.volumes.nifti_geometry import locate
from napari_mrissl.volumes.nifti_header import NiftiHeader, read_header
from napari_mrissl.volumes.streams import Source


def layout(path: Path) -> Layout:
    """The validated header of a NIfTI file; for a pair, either of its two files.

    Raises
    ------
    ScanError
        If the header is damaged, or the scan of a kind we do not show.
    """
    path = _partner(path, ".img", ".hdr") or path
    source = Source.sniffed(path)
    header = read_header(source)
    if not header.single_file:
        voxels = _partner(path, ".hdr", ".img")
        if voxels is None:
            raise UnreadableFile(
                "the header of a pair whose .img file is missing",
                where=path,
                expected="both files in one folder",
                remedy="put the .img file beside it",
            )
        source = Source.sniffed(voxels)
    shape, frames, notes = _frames(header, path)
    place = locate(header, shape, path)
    slope, intercept, scaling_notes = _scaling(header, path)
    return Layout(
        source,
        shape,
        header.dtype,
        place.affine,
        skip=header.offset,
        frames=frames,
        slope=slope,
        intercept=intercept,
        forms=place.forms,
        notes=(*notes, *place.notes, *scaling_notes),
        disagreements=place.disagreements,
    )


def _partner(path: Path, suffix: str, other: str) -> Path | None:
    """The other file of a pair, where ``path`` is the one that ends in ``suffix``."""
    for packed in ("", ".gz"):
        if path.name.lower().endswith(suffix + packed):
            stem = path.name[: -len(suffix + packed)]
            for ending in (other + packed, other, other + ".gz", (other + packed).upper()):
                candidate = path.with_name(stem + ending)
                if candidate.is_file():
                    return candidate
    return None


def _frames(header: NiftiHeader, where: Path) -> tuple[tuple[int, int, int], int, tuple[str, ...]]:
    dims = [*header.dims, 1, 1, 1, 1]
    if math.prod(dims[4:]) > 1:
        raise UnsupportedVoxels(
            f"{len(header.dims)}-dimensional ({' x '.join(map(str, header.dims))})",
            where=where,
            field="dim",
            expected="three dimensions, or four with time",
            remedy="split the file into one scan per component",
        )
    flat = dims[2] == 1
    notes = ("the scan is one slice thick",) if flat else ()
    return (dims[0], dims[1], dims[2]), dims[3], notes


def _scaling(header: NiftiHeader, where: Path) -> tuple[float, float, tuple[str, ...]]:
    """Slope and intercept; a slope of 0 or NaN means none, as in nibabel."""
    slope, intercept = float(header.fields["scl_slope"]), float(header.fields["scl_inter"])
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0, ()
    if math.isinf(slope):
        return 1.0, 0.0, ("scl_slope is infinite and was ignored",)
    if not math.isfinite(intercept):
        raise DamagedHeader(
            f"{intercept}",
            where=where,
            field="scl_inter",
            expected="a finite number",
            remedy="repair the header with the tool that wrote it",
        )
    return slope, intercept, ()
